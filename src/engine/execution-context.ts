/**
 * What follows from the running vCPU's control registers, flags and segments: the ASIDs and rights of its accesses, the
 * mode its code is decoded in, the identity of its fetches, and whether SSE, AVX and MMX are usable.
 */

import {
  CR0_AM,
  CR0_EM,
  CR0_TS,
  CR4_LA57,
  CR4_OSFXSR,
  CR4_OSXSAVE,
  CR4_PCIDE,
  EFER_LMA,
} from '../x86/control-registers.ts'
import { RFLAGS_AC } from '../x86/rflags.ts'
import {
  RIGHTS_CODE,
  RIGHTS_DB,
  RIGHTS_EXPAND_DOWN,
  RIGHTS_L,
  RIGHTS_P,
  RIGHTS_S,
  RIGHTS_UNUSABLE,
  RIGHTS_WRITABLE,
} from '../x86/segment-rights.ts'
import type { CpuModel } from './cpu-model.ts'
import { type CpuState, Segment } from './cpu-state.ts'
import type { AddressSpaces } from './mmu/address-spaces.ts'
import type { TranslationContext } from './mmu/mmu.ts'
import { ACCESS_SMAP_OFF, ACCESS_USER, pagingControl } from './mmu/page-walk.ts'
import { MODE_CODE_16, MODE_CODE_32, MODE_CODE_64, MODE_FLAT_DATA, MODE_LIMITED_CODE, MODES } from './mode.ts'
import * as S from './state.ts'
import { paragraphMode } from './system/cpu-mode.ts'

const CS = S.SEGMENTS + Segment.CS * S.SEGMENT_STRIDE
/** Upper half of a TLB tag that no canonical address has, with ASID 0, which is never given. */
const NO_TAG = 0x4000_0000
const MOST_FETCH_CONTEXTS = 2048
const INVALID_OPCODE = 6
const DEVICE_NOT_AVAILABLE = 7
/** The states SSE and AVX of XCR0 (SDM vol. 1, 13.3). */
const XCR0_AVX = 6

/** PCID of the current address space, 0 without CR4.PCIDE. */
export function currentPcid(state: CpuState): number {
  return (state.get32(S.CR4) & CR4_PCIDE) !== 0 ? state.get32(S.CR3) & 0xfff : 0
}

/** SDM vol. 2, 2.3.2 and table 2-18 to 2-24: CR0.EM has no say. */
function avxCheck(state: CpuState): number {
  const enabled = (state.get32(S.CR4) & CR4_OSXSAVE) !== 0 && (state.get32(S.XCR0) & XCR0_AVX) === XCR0_AVX
  if (!enabled || paragraphMode(state)) return INVALID_OPCODE
  return (state.get32(S.CR0) & CR0_TS) !== 0 ? DEVICE_NOT_AVAILABLE : 0
}

export class ExecutionContext {
  readonly #state: CpuState
  readonly #spaces: AddressSpaces
  readonly #translation: TranslationContext
  /** Numbers of fetch contexts: ASID, block mode, and CS where it is not flat; 0 stands for none. */
  readonly #fetchContexts = new Map<string | number, number>()
  /** CR0, CR3, CR4, EFER and PKRU that {@link TranslationContext.control} was made from. */
  #controlOf: readonly [number, number, number, number, number] = [-1, 0, 0, 0, 0]
  /** The PDPTE registers, in place. */
  readonly #pdptes: Int32Array
  readonly #gigabytePages: boolean

  constructor(state: CpuState, spaces: AddressSpaces, translation: TranslationContext, model: CpuModel) {
    this.#state = state
    this.#pdptes = state.memory.i32.subarray(S.PDPTES >> 2, (S.PDPTES >> 2) + 8)
    this.#gigabytePages = model.has('pdpe1gb')
    this.#spaces = spaces
    this.#translation = translation
  }

  /** ASIDs begin anew, and with them the numbers of fetch contexts. */
  forget(): void {
    this.#fetchContexts.clear()
  }

  derive(vpid: number): void {
    // A guest may load any number of code segments; what is known of them must not grow without end.
    if (this.#fetchContexts.size >= MOST_FETCH_CONTEXTS) this.#spaces.dropAll()
    this.#deriveTranslation(vpid)
    const { key, mode } = this.#codeMode()
    const state = this.#state
    state.set32(S.MODE, mode)
    state.set32(S.FETCH_CONTEXT, this.#fetchContext(key))
    const cr0 = state.get32(S.CR0)
    state.set32(S.VEX_CHECK, paragraphMode(state) ? INVALID_OPCODE : 0)
    // SDM vol. 3, table 2-2 and 13.1.2.
    const mmx = (cr0 & CR0_EM) !== 0 ? INVALID_OPCODE : (cr0 & CR0_TS) !== 0 ? DEVICE_NOT_AVAILABLE : 0
    state.set32(S.MMX_CHECK, mmx)
    state.set32(S.VECTOR_CHECK, (state.get32(S.CR4) & CR4_OSFXSR) === 0 ? INVALID_OPCODE : mmx)
    state.set32(S.AVX_CHECK, avxCheck(state))
  }

  #deriveTranslation(vpid: number): void {
    const state = this.#state
    const translation = this.#translation
    this.#deriveControl()
    translation.longMode = (state.get32(S.EFER) & EFER_LMA) !== 0
    translation.canonicalShift = (state.get32(S.CR4) & CR4_LA57) === 0 ? 15 : 24
    translation.a20Mask = state.get32(S.A20_MASK)
    const pcid = currentPcid(state)
    const smapOff = (state.get32(S.FLAG_SYSTEM) & RFLAGS_AC) !== 0
    const [user, supervisor, uncontrolled] = this.#spaces.asids(vpid, pcid)
    translation.systemAccess = 0
    translation.systemAsid = supervisor
    if (state.cpl === 3) {
      translation.access = ACCESS_USER
      translation.asid = user
    } else if (translation.control.smap && smapOff) {
      translation.access = ACCESS_SMAP_OFF
      translation.asid = uncontrolled
    } else {
      translation.access = 0
      translation.asid = supervisor
    }
    // SDM vol. 3, 2.5, CR0.AM: alignment is checked at CPL 3 only.
    translation.checksAlignment =
      state.cpl === 3 && (state.get32(S.CR0) & CR0_AM) !== 0 && (state.get32(S.FLAG_SYSTEM) & RFLAGS_AC) !== 0
    // Generated code looks for a tag that no entry has: MMU and slow path see, and check, every access.
    state.set32(S.ASID, translation.checksAlignment ? 0 : translation.asid)
    state.set32(S.ASID + 4, translation.checksAlignment ? NO_TAG : 0)
  }

  #deriveControl(): void {
    const state = this.#state
    const cr0 = state.get32(S.CR0)
    const cr3 = state.get32(S.CR3) + (state.get32(S.CR3 + 4) & 0xf_ffff) * 2 ** 32
    const cr4 = state.get32(S.CR4)
    const efer = state.get32(S.EFER)
    const pkru = state.get32(S.PKRU)
    const known = this.#controlOf
    if (known[0] === cr0 && known[1] === cr3 && known[2] === cr4 && known[3] === efer && known[4] === pkru) return
    this.#controlOf = [cr0, cr3, cr4, efer, pkru]
    const walks = { pkru, pdptes: this.#pdptes, gigabytePages: this.#gigabytePages }
    this.#translation.control = pagingControl(cr0, cr3, cr4, efer, walks)
  }

  /** Mode that code is decoded in, and what tells its fetches from others. */
  #codeMode(): { readonly mode: number; readonly key: string | number } {
    const state = this.#state
    const { asid, longMode } = this.#translation
    const rights = state.get32(CS + S.SEGMENT_RIGHTS)
    if (longMode && (rights & RIGHTS_L) !== 0) return { mode: MODE_CODE_64, key: asid * MODES + MODE_CODE_64 }
    const limit = state.get32(CS + S.SEGMENT_LIMIT)
    const base = state.get64(CS + S.SEGMENT_BASE)
    let mode = (rights & RIGHTS_DB) !== 0 ? MODE_CODE_32 : MODE_CODE_16
    if (this.#hasFlatData()) mode |= MODE_FLAT_DATA
    if (limit !== 0xffff_ffff) mode |= MODE_LIMITED_CODE
    const flat = base === 0n && limit === 0xffff_ffff
    return { mode, key: flat ? asid * MODES + mode : `${asid}:${mode}:${base}:${limit}` }
  }

  /** DS, ES and SS with base 0, limit 4 GiB, present, writable, expand-up; SS with a 32-bit stack pointer. */
  #hasFlatData(): boolean {
    const wanted = RIGHTS_P | RIGHTS_S | RIGHTS_WRITABLE
    const mask = wanted | RIGHTS_CODE | RIGHTS_EXPAND_DOWN | RIGHTS_UNUSABLE
    const state = this.#state
    if ((state.get32(S.SEGMENTS + Segment.SS * S.SEGMENT_STRIDE + S.SEGMENT_RIGHTS) & RIGHTS_DB) === 0) return false
    for (const index of [Segment.ES, Segment.SS, Segment.DS]) {
      const at = S.SEGMENTS + index * S.SEGMENT_STRIDE
      if ((state.get32(at + S.SEGMENT_RIGHTS) & mask) !== wanted) return false
      if (state.get32(at + S.SEGMENT_LIMIT) !== 0xffff_ffff) return false
      if (state.get32(at + S.SEGMENT_BASE) !== 0 || state.get32(at + S.SEGMENT_BASE + 4) !== 0) return false
    }
    return true
  }

  #fetchContext(key: string | number): number {
    const known = this.#fetchContexts.get(key)
    if (known !== undefined) return known
    const number = this.#fetchContexts.size + 1
    this.#fetchContexts.set(key, number)
    return number
  }
}
