/**
 * Small integers in linear memory, read millions of times a second: conditions are evaluated in the run loop. The walk is
 * the processor's own, without an object for each step; nothing is remembered from one read to the next but the
 * settings of paging, which are compared each time, so that a stale translation can't be used.
 */

import { EPT_READ, EptResult, walkEpt } from '../../engine/mmu/ept-walk.ts'
import {
  ACCESS_LOOK,
  type EntryMemory,
  type PagingControl,
  pagingControl,
  WalkResult,
  walkPages,
} from '../../engine/mmu/page-walk.ts'
import { isCanonical, LINEAR_BITS } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'

const PAGE = 4096
const LARGEST = 8
/** Bits 63:52 of CR3 are no part of an address. */
const CR3_ADDRESS = 0xf_ffff_ffff_ffffn

export class LinearReader {
  #cr0 = -1n
  #cr3 = -1n
  #cr4 = -1n
  #efer = -1n
  #control: PagingControl = pagingControl(0, 0, 0, 0)
  #machine: MachineView | undefined
  #memory: EntryMemory | undefined
  readonly #result = new WalkResult()
  readonly #ept = new EptResult()

  /** undefined when the fast way does not serve: the page is not there, crossed, or in no frame yet. */
  read(machine: MachineView, vcpu: VcpuView, address: bigint, size: number): bigint | undefined {
    const { hostWords, eptPointer } = machine
    const low = Number(BigInt.asUintN(32, address))
    if (hostWords === undefined || eptPointer === undefined || size > LARGEST || (low % PAGE) + size > PAGE)
      return undefined
    this.#update(machine, vcpu)
    // PAE's first level and the A20 gate are for the careful way.
    if (this.#memory === undefined || this.#control.mode === 'pae' || vcpu.register('a20m') !== 0n) return undefined
    const bits = LINEAR_BITS[this.#control.mode]
    if (bits > 32 ? !isCanonical(address, bits) : address >> 32n !== 0n) return undefined
    const high = Number(BigInt.asUintN(32, address >> 32n))
    walkPages(this.#control, low | 0, high | 0, ACCESS_LOOK, this.#memory, this.#result)
    if (this.#result.fault >= 0) return undefined
    walkEpt(eptPointer, this.#result.gpa, hostWords, this.#ept)
    if ((this.#ept.rights & EPT_READ) === 0 || this.#ept.misconfigured) return undefined
    return integerAt(hostWords, this.#ept.hpa, size)
  }

  #update(machine: MachineView, vcpu: VcpuView): void {
    const cr0 = vcpu.register('cr0')
    const cr3 = vcpu.register('cr3')
    const cr4 = vcpu.register('cr4')
    const efer = vcpu.register('efer')
    if (this.#machine !== machine) {
      this.#machine = machine
      this.#memory = entriesOf(machine)
    }
    if (cr0 === this.#cr0 && cr3 === this.#cr3 && cr4 === this.#cr4 && efer === this.#efer) return
    this.#cr0 = cr0
    this.#cr3 = cr3
    this.#cr4 = cr4
    this.#efer = efer
    this.#control = pagingControl(
      Number(BigInt.asUintN(32, cr0)),
      Number(cr3 & CR3_ADDRESS),
      Number(BigInt.asUintN(32, cr4)),
      Number(BigInt.asUintN(32, efer)),
    )
  }
}

/** Entries of the guest's tables, straight from the frames that EPT maps them to. */
function entriesOf(machine: MachineView): EntryMemory {
  const result = new EptResult()
  return {
    low: 0,
    high: 0,
    load(gpa, bytes) {
      const { hostWords, eptPointer } = machine
      if (hostWords === undefined || eptPointer === undefined) return false
      walkEpt(eptPointer, gpa, hostWords, result)
      if ((result.rights & EPT_READ) === 0 || result.misconfigured) return false
      const at = result.hpa >>> 2
      this.low = hostWords[at] | 0
      this.high = bytes === 8 ? hostWords[at + 1] | 0 : 0
      return true
    },
  }
}

function integerAt(words: Uint32Array, address: number, size: number): bigint {
  const at = address >>> 2
  const shift = (address & 3) * 8
  if (size <= 4) {
    const first = words[at]
    const value = shift === 0 ? first : shift + size * 8 <= 32 ? first >>> shift : spliced(first, words[at + 1], shift)
    return BigInt(size === 4 ? value >>> 0 : value & (2 ** (size * 8) - 1))
  }
  const low = shift === 0 ? words[at] : spliced(words[at], words[at + 1], shift)
  const high = shift === 0 ? words[at + 1] : spliced(words[at + 1], words[at + 2], shift)
  return BigInt.asUintN(size * 8, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}

const spliced = (first: number, second: number, shift: number): number => (first >>> shift) | (second << (32 - shift))
