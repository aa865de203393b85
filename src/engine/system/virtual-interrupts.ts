/**
 * Virtual interrupts of virtual-8086 mode (CR4.VME; SDM vol. 3, 20.3): below IOPL 3 the instructions on IF work on VIF,
 * and INT n may stay in the 8086 program. CLI, STI and PUSHF are generated: `isa/flag.ts`.
 */

import { CR4_VME } from '../../x86/control-registers.ts'
import { isNullSelector } from '../../x86/descriptor.ts'
import {
  RFLAGS_ARITHMETIC,
  RFLAGS_DF,
  RFLAGS_IF,
  RFLAGS_IOPL,
  RFLAGS_NT,
  RFLAGS_RF,
  RFLAGS_TF,
  RFLAGS_VIF,
  RFLAGS_VIP,
} from '../../x86/rflags.ts'
import type { AssistCpu } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { enterCode } from './code-segment.ts'
import { ioPrivilege, virtual8086 } from './cpu-mode.ts'
import { tableAddress } from './descriptors.ts'
import { v86Cache } from './segment-load.ts'
import { Stack } from './stack.ts'

const TSS_IO_MAP_BASE = 102
/** Bytes of the software interrupt redirection bitmap, which ends where the I/O permission bitmap begins. */
const REDIRECTION_BYTES = 32

/** Flags that the 8086 program itself changes below IOPL 3. */
const PROGRAM_FLAGS = RFLAGS_ARITHMETIC | RFLAGS_DF | RFLAGS_NT

const hasVme = (state: CpuState): boolean => (state.get32(S.CR4) & CR4_VME) !== 0

/**
 * Does an instruction on the flags have to leave IF alone, because it runs in virtual-8086 mode below IOPL 3?
 * Throws #GP(0) where the mode's extensions do not serve it: without CR4.VME, or with a 32-bit operand.
 */
export function usesVirtualFlag(state: CpuState, operandSize: 16 | 32 | 64): boolean {
  if (!virtual8086(state) || ioPrivilege(state) === 3) return false
  if (!hasVme(state) || operandSize !== 16) throw generalProtection()
  return true
}

/** #GP(0) for a FLAGS image that POPF or IRET may not load with VIF for IF: it is for the monitor to act on. */
export function checkVirtualFlags(state: CpuState, image: number): void {
  const interruptible = (image & RFLAGS_IF) !== 0 && (state.get32(S.FLAG_SYSTEM) & RFLAGS_VIP) !== 0
  if (interruptible || (image & RFLAGS_TF) !== 0) throw generalProtection()
}

/** Loads a checked FLAGS image: its IF goes to VIF; IF and IOPL stay. */
export function loadVirtualFlags(state: CpuState, image: number): void {
  const kept = state.rflags & ~(PROGRAM_FLAGS | RFLAGS_TF | RFLAGS_VIF | RFLAGS_RF)
  state.rflags = kept | (image & PROGRAM_FLAGS) | ((image & RFLAGS_IF) !== 0 ? RFLAGS_VIF : 0)
}

/**
 * Does INT n of virtual-8086 mode go to the 8086 program's own handler (SDM vol. 3, table 20-2, methods 5 and 6)?
 * Throws #GP(0) where it goes to neither handler but to the monitor (methods 2 and 3).
 */
export function redirects(cpu: AssistCpu, vector: number): boolean {
  const { state } = cpu
  const here = hasVme(state) && isRedirected(cpu, vector)
  if (!here && ioPrivilege(state) < 3) throw generalProtection()
  return here
}

function isRedirected(cpu: AssistCpu, vector: number): boolean {
  const { base, limit, rights, selector } = cpu.state.segment(Segment.TR)
  // Only a 32-bit TSS has bitmaps.
  if (isNullSelector(selector) || !(rights & 8) || limit < TSS_IO_MAP_BASE + 1) throw generalProtection()
  const ioMap = cpu.memory.read16(tableAddress(cpu, base, TSS_IO_MAP_BASE), true)
  const at = ioMap - REDIRECTION_BYTES + (vector >> 3)
  if (at < 0 || at > limit) throw generalProtection()
  return ((cpu.memory.read8(tableAddress(cpu, base, at), true) >> (vector & 7)) & 1) === 0
}

/** Enters the 8086 program's handler through the interrupt vector table at linear address 0, on the current stack. */
export function deliverRedirected(cpu: AssistCpu, vector: number, returnRip: bigint): void {
  const { memory, state } = cpu
  const entry = memory.read32(BigInt(vector * 4), true)
  const virtual = ioPrivilege(state) < 3
  const flags = state.rflags
  let image = flags
  if (virtual) image = (flags & ~RFLAGS_IF) | RFLAGS_IOPL | ((flags & RFLAGS_VIF) !== 0 ? RFLAGS_IF : 0)
  const stack = Stack.current(cpu)
  stack.push(BigInt(image & 0xffff), 2)
  stack.push(BigInt(state.segment(Segment.CS).selector), 2)
  stack.push(returnRip, 2)
  stack.flush()
  stack.commit()
  state.set32(S.FLAG_SYSTEM, flags & ~(RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_RF | (virtual ? RFLAGS_VIF : RFLAGS_IF)))
  enterCode(cpu, v86Cache(entry >>> 16), BigInt(entry & 0xffff), 3)
}
