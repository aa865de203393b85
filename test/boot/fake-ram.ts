/** Guest RAM for loader tests: a PC's memory map over one array. */

import type { GuestRam, MemoryRange } from '../../src/boot/boot-target.ts'

export const MIB = 0x100000

export class FakeRam implements GuestRam {
  readonly map: readonly MemoryRange[]
  readonly bytes: Uint8Array
  readonly written: { start: number; end: number }[] = []

  constructor(megabytes: number) {
    this.bytes = new Uint8Array(megabytes * MIB)
    this.map = [
      { start: 0, length: 0x9fc00, type: 1 },
      { start: 0x9fc00, length: 0x400, type: 2 },
      { start: 0xe0000, length: 0x20000, type: 2 },
      { start: MIB, length: (megabytes - 1) * MIB, type: 1 },
    ]
  }

  write(gpa: number, bytes: Uint8Array): void {
    if (gpa < 0 || gpa + bytes.length > this.bytes.length) throw new RangeError(`write at 0x${gpa.toString(16)}`)
    this.written.push({ start: gpa, end: gpa + bytes.length })
    this.bytes.set(bytes, gpa)
  }

  read(gpa: number, length: number): Uint8Array {
    if (gpa < 0 || gpa + length > this.bytes.length) throw new RangeError(`read at 0x${gpa.toString(16)}`)
    return this.bytes.slice(gpa, gpa + length)
  }

  u32(gpa: number): number {
    return this.#view.getUint32(gpa, true)
  }

  u64(gpa: number): number {
    return Number(this.#view.getBigUint64(gpa, true))
  }

  string(gpa: number): string {
    return new TextDecoder().decode(this.bytes.subarray(gpa, this.bytes.indexOf(0, gpa)))
  }

  get #view(): DataView {
    return new DataView(this.bytes.buffer)
  }
}
