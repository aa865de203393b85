/** A cursor over a part of a debugging section of which nothing is believed: reading past its end is a DwarfError. */

import { DwarfError } from '../elf/elf-error.ts'

/** Longer than any mangled name or path; bounds what a hostile string costs. */
const MAX_STRING = 0x10000

const decoder = new TextDecoder()

export class DwarfReader {
  /** Next byte to be read, from the beginning of `bytes`. */
  at: number
  readonly bytes: Buffer
  readonly end: number
  /** What messages call the bytes: a section's name. */
  readonly what: string

  constructor(bytes: Buffer, what: string, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.what = what
    this.at = at
    this.end = Math.min(end, bytes.length)
    if (at < 0 || at > this.end) this.fail(`offset 0x${at.toString(16)} lies outside it`)
  }

  fail(reason: string): never {
    throw new DwarfError(`${this.what}: ${reason}`)
  }

  get rest(): number {
    return this.end - this.at
  }

  /** Moves past `count` bytes and returns where they begin. */
  take(count: number): number {
    const at = this.at
    if (count < 0 || count > this.end - at) {
      this.fail(`${count} bytes at 0x${at.toString(16)} reach past its end at 0x${this.end.toString(16)}`)
    }
    this.at = at + count
    return at
  }

  u8(): number {
    return this.bytes[this.take(1)]
  }

  s8(): number {
    return (this.bytes[this.take(1)] << 24) >> 24
  }

  u16(): number {
    const at = this.take(2)
    return this.bytes[at] | (this.bytes[at + 1] << 8)
  }

  u24(): number {
    const at = this.take(3)
    return this.bytes[at] | (this.bytes[at + 1] << 8) | (this.bytes[at + 2] << 16)
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4))
  }

  s32(): number {
    return this.bytes.readInt32LE(this.take(4))
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.take(8))
  }

  s64(): bigint {
    return this.bytes.readBigInt64LE(this.take(8))
  }

  /** A 64-bit offset or length as a number; larger than 2^53 can't be right. */
  size64(): number {
    const value = this.u64()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`0x${value.toString(16)} is no offset or size`)
    return Number(value)
  }

  /** An offset into a section: 4 bytes in the 32-bit format, 8 in the 64-bit one (7.4). */
  offset(offsetSize: 4 | 8): number {
    return offsetSize === 4 ? this.u32() : this.size64()
  }

  /** `size` in bytes: 1, 2, 4 or 8. */
  address(size: number): bigint {
    if (size === 8) return this.u64()
    if (size === 4) return BigInt(this.u32())
    if (size === 2) return BigInt(this.u16())
    if (size === 1) return BigInt(this.u8())
    return this.fail(`addresses of ${size} bytes are unknown`)
  }

  /** LEB128, unsigned; throws for one above 2^53. */
  uleb(): number {
    let byte = this.u8()
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let factor = 0x80
    do {
      byte = this.u8()
      value += (byte & 0x7f) * factor
      if (value > Number.MAX_SAFE_INTEGER) this.fail('a number of more than 53 bits where none can be')
      if (factor < 2 ** 60) factor *= 0x80
    } while (byte >= 0x80)
    return value
  }

  /** LEB128, signed; throws for one beyond ±2^53. */
  sleb(): number {
    const value = this.slebBig()
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
      this.fail('a number of more than 53 bits where none can be')
    }
    return Number(value)
  }

  /** Modulo 2^64. */
  ulebBig(): bigint {
    return BigInt.asUintN(64, this.#leb().value)
  }

  /** Modulo 2^64, as a signed number. */
  slebBig(): bigint {
    const { value, bits, negative } = this.#leb()
    return BigInt.asIntN(64, negative && bits < 64 ? value - (1n << BigInt(bits)) : value)
  }

  #leb(): { value: bigint; bits: number; negative: boolean } {
    let low = 0
    let bits = 0
    let byte: number
    do {
      byte = this.u8()
      if (bits < 28) low += (byte & 0x7f) * 2 ** bits
      else return this.#wideLeb(BigInt(low), bits, byte)
      bits += 7
    } while (byte >= 0x80)
    return { value: BigInt(low), bits, negative: (byte & 0x40) !== 0 }
  }

  #wideLeb(low: bigint, lowBits: number, first: number): { value: bigint; bits: number; negative: boolean } {
    let value = low
    let bits = lowBits
    let byte = first
    for (;;) {
      if (bits < 70) value |= BigInt(byte & 0x7f) << BigInt(bits)
      bits += 7
      if (byte < 0x80) return { value, bits, negative: (byte & 0x40) !== 0 }
      byte = this.u8()
    }
  }

  skipLeb(): void {
    while (this.u8() >= 0x80);
  }

  /** A view, not a copy. */
  block(length: number): Buffer {
    const at = this.take(length)
    return this.bytes.subarray(at, at + length)
  }

  /** NUL-terminated. */
  string(): string {
    const at = this.at
    this.skipString()
    return text(this.bytes, at, this.at - 1)
  }

  skipString(): void {
    const zero = this.bytes.indexOf(0, this.at)
    if (zero < 0 || zero >= this.end) this.fail(`string at 0x${this.at.toString(16)} does not end`)
    this.at = zero + 1
  }

  /** The length that begins a unit or table (7.4): also tells the format of its offsets. */
  initialLength(): { length: number; offsetSize: 4 | 8 } {
    const length = this.u32()
    if (length < 0xffff_fff0) return { length, offsetSize: 4 }
    if (length !== 0xffff_ffff) this.fail(`0x${length.toString(16)} is no length`)
    return { length: this.size64(), offsetSize: 8 }
  }
}

/** The NUL-terminated string at `offset` of a string section. */
export function stringAt(table: Buffer, offset: number, what: string): string {
  if (offset >= table.length) {
    throw new DwarfError(
      `${what}: string offset 0x${offset.toString(16)} lies outside its 0x${table.length.toString(16)} bytes`,
    )
  }
  const zero = table.indexOf(0, offset)
  if (zero < 0) throw new DwarfError(`${what}: string at 0x${offset.toString(16)} does not end`)
  return text(table, offset, zero)
}

function text(bytes: Buffer, start: number, end: number): string {
  return decoder.decode(bytes.subarray(start, Math.min(end, start + MAX_STRING)))
}
