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
    this.control = pagingControl(
      Number(BigInt.asUintN(32, vcpu.register('cr0'))),
      Number((cr3 ?? current) & ADDRESS_MASK),
      Number(BigInt.asUintN(32, vcpu.register('cr4'))),
      Number(BigInt.asUintN(32, vcpu.register('efer'))),
      {
        pkru: Number(BigInt.asUintN(32, vcpu.register('pkru'))),
        // Those of another address space are in memory only.
        pdptes: other ? undefined : pdpteRegisters(vcpu),
      },
    )
    this.#a20Mask = vcpu.register('a20m') === 0n ? 0 : A20
    this.#memory = entryMemory(machine, readable, this.#a20Mask)
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

function entryMemory(machine: MachineView, readable: (gpa: number) => boolean, a20Mask: number): EntryMemory {
  return {
    low: 0,
    high: 0,
    load(address, bytes) {
      const gpa = withoutBit(address, a20Mask)
      const entry = readable(gpa) ? machine.readPhysical(gpa, bytes) : undefined
      if (entry === undefined) return false
      const view = new DataView(entry.buffer, entry.byteOffset, bytes)
      this.low = view.getInt32(0, true)
      this.high = bytes === 8 ? view.getInt32(4, true) : 0
      return true
    },
  }
}
