/** Reads of the running vCPU's linear memory for who is not the guest: no fault, no accessed bit, no TLB entry. */

import type { HostMemory } from '../host-memory.ts'
import type { GuestPhysical } from './guest-physical.ts'
import type { TranslationContext } from './mmu.ts'
import { ACCESS_LOOK, type EntryMemory, WalkResult, walkPages } from './page-walk.ts'

export class PeekMemory implements EntryMemory {
  readonly #memory: HostMemory
  readonly #physical: GuestPhysical
  readonly #context: TranslationContext
  readonly #walk = new WalkResult()

  // EntryMemory
  low = 0
  high = 0

  constructor(memory: HostMemory, physical: GuestPhysical, context: TranslationContext) {
    this.#memory = memory
    this.#physical = physical
    this.#context = context
  }

  load(entry: number, bytes: 4 | 8): boolean {
    const hpa = this.#host(entry)
    if (hpa < 0) return false
    this.low = this.#memory.i32[hpa >>> 2]
    this.high = bytes === 8 ? this.#memory.i32[(hpa >>> 2) + 1] : 0
    return true
  }

  #host(gpa: number): number {
    return this.#physical.peek(gpa - (gpa & this.#context.a20Mask))
  }

  /** Host-physical address of a linear address, or -1 where there is no memory. */
  translate(low: number, high: number): number {
    walkPages(this.#context.control, low, high, ACCESS_LOOK, this, this.#walk)
    return this.#walk.fault >= 0 ? -1 : this.#host(this.#walk.gpa)
  }

  /** Little-endian, unsigned; undefined where there is no memory. */
  read(low: number, high: number, bytes: 1 | 2 | 4): number | undefined {
    let value = 0
    if ((low & 0xfff) + bytes <= 4096) {
      const hpa = this.translate(low, high)
      if (hpa < 0) return undefined
      for (let i = bytes - 1; i >= 0; i--) value = value * 256 + this.#memory.u8[hpa + i]
      return value
    }
    for (let i = bytes - 1; i >= 0; i--) {
      const at = (low >>> 0) + i
      const hpa = this.translate(at | 0, at >= 2 ** 32 ? (high + 1) | 0 : high)
      if (hpa < 0) return undefined
      value = value * 256 + this.#memory.u8[hpa]
    }
    return value
  }

  /** undefined when a byte can't be read. */
  readBytes(linear: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const at = linear + BigInt(done)
      const low = Number(BigInt.asIntN(32, at))
      const piece = Math.min(length - done, 4096 - (low & 0xfff))
      const hpa = this.translate(low, Number(BigInt.asIntN(32, at >> 32n)))
      if (hpa < 0) return undefined
      bytes.set(this.#memory.u8.subarray(hpa, hpa + piece), done)
      done += piece
    }
    return bytes
  }
}
