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

export class GuestWalk {
  readonly control: PagingControl
  readonly #memory: EntryMemory
  readonly #result = new WalkResult()

  /**
   * @param cr3 another address space than the vCPU's current one.
   * @param readable may refuse an entry by its guest-physical address, which ends the walk.
   */
  constructor(machine: MachineView, vcpu: VcpuView, cr3?: bigint, readable: (gpa: number) => boolean = () => true) {
    this.control = pagingControl(
      Number(BigInt.asUintN(32, vcpu.register('cr0'))),
      Number((cr3 ?? vcpu.register('cr3')) & ADDRESS_MASK),
      Number(BigInt.asUintN(32, vcpu.register('cr4'))),
      Number(BigInt.asUintN(32, vcpu.register('efer'))),
    )
    this.#memory = entryMemory(machine, readable)
  }

  /**
   * @param access a sum of `ACCESS_...`.
   * @returns the same object at each call.
   */
  walk(linear: bigint, access: number, trace?: WalkTrace): WalkResult {
    const low = Number(BigInt.asUintN(32, linear)) | 0
    const high = Number(BigInt.asUintN(32, linear >> 32n)) | 0
    walkPages(this.control, low, high, access, this.#memory, this.#result, trace)
    return this.#result
  }
}

function entryMemory(machine: MachineView, readable: (gpa: number) => boolean): EntryMemory {
  return {
    low: 0,
    high: 0,
    load(gpa, bytes) {
      const entry = readable(gpa) ? machine.readPhysical(gpa, bytes) : undefined
      if (entry === undefined) return false
      const view = new DataView(entry.buffer, entry.byteOffset, bytes)
      this.low = view.getInt32(0, true)
      this.high = bytes === 8 ? view.getInt32(4, true) : 0
      return true
    },
  }
}
