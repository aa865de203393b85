/** Devices in guest-physical address space. */

import type { MmioHandler } from '../device.ts'
import type { AccessSize } from './byte-ports.ts'

interface MmioRange {
  readonly base: number
  /** One past the end. */
  readonly end: number
  readonly handler: MmioHandler
}

function hex(address: number): string {
  return `0x${address.toString(16)}`
}

/**
 * An access goes to a device in one piece when the whole of it lies in one of its ranges and has at most 4 bytes,
 * and is halved otherwise. Addresses nobody claims read as all ones and swallow writes.
 */
export class MmioBus {
  /** Sorted by base. */
  readonly #ranges: MmioRange[] = []
  #last: MmioRange | undefined

  /** @throws Error when the range is empty or overlaps another. */
  add(base: number, size: number, handler: MmioHandler): void {
    if (size < 1) throw new Error(`MMIO at ${hex(base)}: a range of ${size} bytes`)
    const end = base + size
    const other = this.#ranges.find(range => range.base < end && base < range.end)
    if (other !== undefined)
      throw new Error(
        `MMIO ${hex(base)} to ${hex(end - 1)}: overlaps ${hex(other.base)} to ${hex(other.end - 1)} of another device`,
      )
    this.#ranges.push({ base, end, handler })
    this.#ranges.sort((a, b) => a.base - b.base)
  }

  /** Removes the range that starts at `base`, if there is one. */
  remove(base: number): void {
    const index = this.#ranges.findIndex(range => range.base === base)
    if (index >= 0) this.#ranges.splice(index, 1)
    this.#last = undefined
  }

  isFree(base: number, size: number): boolean {
    return !this.#ranges.some(range => range.base < base + size && base < range.end)
  }

  claims(gpa: number): boolean {
    return this.#find(gpa) !== undefined
  }

  read(gpa: number, size: 1 | 2 | 4 | 8): bigint {
    if (size === 8) return this.read(gpa, 4) | (this.read(gpa + 4, 4) << 32n)
    return BigInt(this.#read(gpa, size))
  }

  write(gpa: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (size === 8) {
      this.#write(gpa, 4, Number(value & 0xffffffffn))
      this.#write(gpa + 4, 4, Number((value >> 32n) & 0xffffffffn))
    } else this.#write(gpa, size, Number(value & 0xffffffffn))
  }

  #read(gpa: number, size: AccessSize): number {
    const range = this.#find(gpa)
    const mask = size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff
    if (range !== undefined && gpa + size <= range.end)
      return (range.handler.readMmio(gpa - range.base, size) & mask) >>> 0
    if (size === 1) return 0xff
    const half = size === 4 ? 2 : 1
    return (this.#read(gpa, half) | (this.#read(gpa + half, half) << (8 * half))) >>> 0
  }

  #write(gpa: number, size: AccessSize, value: number): void {
    const range = this.#find(gpa)
    const mask = size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff
    if (range !== undefined && gpa + size <= range.end)
      range.handler.writeMmio(gpa - range.base, size, (value & mask) >>> 0)
    else if (size !== 1) {
      const half = size === 4 ? 2 : 1
      this.#write(gpa, half, value)
      this.#write(gpa + half, half, value >>> (8 * half))
    }
  }

  #find(gpa: number): MmioRange | undefined {
    const last = this.#last
    if (last !== undefined && gpa >= last.base && gpa < last.end) return last
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ranges[middle].end <= gpa) low = middle + 1
      else high = middle
    }
    const range = this.#ranges[low]
    if (range === undefined || gpa < range.base) return undefined
    this.#last = range
    return range
  }
}
