/** INVLPG and INVPCID (SDM vol. 2; vol. 3, 4.10.4.1). */

import { CR4_PCIDE } from '../../x86/control-registers.ts'
import type { Assist } from '../assist.ts'
import { generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { isCanonicalBase, mode64, requireSupervisor, virtual8086 } from './cpu-mode.ts'

/** An address that is not canonical has no translation: INVLPG is a NOP then. */
const invlpg: Assist = (cpu, { address }) => {
  requireSupervisor(cpu.state)
  if (mode64(cpu.state) && !isCanonicalBase(cpu, address)) return
  cpu.invalidatePage(address)
}

/** Types of INVPCID. */
const INDIVIDUAL_ADDRESS = 0n
const SINGLE_CONTEXT = 1n
const ALL_WITH_GLOBAL = 2n
const ALL_CONTEXTS = 3n

const invpcid: Assist = (cpu, { address, register0 }) => {
  const { memory, state } = cpu
  if (virtual8086(state)) throw generalProtection()
  requireSupervisor(state)
  const long = mode64(state)
  const type = long ? state.gpr(register0) : BigInt(state.gpr32(register0))
  const descriptor = memory.read64(address)
  const linear = memory.read64(long ? BigInt.asUintN(64, address + 8n) : (address + 8n) & 0xffff_ffffn)
  if (type > ALL_CONTEXTS || descriptor >> 12n !== 0n) throw generalProtection()
  const pcid = Number(descriptor)
  const names = type === INDIVIDUAL_ADDRESS || type === SINGLE_CONTEXT
  if (names && pcid !== 0 && (state.get32(S.CR4) & CR4_PCIDE) === 0) throw generalProtection()
  if (type === INDIVIDUAL_ADDRESS) {
    if (!isCanonicalBase(cpu, linear)) throw generalProtection()
    cpu.invalidatePcidPage(linear, pcid)
  } else if (type === SINGLE_CONTEXT) cpu.flushPcid(pcid)
  else if (type === ALL_WITH_GLOBAL) cpu.flushTlb(false)
  else cpu.flushAllPcids()
}

export const tlbInvalidationAssists: Readonly<Record<string, Assist>> = {
  Invlpg_m: invlpg,
  Invpcid_r32_m128: invpcid,
  Invpcid_r64_m128: invpcid,
}
