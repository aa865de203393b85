/**
 * Linear memory of a vCPU that stands still, for an unwinder, which looks at the same few pages of a stack again and
 * again, word by word. Pages are read whole and kept, so an object of this class is void when the guest goes on.
 */

import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { littleEndian } from '../expression/subject.ts'

const PAGE = 4096
/** Pages that are kept: a stack is unwound from its top to its end. */
const MOST_PAGES = 64

export class StillMemory {
  readonly #machine: MachineView
  readonly #vcpu: VcpuView
  /** By the address of the page; undefined for one that can't be read. */
  readonly #pages = new Map<bigint, Uint8Array | undefined>()

  constructor(machine: MachineView, vcpu: VcpuView) {
    this.#machine = machine
    this.#vcpu = vcpu
  }

  /** A little-endian integer; undefined when it can't be read. */
  word(address: bigint, size: 2 | 4 | 8): bigint | undefined {
    const offset = Number(address & 0xfffn)
    if (offset + size > PAGE) {
      const bytes = this.read(address, size)
      return bytes && littleEndian(bytes)
    }
    const page = this.#page(address - BigInt(offset))
    if (page === undefined) return undefined
    if (size === 2) return BigInt(page[offset] | (page[offset + 1] << 8))
    const low = u32(page, offset)
    return size === 4 ? BigInt(low) : (BigInt(u32(page, offset + 4)) << 32n) | BigInt(low)
  }

  /** Exactly `size` bytes, at most a page; undefined when they can't be read. */
  read(address: bigint, size: number): Uint8Array | undefined {
    const offset = Number(address & 0xfffn)
    const first = this.#page(address - BigInt(offset))
    if (first === undefined || offset + size <= PAGE) return first?.subarray(offset, offset + size)
    const second = this.#page(BigInt.asUintN(64, address - BigInt(offset) + BigInt(PAGE)))
    if (second === undefined || size > PAGE) return undefined
    const bytes = new Uint8Array(size)
    bytes.set(first.subarray(offset))
    bytes.set(second.subarray(0, offset + size - PAGE), PAGE - offset)
    return bytes
  }

  #page(address: bigint): Uint8Array | undefined {
    const known = this.#pages.get(address)
    if (known !== undefined || this.#pages.has(address)) return known
    const bytes = readLinear(this.#machine, this.#vcpu, address, PAGE)
    const page = bytes.length === PAGE ? bytes : undefined
    if (this.#pages.size >= MOST_PAGES) this.#pages.clear()
    this.#pages.set(address, page)
    return page
  }
}

const u32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
