/** MOV to and from debug registers (SDM vol. 3, 17.2). */

import { CR4_DE } from '../../x86/control-registers.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'
import { GuestFault, generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { mode64, requireSupervisor } from './cpu-mode.ts'

const VECTOR_DEBUG = 1

const DR6 = 6
const DR7 = 7
/** DR6: bits that always read as 1, and those that can be written: B0-B3, BD, BS, BT. */
const DR6_ONES = 0xffff0ff0
const DR6_WRITABLE = 0xe00f
const DR6_BD = 1 << 13
/** DR7: bit 10 reads as 1; 11, 12, 14, 15 as 0. */
const DR7_ONES = 0x400
const DR7_WRITABLE = 0xffff23ff
const DR7_GD = 1 << 13

const debugRegister = (index: number): number => S.DR + index * 8

/** Power-on values (SDM vol. 3, table 10-1). */
export const DR6_RESET = DR6_ONES
export const DR7_RESET = DR7_ONES

/**
 * Records why a debug exception happens. Bits accumulate, software clears them.
 * @param bits in the format of DR6, as in {@link S.PENDING_DEBUG}
 */
export function setDebugStatus(state: CpuState, bits: number): void {
  const at = debugRegister(DR6)
  state.set32(at, state.get32(at) | (bits & DR6_WRITABLE) | DR6_ONES)
}

/** DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them invalid; DR7.GD guards them all. */
function checkedRegister(cpu: AssistCpu, register: number): number {
  const { state } = cpu
  if (register > 7) throw invalidOpcode()
  const alias = register === 4 || register === 5
  if (alias && state.get32(S.CR4) & CR4_DE) throw invalidOpcode()
  requireSupervisor(state)
  if (state.get32(debugRegister(DR7)) & DR7_GD) {
    setDebugStatus(state, DR6_BD)
    throw new GuestFault(VECTOR_DEBUG)
  }
  return alias ? register + 2 : register
}

const movFromDebug: Assist = (cpu, { register0, register1 }) => {
  const { state } = cpu
  const at = debugRegister(checkedRegister(cpu, register1))
  if (mode64(state)) state.setGpr(register0, state.get64(at))
  else state.setGpr32(register0, state.get32(at))
}

const movToDebug: Assist = (cpu, { register0, register1 }) => {
  const { state } = cpu
  const register = checkedRegister(cpu, register0)
  const value = mode64(state) ? state.gpr(register1) : BigInt(state.gpr32(register1))
  if (register < DR6) state.set64(debugRegister(register), value)
  else {
    if (value >> 32n) throw generalProtection()
    const low = Number(value)
    const kept = register === DR6 ? (low & DR6_WRITABLE) | DR6_ONES : (low & DR7_WRITABLE) | DR7_ONES
    state.set64(debugRegister(register), BigInt(kept >>> 0))
  }
  cpu.contextChanged()
}

export const debugRegisterAssists: Readonly<Record<string, Assist>> = {
  Mov_r32_dr: movFromDebug,
  Mov_r64_dr: movFromDebug,
  Mov_dr_r32: movToDebug,
  Mov_dr_r64: movToDebug,
}
