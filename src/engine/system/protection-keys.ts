/** WRPKRU (SDM vol. 2), and what a change of PKRU drops (vol. 3, 4.6.2). */

import { CR4_PKE } from '../../x86/control-registers.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { RAX, RCX, RDX } from './operand.ts'

const KEYS = 16

/** Loads PKRU: translations that the old rights let through are looked at again. */
export function writePkru(cpu: AssistCpu, value: number): void {
  const { state } = cpu
  const changed = state.get32(S.PKRU) ^ value
  if (changed === 0) return
  let keys = 0
  for (let key = 0; key < KEYS; key++) if (((changed >>> (2 * key)) & 3) !== 0) keys |= 1 << key
  state.set32(S.PKRU, value)
  cpu.dropProtectionKeys(keys)
}

const wrpkru: Assist = cpu => {
  if ((cpu.state.get32(S.CR4) & CR4_PKE) === 0) throw invalidOpcode()
  if (cpu.state.gpr32(RCX) !== 0 || cpu.state.gpr32(RDX) !== 0) throw generalProtection()
  writePkru(cpu, cpu.state.gpr32(RAX))
}

export const protectionKeyAssists: Readonly<Record<string, Assist>> = { Wrpkru: wrpkru }
