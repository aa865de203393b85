/** Guest memory as rings use it: little-endian numbers (Virtio 1.2, 1.4), and whether a range is RAM at all. */

import type { GuestMemory } from '../../device.ts'

/** Guest memory of which a device can ask before it accesses it: drivers name addresses, and any may be wrong. */
export interface DmaMemory extends GuestMemory {
  /** Is the whole range RAM, in one piece? */
  containsRam(gpa: number, length: number): boolean
  /** As `read`, into memory of the caller's. */
  readInto(gpa: number, bytes: Uint8Array): void
  /** Appends the bytes themselves, in pieces, to be read before the guest runs again. */
  pieces(gpa: number, length: number, into: Uint8Array[]): void
  /** As `pieces`, to be written; `written` is called behind that. */
  piecesToWrite(gpa: number, length: number, into: Uint8Array[]): void
  written(gpa: number, length: number): void
}

/** Addresses must lie in RAM: rings check their areas when they are set up, and RAM never goes away. */
export class QueueMemory {
  readonly #memory: DmaMemory
  readonly #two = new Uint8Array(2)
  readonly #four = new Uint8Array(4)

  constructor(memory: DmaMemory) {
    this.#memory = memory
  }

  contains(gpa: number, length: number): boolean {
    return this.#memory.containsRam(gpa, length)
  }

  read(gpa: number, length: number): Uint8Array {
    return this.#memory.read(gpa, length)
  }

  readInto(gpa: number, bytes: Uint8Array): void {
    this.#memory.readInto(gpa, bytes)
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#memory.write(gpa, bytes)
  }

  pieces(gpa: number, length: number, into: Uint8Array[]): void {
    this.#memory.pieces(gpa, length, into)
  }

  piecesToWrite(gpa: number, length: number, into: Uint8Array[]): void {
    this.#memory.piecesToWrite(gpa, length, into)
  }

  written(gpa: number, length: number): void {
    this.#memory.written(gpa, length)
  }

  read16(gpa: number): number {
    const bytes = this.#memory.read(gpa, 2)
    return bytes[0] | (bytes[1] << 8)
  }

  write16(gpa: number, value: number): void {
    this.#two[0] = value
    this.#two[1] = value >>> 8
    this.#memory.write(gpa, this.#two)
  }

  write32(gpa: number, value: number): void {
    this.#four[0] = value
    this.#four[1] = value >>> 8
    this.#four[2] = value >>> 16
    this.#four[3] = value >>> 24
    this.#memory.write(gpa, this.#four)
  }
}
