/** MOV to and from control registers, CLTS, LMSW, SMSW (SDM vol. 3, 2.5 and 4.10.4.1 for what they drop from the TLB). */

import {
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
} from '../../x86/control-registers.ts'
import { DESCRIPTOR_TSS_BUSY_BIT, DESCRIPTOR_TSS16_AVAILABLE } from '../../x86/descriptor.ts'
import { RIGHTS_L } from '../../x86/segment-rights.ts'
import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import { type CpuState, Segment } from '../cpu-state.ts'
import { generalProtection, invalidOpcode } from '../fault.ts'
import * as S from '../state.ts'
import { codeRights, mode64, requireSupervisor, requireSystemInformation } from './cpu-mode.ts'
import { PHYSICAL_ADDRESS_BITS } from './cpuid.ts'
import { readRm16, writeRm16 } from './operand.ts'
import { fetchPdptes, setPdptes, usesPdptes } from './pdptes.ts'

const CR0_KNOWN = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
/** A change of one of these drops every translation. */
const CR4_FLUSHING = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE
/** A change of one of these loads the PDPTEs of PAE paging (SDM vol. 3, 4.4.1). */
const CR4_LOADS_PDPTES = CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP
const CR0_LOADS_PDPTES = CR0_PG | CR0_CD | CR0_NW

const CR3_NO_FLUSH = 1n << 63n
const CR3_RESERVED = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) & 0xffffffffffffffffn

const TR_RIGHTS = S.SEGMENTS + Segment.TR * S.SEGMENT_STRIDE + S.SEGMENT_RIGHTS
/** Does TR hold a 16-bit TSS, which long mode does not know? */
const taskIs16Bit = (state: CpuState): boolean =>
  (state.get32(TR_RIGHTS) & 0xf & ~DESCRIPTOR_TSS_BUSY_BIT) === DESCRIPTOR_TSS16_AVAILABLE

/** @param requested low 32 bits; ET stays set, unknown bits stay clear. */
export function writeCr0(cpu: AssistCpu, requested: number): void {
  const { state } = cpu
  const value = (requested & CR0_KNOWN) | CR0_ET
  const old = state.get32(S.CR0)
  const cr4 = state.get32(S.CR4)
  let efer = state.get32(S.EFER)
  if (value & CR0_PG && !(value & CR0_PE)) throw generalProtection()
  if (value & CR0_NW && !(value & CR0_CD)) throw generalProtection()
  const paging = (value & CR0_PG) !== 0
  const wasPaging = (old & CR0_PG) !== 0
  if (paging && !wasPaging && efer & EFER_LME) {
    // SDM vol. 2, MOV to control registers, #GP.
    if (!(cr4 & CR4_PAE) || codeRights(state) & RIGHTS_L || taskIs16Bit(state)) throw generalProtection()
    efer |= EFER_LMA
  }
  if (!paging && wasPaging) {
    if (mode64(state) || cr4 & CR4_PCIDE) throw generalProtection()
    efer &= ~EFER_LMA
  }
  const changed = value ^ old
  const loads = usesPdptes(value, cr4, efer) && (changed & CR0_LOADS_PDPTES) !== 0
  const pdptes = loads ? fetchPdptes(cpu, state.get64(S.CR3)) : []
  state.set32(S.CR0, value)
  state.set32(S.EFER, efer)
  setPdptes(state, pdptes)
  if (changed & (CR0_PG | CR0_PE | CR0_WP)) cpu.flushTlb(false)
  cpu.contextChanged()
}

/** MOV to CR3 with all its effects on the TLB. Bit 63 with PCIDs keeps the entries of the new PCID. */
export function writeCr3(cpu: AssistCpu, value: bigint): void {
  const { state } = cpu
  const cr4 = state.get32(S.CR4)
  const long = (state.get32(S.EFER) & EFER_LMA) !== 0
  const pcids = (cr4 & CR4_PCIDE) !== 0
  const keep = pcids && (value & CR3_NO_FLUSH) !== 0n
  const cr3 = keep ? value & ~CR3_NO_FLUSH : value
  if (long && cr3 & CR3_RESERVED) throw generalProtection()
  const pdptes = usesPdptes(state.get32(S.CR0), cr4, state.get32(S.EFER)) ? fetchPdptes(cpu, cr3) : []
  state.set64(S.CR3, cr3)
  setPdptes(state, pdptes)
  if (!pcids) cpu.flushTlb(true)
  else if (!keep) cpu.flushPcid(Number(cr3 & 0xfffn))
  cpu.contextChanged()
}

export function writeCr4(cpu: AssistCpu, value: bigint): void {
  const { state } = cpu
  const old = state.get32(S.CR4)
  const cr4 = Number(value & 0xffffffffn)
  const long = (state.get32(S.EFER) & EFER_LMA) !== 0
  if (value >> 32n || cr4 & ~cpu.model.cr4Allowed) throw generalProtection()
  const changed = cr4 ^ old
  if (long && (!(cr4 & CR4_PAE) || changed & CR4_LA57)) throw generalProtection()
  const enablesPcids = (cr4 & ~old & CR4_PCIDE) !== 0
  if (enablesPcids && (!long || state.get64(S.CR3) & 0xfffn)) throw generalProtection()
  const loads = usesPdptes(state.get32(S.CR0), cr4, state.get32(S.EFER)) && (changed & CR4_LOADS_PDPTES) !== 0
  const pdptes = loads ? fetchPdptes(cpu, state.get64(S.CR3)) : []
  state.set32(S.CR4, cr4)
  setPdptes(state, pdptes)
  if (changed & CR4_FLUSHING) cpu.flushTlb(false)
  cpu.contextChanged()
}

const sourceOf = (cpu: AssistCpu, { register1 }: AssistInstruction): bigint =>
  mode64(cpu.state) ? cpu.state.gpr(register1) : BigInt(cpu.state.gpr32(register1))

const movToControl: Assist = (cpu, instruction) => {
  const { state, controls } = cpu
  const value = sourceOf(cpu, instruction)
  const register = instruction.register0
  if (register === 1 || (register > 4 && register !== 8)) throw invalidOpcode()
  requireSupervisor(state)
  switch (register) {
    case 0:
      if (value >> 32n) throw generalProtection()
      writeCr0(cpu, Number(value))
      if (controls.crExits.cr0) cpu.exitRetired({ reason: 'cr-access', register: 0, value })
      break
    case 2:
      state.set64(S.CR2, value)
      break
    case 3:
      writeCr3(cpu, value)
      if (controls.crExits.cr3) cpu.exitRetired({ reason: 'cr-access', register: 3, value })
      break
    case 4:
      writeCr4(cpu, value)
      if (controls.crExits.cr4) cpu.exitRetired({ reason: 'cr-access', register: 4, value })
      break
    default:
      if (value > 15n) throw generalProtection()
      cpu.taskPriority = Number(value)
  }
}

const CONTROL_REGISTERS: Readonly<Record<number, number>> = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4 }

const movFromControl: Assist = (cpu, { register0, register1 }) => {
  const { state } = cpu
  const at = CONTROL_REGISTERS[register1]
  if (at === undefined && register1 !== 8) throw invalidOpcode()
  requireSupervisor(state)
  const value = at === undefined ? BigInt(cpu.taskPriority) : state.get64(at)
  if (mode64(state)) state.setGpr(register0, value)
  else state.setGpr32(register0, Number(value & 0xffffffffn))
}

const clts: Assist = cpu => {
  requireSupervisor(cpu.state)
  cpu.state.set32(S.CR0, cpu.state.get32(S.CR0) & ~CR0_TS)
  cpu.contextChanged()
}

/** Loads PE, MP, EM and TS; PE can be set and not cleared. */
const lmsw: Assist = (cpu, instruction) => {
  requireSupervisor(cpu.state)
  instruction.checkSegment(cpu.state, 2, false)
  const old = cpu.state.get32(S.CR0)
  const loaded = readRm16(cpu, instruction, instruction.register0) & 0xf
  writeCr0(cpu, (old & ~(CR0_MP | CR0_EM | CR0_TS)) | loaded)
}

const smsw: Assist = (cpu, instruction) => {
  requireSystemInformation(cpu.state)
  const cr0 = cpu.state.get32(S.CR0)
  writeRm16(cpu, instruction, instruction.register0, cr0)
}

export const controlRegisterAssists: Readonly<Record<string, Assist>> = {
  Mov_cr_r32: movToControl,
  Mov_cr_r64: movToControl,
  Mov_r32_cr: movFromControl,
  Mov_r64_cr: movFromControl,
  Clts: clts,
  Lmsw_rm16: lmsw,
  Lmsw_r32m16: lmsw,
  Lmsw_r64m16: lmsw,
  Smsw_rm16: smsw,
  Smsw_r32m16: smsw,
  Smsw_r64m16: smsw,
}
