/** GDTR, IDTR, LDTR and TR: LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR. */

import {
  DESCRIPTOR_LDT,
  DESCRIPTOR_TSS_AVAILABLE,
  DESCRIPTOR_TSS_BUSY_BIT,
  DESCRIPTOR_TSS16_AVAILABLE,
  isNullSelector,
  isPresent,
  SELECTOR_TI,
} from '../../x86/descriptor.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { Segment, type SegmentIndex } from '../cpu-state.ts'
import { generalProtection, segmentNotPresent } from '../fault.ts'
import * as S from '../state.ts'
import {
  isCanonicalBase,
  longMode,
  mode64,
  requireProtectedMode,
  requireSupervisor,
  requireSystemInformation,
} from './cpu-mode.ts'
import {
  hasSystemType,
  nullCache,
  readDescriptor,
  selectorGeneralProtection,
  systemCacheOf,
  type TableDescriptor,
} from './descriptors.ts'
import { readRm16, writeRm16 } from './operand.ts'

const storeTable =
  (base: number, limit: number): Assist =>
  (cpu, { address }) => {
    const { memory, state } = cpu
    requireSystemInformation(state)
    const wide = mode64(state)
    memory.probeWrite(address, wide ? 10 : 6)
    memory.write16(address, state.get32(limit))
    // 386 and later store all 32 bits of the base whatever the operand size.
    if (wide) memory.write64(address + 2n, state.get64(base))
    else memory.write32(address + 2n, Number(state.get64(base) & 0xffffffffn))
  }

const loadTable =
  (base: number, limit: number): Assist =>
  (cpu, instruction) => {
    const { memory, state } = cpu
    requireSupervisor(state)
    instruction.checkSegment(state, 6, false)
    const { address, operandSize } = instruction
    const newLimit = memory.read16(address)
    let newBase: bigint
    if (mode64(state)) {
      newBase = memory.read64(address + 2n)
      if (!isCanonicalBase(cpu, newBase)) throw generalProtection()
    } else {
      newBase = BigInt(memory.read32(address + 2n))
      if (operandSize === 16) newBase &= 0xffffffn
    }
    state.set64(base, newBase)
    state.set32(limit, newLimit)
  }

const storeSelector =
  (index: SegmentIndex): Assist =>
  (cpu, instruction) => {
    requireProtectedMode(cpu.state)
    requireSystemInformation(cpu.state)
    const at = S.SEGMENTS + index * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR
    writeRm16(cpu, instruction, instruction.register0, cpu.state.get32(at))
  }

function requireGdt(selector: number): void {
  if (selector & SELECTOR_TI) throw selectorGeneralProtection(selector)
}

/** Marks a TSS busy, or available again, in its descriptor in memory. */
export function setTssBusy(cpu: AssistCpu, descriptor: TableDescriptor, busy: boolean): void {
  const access = (descriptor.hi >>> 8) & 0xff
  const value = busy ? access | DESCRIPTOR_TSS_BUSY_BIT : access & ~DESCRIPTOR_TSS_BUSY_BIT
  cpu.memory.write8(descriptor.address + 5n, value, true)
}

const lldt: Assist = (cpu, instruction) => {
  requireProtectedMode(cpu.state)
  requireSupervisor(cpu.state)
  instruction.checkSegment(cpu.state, 2, false)
  const selector = readRm16(cpu, instruction, instruction.register0)
  if (isNullSelector(selector)) {
    cpu.state.setSegment(Segment.LDTR, nullCache(selector))
    return
  }
  requireGdt(selector)
  const descriptor = readDescriptor(cpu, selector)
  if (!hasSystemType(descriptor, DESCRIPTOR_LDT)) throw selectorGeneralProtection(selector)
  if (!isPresent(descriptor.rights)) throw segmentNotPresent(selector)
  cpu.state.setSegment(Segment.LDTR, systemCacheOf(cpu, descriptor))
}

const ltr: Assist = (cpu, instruction) => {
  requireProtectedMode(cpu.state)
  requireSupervisor(cpu.state)
  instruction.checkSegment(cpu.state, 2, false)
  const selector = readRm16(cpu, instruction, instruction.register0)
  if (isNullSelector(selector)) throw generalProtection()
  requireGdt(selector)
  const descriptor = readDescriptor(cpu, selector)
  const available = longMode(cpu.state)
    ? hasSystemType(descriptor, DESCRIPTOR_TSS_AVAILABLE)
    : hasSystemType(descriptor, DESCRIPTOR_TSS_AVAILABLE, DESCRIPTOR_TSS16_AVAILABLE)
  if (!available) throw selectorGeneralProtection(selector)
  if (!isPresent(descriptor.rights)) throw segmentNotPresent(selector)
  const cache = systemCacheOf(cpu, descriptor)
  setTssBusy(cpu, descriptor, true)
  cache.rights |= DESCRIPTOR_TSS_BUSY_BIT
  cpu.state.setSegment(Segment.TR, cache)
}

const sgdt = storeTable(S.GDTR_BASE, S.GDTR_LIMIT)
const sidt = storeTable(S.IDTR_BASE, S.IDTR_LIMIT)
const lgdt = loadTable(S.GDTR_BASE, S.GDTR_LIMIT)
const lidt = loadTable(S.IDTR_BASE, S.IDTR_LIMIT)
const sldt = storeSelector(Segment.LDTR)
const str = storeSelector(Segment.TR)

export const tableRegisterAssists: Readonly<Record<string, Assist>> = {
  Sgdt_m1632_16: sgdt,
  Sgdt_m1632: sgdt,
  Sgdt_m1664: sgdt,
  Sidt_m1632_16: sidt,
  Sidt_m1632: sidt,
  Sidt_m1664: sidt,
  Lgdt_m1632_16: lgdt,
  Lgdt_m1632: lgdt,
  Lgdt_m1664: lgdt,
  Lidt_m1632_16: lidt,
  Lidt_m1632: lidt,
  Lidt_m1664: lidt,
  Sldt_rm16: sldt,
  Sldt_r32m16: sldt,
  Sldt_r64m16: sldt,
  Str_rm16: str,
  Str_r32m16: str,
  Str_r64m16: str,
  Lldt_rm16: lldt,
  Lldt_r32m16: lldt,
  Lldt_r64m16: lldt,
  Ltr_rm16: ltr,
  Ltr_r32m16: ltr,
  Ltr_r64m16: ltr,
}
