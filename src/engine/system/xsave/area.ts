/** What XSAVE and XRSTOR have in common: their checks, and what they reach of an area. */

import { CR0_TS, CR4_OSXSAVE } from '../../../x86/control-registers.ts'
import type { AssistCpu, AssistInstruction } from '../../assist.ts'
import type { CpuState } from '../../cpu-state.ts'
import { deviceNotAvailable, generalProtection, invalidOpcode } from '../../fault.ts'
import * as S from '../../state.ts'
import { mode64 } from '../cpu-mode.ts'
import { RAX } from '../operand.ts'
import type { VectorCount } from './components.ts'

/** In the 64-bit header at the end of the legacy region (SDM vol. 1, 13.4.2). */
export const XCOMP_BV_COMPACTED = 1n << 63n
export const HEADER_SIZE = 64

export function requireOsXsave(state: CpuState): void {
  if (!(state.get32(S.CR4) & CR4_OSXSAVE)) throw invalidOpcode()
}

/** In the order of their priority: #UD, #NM, #GP (SDM vol. 2, XSAVE). CR0.EM does not matter. */
export function requireArea({ state }: AssistCpu, { address }: AssistInstruction): void {
  requireOsXsave(state)
  if (state.get32(S.CR0) & CR0_TS) throw deviceNotAvailable()
  if (address & 63n) throw generalProtection()
}

/** RFBM, the components that the instruction is about. EDX selects none: XCR0 has no bits there. */
export const requestedComponents = (state: CpuState): number => state.get32(S.XCR0) & state.gpr32(RAX)

export const vectorCount = (state: CpuState): VectorCount => (mode64(state) ? 16 : 8)
