/** Bytes on their way to the guest: added at the end, read anywhere, dropped from the beginning. */

const SMALLEST = 16 * 1024

/** Grows as needed; who adds looks at {@link length} and stops in time. */
export class ByteRing {
  #bytes = new Uint8Array(0)
  #start = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length)
    const at = (this.#start + this.#length) % this.#bytes.length
    const first = Math.min(bytes.length, this.#bytes.length - at)
    this.#bytes.set(bytes.subarray(0, first), at)
    this.#bytes.set(bytes.subarray(first), 0)
    this.#length += bytes.length
  }

  /** Copies `length` bytes that begin `offset` after the first; they must be there. */
  copy(offset: number, length: number, to: Uint8Array, at: number): void {
    if (offset + length > this.#length) throw new RangeError(`${offset + length} of ${this.#length} bytes`)
    if (length === 0) return
    const from = (this.#start + offset) % this.#bytes.length
    const first = Math.min(length, this.#bytes.length - from)
    to.set(this.#bytes.subarray(from, from + first), at)
    to.set(this.#bytes.subarray(0, length - first), at + first)
  }

  /** Forgets the first bytes. */
  drop(count: number): void {
    if (count > this.#length) throw new RangeError(`${count} of ${this.#length} bytes`)
    this.#length -= count
    this.#start = this.#length === 0 ? 0 : (this.#start + count) % this.#bytes.length
  }

  #grow(least: number): void {
    let size = Math.max(SMALLEST, this.#bytes.length)
    while (size < least) size *= 2
    const larger = new Uint8Array(size)
    this.copy(0, this.#length, larger, 0)
    this.#bytes = larger
    this.#start = 0
  }
}
