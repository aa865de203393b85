/**
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. CPUID says AuthenticAMD, so they follow the AMD64 Architecture
 * Programmer's Manual, vol. 3: SYSCALL works in legacy and compatibility mode, SYSENTER only outside long mode, and a
 * SYSRET to a non-canonical address faults at the fetch, in ring 3. These are hot: no allocation, no BigInt.
 */

import { EFER_LMA, EFER_SCE } from '../../x86/control-registers.ts'
import { RFLAGS_IF, RFLAGS_RESERVED_1, RFLAGS_RF, RFLAGS_TF, RFLAGS_VM } from '../../x86/rflags.ts'
import type { Assist } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { mode64, protectedMode, requireSupervisor } from './cpu-mode.ts'
import { RCX, RDX } from './operand.ts'
import { RSP } from './stack.ts'

const R11 = 11

/** Flat segments as these instructions make them, without reading a descriptor (access rights in VMCS format). */
const KERNEL_CODE64 = 0xa09b
const KERNEL_CODE32 = 0xc09b
const KERNEL_STACK = 0xc093
const USER_CODE64 = 0xa0fb
const USER_CODE32 = 0xc0fb
const USER_STACK = 0xc0f3

/** Every RFLAGS bit that SYSRET can load: all but RF, VM and the reserved ones. */
const SYSRET_FLAGS = 0x3c7fd5

function flatSegment(state: CpuState, index: number, selector: number, rights: number): void {
  const at = S.SEGMENTS + index * S.SEGMENT_STRIDE
  state.set32(at + S.SEGMENT_BASE, 0)
  state.set32(at + S.SEGMENT_BASE + 4, 0)
  state.set32(at + S.SEGMENT_LIMIT, 0xffffffff)
  state.set32(at + S.SEGMENT_RIGHTS, rights)
  state.set32(at + S.SEGMENT_SELECTOR, selector)
}

/** Copies 64 bits within the state. */
function copy64(state: CpuState, to: number, from: number): void {
  state.set32(to, state.get32(from))
  state.set32(to + 4, state.get32(from + 4))
}

function setRip32(state: CpuState, rip: number): void {
  state.set32(S.RIP, rip)
  state.set32(S.RIP + 4, 0)
}

function clearSystemFlags(state: CpuState, flags: number): void {
  state.set32(S.FLAG_SYSTEM, state.get32(S.FLAG_SYSTEM) & ~flags)
}

const gprAddress = (index: number): number => S.GPR + index * 8

const syscall: Assist = cpu => {
  const { state } = cpu
  const efer = state.get32(S.EFER)
  if (!(efer & EFER_SCE)) throw invalidOpcode()
  const selector = state.get32(S.MSR_STAR + 4) & 0xfffc
  if (efer & EFER_LMA) {
    copy64(state, gprAddress(RCX), S.RIP)
    const flags = state.rflags & ~RFLAGS_RF
    state.setGpr32(R11, flags)
    copy64(state, S.RIP, mode64(state) ? S.MSR_LSTAR : S.MSR_CSTAR)
    state.rflags = flags & ~state.get32(S.MSR_FMASK)
    if ((state.get32(S.FLAG_SYSTEM) & RFLAGS_TF) === 0) state.set32(S.ENDED, S.ENDED_UNSTEPPED)
    flatSegment(state, Segment.CS, selector, KERNEL_CODE64)
  } else {
    state.setGpr32(RCX, state.get32(S.RIP))
    setRip32(state, state.get32(S.MSR_STAR))
    clearSystemFlags(state, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF)
    flatSegment(state, Segment.CS, selector, KERNEL_CODE32)
  }
  flatSegment(state, Segment.SS, (selector + 8) & 0xffff, KERNEL_STACK)
  state.cpl = 0
  cpu.contextChanged()
}

/**
 * Loads the attributes of SS too, as Intel does and unlike AMD, which leaves them: software written for either can't
 * tell, but for what breaks on AMD.
 */
const sysret: Assist = (cpu, { operandSize }) => {
  const { state } = cpu
  const efer = state.get32(S.EFER)
  if (!(efer & EFER_SCE)) throw invalidOpcode()
  if (!protectedMode(state)) throw generalProtection()
  requireSupervisor(state)
  const selector = state.get32(S.MSR_STAR + 4) >>> 16
  if (operandSize === 64) {
    copy64(state, S.RIP, gprAddress(RCX))
    flatSegment(state, Segment.CS, ((selector + 16) & 0xffff) | 3, USER_CODE64)
  } else {
    setRip32(state, state.gpr32(RCX))
    flatSegment(state, Segment.CS, selector | 3, USER_CODE32)
  }
  if (efer & EFER_LMA) state.rflags = (state.gpr32(R11) & SYSRET_FLAGS) | RFLAGS_RESERVED_1
  else state.set32(S.FLAG_SYSTEM, state.get32(S.FLAG_SYSTEM) | RFLAGS_IF)
  flatSegment(state, Segment.SS, ((selector + 8) & 0xffff) | 3, USER_STACK)
  state.cpl = 3
  cpu.contextChanged()
}

/** The kernel's code selector, when SYSENTER and SYSEXIT may run at all. */
function sysenterSelector(state: CpuState): number {
  if (state.get32(S.EFER) & EFER_LMA) throw invalidOpcode()
  const selector = state.get32(S.MSR_SYSENTER_CS) & 0xfffc
  if (!protectedMode(state) || selector === 0) throw generalProtection()
  return selector
}

const sysenter: Assist = cpu => {
  const { state } = cpu
  const selector = sysenterSelector(state)
  clearSystemFlags(state, RFLAGS_VM | RFLAGS_IF | RFLAGS_RF)
  flatSegment(state, Segment.CS, selector, KERNEL_CODE32)
  flatSegment(state, Segment.SS, (selector + 8) & 0xffff, KERNEL_STACK)
  state.setGpr32(RSP, state.get32(S.MSR_SYSENTER_ESP))
  setRip32(state, state.get32(S.MSR_SYSENTER_EIP))
  state.cpl = 0
  cpu.contextChanged()
}

const sysexit: Assist = cpu => {
  const { state } = cpu
  const selector = sysenterSelector(state)
  requireSupervisor(state)
  flatSegment(state, Segment.CS, ((selector + 16) & 0xffff) | 3, USER_CODE32)
  flatSegment(state, Segment.SS, ((selector + 24) & 0xffff) | 3, USER_STACK)
  state.setGpr32(RSP, state.gpr32(RCX))
  setRip32(state, state.gpr32(RDX))
  state.cpl = 3
  cpu.contextChanged()
}

export const syscallAssists: Readonly<Record<string, Assist>> = {
  Syscall: syscall,
  Sysretd: sysret,
  Sysretq: sysret,
  Sysenter: sysenter,
  Sysexitd: sysexit,
  Sysexitq: sysexit,
}
