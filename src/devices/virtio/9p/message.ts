/** Reading and writing of 9P messages: integers are little-endian, strings UTF-8 with a length of 16 bits in front. */

import { ShareError } from '../../../backends/share/share-error.ts'

/** Reads what a guest wrote: beyond its end, or no UTF-8, is EINVAL. */
export class MessageReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  #take(size: number): number {
    const at = this.#at
    if (at + size > this.#bytes.length) throw new ShareError('EINVAL', 'the message is cut off')
    this.#at += size
    return at
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  string(): string {
    const bytes = this.bytes(this.u16())
    const text = Buffer.from(bytes).toString('utf8')
    if (!Buffer.from(text, 'utf8').equals(bytes)) throw new ShareError('EILSEQ')
    return text
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }
}

export interface Qid {
  readonly type: number
  readonly version: number
  readonly path: bigint
}

export class MessageWriter {
  readonly #parts: Buffer[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  #add(part: Buffer): this {
    this.#parts.push(part)
    this.#length += part.length
    return this
  }

  u8(value: number): this {
    return this.#add(Buffer.of(value & 0xff))
  }
  u16(value: number): this {
    const part = Buffer.alloc(2)
    part.writeUInt16LE(value & 0xffff)
    return this.#add(part)
  }
  u32(value: number): this {
    const part = Buffer.alloc(4)
    part.writeUInt32LE(value >>> 0)
    return this.#add(part)
  }
  u64(value: bigint): this {
    const part = Buffer.alloc(8)
    part.writeBigUInt64LE(BigInt.asUintN(64, value))
    return this.#add(part)
  }
  string(text: string): this {
    const bytes = Buffer.from(text, 'utf8').subarray(0, 0xffff)
    return this.u16(bytes.length).#add(bytes)
  }
  qid({ type, version, path }: Qid): this {
    return this.u8(type).u32(version).u64(path)
  }
  bytes(bytes: Uint8Array): this {
    return this.#add(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  }

  /** What was written, without a header. */
  body(): Uint8Array {
    return Buffer.concat(this.#parts)
  }

  /** The whole message. */
  finish(type: number, tag: number): Uint8Array {
    const header = Buffer.alloc(7)
    header.writeUInt32LE(7 + this.#length)
    header[4] = type
    header.writeUInt16LE(tag, 5)
    return Buffer.concat([header, ...this.#parts])
  }
}
