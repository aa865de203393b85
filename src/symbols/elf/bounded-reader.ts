/** Little-endian reads from a file of which nothing is believed: whatever lies outside it is an {@link ElfError}. */

import { ElfError } from './elf-error.ts'

/** Longer than any compiler's mangled name; bounds the work that a hostile string table can cause. */
const MAX_STRING = 0x4000

const decoder = new TextDecoder()

export class BoundedReader {
  readonly bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Throws unless [offset, offset + length) lies in the file. `what` begins the message. */
  check(offset: number, length: number, what: string): void {
    if (offset >= 0 && length >= 0 && offset + length <= this.bytes.length) return
    throw new ElfError(
      `${what}: ${length} bytes at offset 0x${offset.toString(16)} lie outside the file of ${this.bytes.length} bytes`,
    )
  }

  u8(offset: number, what: string): number {
    this.check(offset, 1, what)
    return this.#view.getUint8(offset)
  }

  u16(offset: number, what: string): number {
    this.check(offset, 2, what)
    return this.#view.getUint16(offset, true)
  }

  u32(offset: number, what: string): number {
    this.check(offset, 4, what)
    return this.#view.getUint32(offset, true)
  }

  u64(offset: number, what: string): bigint {
    this.check(offset, 8, what)
    return this.#view.getBigUint64(offset, true)
  }

  /** A 64-bit file offset or size as a number; larger than 2^53 can't be right. */
  size64(offset: number, what: string): number {
    const value = this.u64(offset, what)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ElfError(`${what}: 0x${value.toString(16)} is out of range`)
    return Number(value)
  }

  /** A view, not a copy. */
  slice(offset: number, length: number, what: string): Uint8Array {
    this.check(offset, length, what)
    return this.bytes.subarray(offset, offset + length)
  }

  /** The NUL-terminated string at `offset` of a string table. */
  static string(table: Uint8Array, offset: number, what: string): string {
    const rest = table.subarray(offset, offset + MAX_STRING)
    const length = rest.indexOf(0)
    if (length < 0) {
      throw new ElfError(
        `${what}: string at offset 0x${offset.toString(16)} does not end in its table of ${table.length} bytes`,
      )
    }
    return decoder.decode(rest.subarray(0, length))
  }
}
