/** State of a processor after power-on or INIT (SDM vol. 3, table 10-1). */

import { CR0_CD, CR0_ET, CR0_NW } from '../x86/control-registers.ts'
import { RIGHTS_ACCESSED, RIGHTS_CODE, RIGHTS_P, RIGHTS_S, RIGHTS_WRITABLE } from '../x86/segment-rights.ts'
import { type CpuState, Segment } from './cpu-state.ts'
import { MXCSR_DEFAULT } from './float/sse-scalar.ts'
import * as S from './state.ts'
import { SIGNATURE } from './system/cpuid.ts'
import { DR6_RESET, DR7_RESET } from './system/debug-registers.ts'
import { resetFpu } from './x87/control.ts'

const DATA = RIGHTS_P | RIGHTS_S | RIGHTS_WRITABLE | RIGHTS_ACCESSED
const LDT = RIGHTS_P | 2
const BUSY_TSS = RIGHTS_P | 11
const PAT_AFTER_RESET = 0x0007_0406_0007_0406n

/** Constants that generated code finds in the state. */
export function setConstants(state: CpuState): void {
  state.set64(S.ZERO, 0n)
  state.set64(S.BIAS, 0x8000_0000n)
  state.set64(S.NEGATIVE_BIAS, 0xffff_ffff_8000_0000n)
}

/** Power-on when `all`; INIT keeps MSRs, x87, SSE and the caches' bits. */
export function resetState(state: CpuState, all: boolean): void {
  const { memory } = state
  const cacheBits = state.get32(S.CR0) & (CR0_CD | CR0_NW)
  const random = state.get64(S.RANDOM)
  if (all) memory.u8.fill(0, S.STATE_BASE, S.STATE_BASE + S.STATE_SIZE)
  // Random numbers do not begin anew: a machine that is reset finds others than before.
  state.set64(S.RANDOM, random)
  setConstants(state)
  for (let i = 0; i < 16; i++) state.setGpr(i, 0n)
  // EDX holds the signature that CPUID tells.
  state.setGpr(2, BigInt(SIGNATURE))
  state.rip = 0xfff0n
  state.rflags = 2
  state.setSegment(Segment.CS, { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, rights: DATA | RIGHTS_CODE })
  for (const index of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS] as const)
    state.setSegment(index, { selector: 0, base: 0n, limit: 0xffff, rights: DATA })
  state.setSegment(Segment.LDTR, { selector: 0, base: 0n, limit: 0xffff, rights: LDT })
  state.setSegment(Segment.TR, { selector: 0, base: 0n, limit: 0xffff, rights: BUSY_TSS })
  state.set64(S.GDTR_BASE, 0n)
  state.set32(S.GDTR_LIMIT, 0xffff)
  state.set64(S.IDTR_BASE, 0n)
  state.set32(S.IDTR_LIMIT, 0xffff)
  state.set64(S.CR0, BigInt(((all ? CR0_CD | CR0_NW : cacheBits) | CR0_ET) >>> 0))
  for (const register of [S.CR2, S.CR3, S.CR4, S.EFER]) state.set64(register, 0n)
  for (const index of [0, 1, 2, 3]) state.set64(S.DR + index * 8, 0n)
  state.set64(S.DR + 6 * 8, BigInt(DR6_RESET))
  state.set64(S.DR + 7 * 8, BigInt(DR7_RESET))
  state.cpl = 0
  state.set32(S.INTERRUPTIBILITY, 0)
  state.set32(S.PENDING_DEBUG, 0)
  if (!all) return
  state.set64(S.MSR_PAT, PAT_AFTER_RESET)
  state.set64(S.XCR0, 1n)
  resetFpu(state)
  state.set32(S.MXCSR, MXCSR_DEFAULT)
}
