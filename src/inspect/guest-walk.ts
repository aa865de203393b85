/** The processor's own page walk (`engine/mmu/page-walk.ts`) over a machine that is looked at: nothing is changed. */

import {
  type EntryMemory,
  type PagingControl,
  pagingControl,
  WalkResult,
  type WalkTrace,
  walkPages,
} from '../engine/mmu/page-walk.ts'
import type { MachineView, VcpuView } from './machine-view.ts'

/** Bits 63:52 of CR3 are no part of an address. */
const ADDRESS_MASK = 0xf_ffff_ffff_ffffn
const A20 = 1 << 20
const SMALLEST_PAGE = 4096

export class GuestWalk {
  readonly control: PagingControl
  readonly #memory: EntryMemory
  readonly #result = new WalkResult()
  /** Address bit that the A20M# pin keeps low, or 0. */
  readonly #a20Mask: number

  /**
   * @param cr3 another address space than the vCPU's current one.
   * @param readable may refuse an entry by its guest-physical address, which ends the walk.
   */
  constructor(machine: MachineView, vcpu: VcpuView, cr3?: bigint, readable: (gpa: number) => boolean = () => true) {
    const current = vcpu.register('cr3')
    const other = cr3 !== undefined && cr3 !== current
    const control = pagingControl(
      Number(BigInt.asUintN(32, vcpu.register('cr0'))),
      Number((cr3 ?? current) & ADDRESS_MASK),
      Number(BigInt.asUintN(32, vcpu.register('cr4'))),
      Number(BigInt.asUintN(32, vcpu.register('efer'))),
      { pkru: Number(BigInt.asUintN(32, vcpu.register('pkru'))) },
    )
    // Those of another address space are in memory only.
    this.control = control.mode === 'pae' && !other ? { ...control, pdptes: pdpteRegisters(vcpu) } : control
    this.#a20Mask = vcpu.register('a20m') === 0n ? 0 : A20
    this.#memory = entryMemory(machine, readable, this.#a20Mask)
  }

  /**
   * Bytes from the address that was walked last to the end of what is sure to lie behind it in guest-physical memory:
   * to the end of its page, whatever that page's size is.
   */
  contiguous(linear: bigint): number {
    // The A20 gate folds every other MiB of a large page onto the one before.
    const page = this.#a20Mask === 0 ? 2 ** this.#result.pageShift : SMALLEST_PAGE
    return page - Number(linear % BigInt(page))
  }

  /**
   * @param access a sum of `ACCESS_...`.
   * @returns the same object at each call.
   */
  walk(linear: bigint, access: number, trace?: WalkTrace): WalkResult {
    const low = Number(BigInt.asUintN(32, linear)) | 0
    const high = Number(BigInt.asUintN(32, linear >> 32n)) | 0
    walkPages(this.control, low, high, access, this.#memory, this.#result, trace)
    this.#result.gpa = withoutBit(this.#result.gpa, this.#a20Mask)
    return this.#result
  }
}

const withoutBit = (gpa: number, mask: number): number => gpa - (gpa & mask)

/** Words of the four PDPTE registers, which walks of PAE paging start from (SDM vol. 3, 4.4.1). */
function pdpteRegisters(vcpu: VcpuView): Int32Array {
  const words = new BigUint64Array([0, 1, 2, 3].map(index => vcpu.register(`pdpte${index}`)))
  return new Int32Array(words.buffer)
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)

function entryMemory(machine: MachineView, readable: (gpa: number) => boolean, a20Mask: number): EntryMemory {
  return {
    low: 0,
    high: 0,
    load(address, bytes) {
      const gpa = withoutBit(address, a20Mask)
      const entry = readable(gpa) ? machine.readPhysical(gpa, bytes) : undefined
      if (entry === undefined) return false
      // Byte by byte: a DataView makes V8 move a small array's bytes out of its heap, which costs more than the walk.
      this.low = wordAt(entry, 0)
      this.high = bytes === 8 ? wordAt(entry, 4) : 0
      return true
    },
  }
}
