/** Instruction breakpoints of the debug registers (SDM vol. 3, 17.2); those on data are the MMU's to meet. */

import type { CpuState } from './cpu-state.ts'
import * as S from './state.ts'

const DR7 = S.DR + 7 * 8
/** DR7: any of the four breakpoints enabled, locally or globally. */
const ENABLED = 0xff
/** R/W field of a breakpoint on instruction execution. */
const EXECUTION = 0

const isEnabled = (dr7: number, index: number): boolean => ((dr7 >>> (2 * index)) & 3) !== 0
const kindOf = (dr7: number, index: number): number => (dr7 >>> (16 + 4 * index)) & 3

/** Is any breakpoint enabled at all? */
export function hasBreakpoints(state: CpuState): boolean {
  return (state.get32(DR7) & ENABLED) !== 0
}

export function hasInstructionBreakpoints(state: CpuState): boolean {
  const dr7 = state.get32(DR7)
  return [0, 1, 2, 3].some(index => isEnabled(dr7, index) && kindOf(dr7, index) === EXECUTION)
}

/** DR6 bits of the instruction breakpoints at a linear address. */
export function instructionBreakpointsAt(state: CpuState, linear: bigint): number {
  const dr7 = state.get32(DR7)
  let matched = 0
  for (let index = 0; index < 4; index++)
    if (isEnabled(dr7, index) && kindOf(dr7, index) === EXECUTION && state.get64(S.DR + index * 8) === linear)
      matched |= 1 << index
  return matched
}
