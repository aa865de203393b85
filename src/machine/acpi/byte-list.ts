/** Firmware tables are written field after field: a growing list of little-endian values. */

export class ByteList {
  readonly #bytes: number[] = []

  get length(): number {
    return this.#bytes.length
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.#bytes.push(value & 0xff)
    return this
  }

  u16(...values: readonly number[]): this {
    for (const value of values) this.u8(value, value >>> 8)
    return this
  }

  u32(...values: readonly number[]): this {
    for (const value of values) this.u16(value, value >>> 16)
    return this
  }

  /** Below 2^53. */
  u64(...values: readonly number[]): this {
    for (const value of values) this.u32(value >>> 0, Math.floor(value / 2 ** 32))
    return this
  }

  /** ASCII, cut or padded with `padding` to `length` characters. */
  text(text: string, length = text.length, padding = ' '): this {
    for (const character of text.slice(0, length).padEnd(length, padding)) this.u8(character.charCodeAt(0))
    return this
  }

  bytes(bytes: Iterable<number>): this {
    for (const byte of bytes) this.u8(byte)
    return this
  }

  zeroes(count: number): this {
    for (let index = 0; index < count; index++) this.u8(0)
    return this
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }
}

/** Sets the byte at `offset` so that the bytes sum up to 0, as every firmware table must. */
export function setChecksum(bytes: Uint8Array, offset: number): void {
  bytes[offset] = 0
  bytes[offset] = -bytes.reduce((sum, byte) => sum + byte, 0)
}
