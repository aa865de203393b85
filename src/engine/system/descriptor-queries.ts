/** Instructions that ask about a selector and answer in ZF: LAR, LSL, VERR, VERW, ARPL (SDM vol. 3, 5.10). */

import {
  descriptorLimit,
  isCode,
  isConformingCode,
  isNullSelector,
  isReadable,
  isSystem,
  isWritableData,
} from '../../x86/descriptor.ts'
import { RFLAGS_ZF } from '../../x86/rflags.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import type { CpuState } from '../cpu-state.ts'
import { longMode, requireProtectedMode } from './cpu-mode.ts'
import { probeDescriptor, type TableDescriptor } from './descriptors.ts'
import { readRm16, writeRegister } from './operand.ts'

/** System types that LAR and LSL know (SDM vol. 2, tables 3-53 and 3-54). */
const LAR_TYPES = new Set([1, 2, 3, 4, 5, 9, 11, 12])
const LAR_TYPES_LONG = new Set([2, 9, 11, 12])
const LSL_TYPES = new Set([1, 2, 3, 9, 11])
const LSL_TYPES_LONG = new Set([2, 9, 11])

function setZero(state: CpuState, zero: boolean): void {
  state.rflags = zero ? state.rflags | RFLAGS_ZF : state.rflags & ~RFLAGS_ZF
}

/** The descriptor when the current privilege level and the selector's RPL may see it. */
function visible(cpu: AssistCpu, selector: number): TableDescriptor | undefined {
  if (isNullSelector(selector)) return undefined
  const descriptor = probeDescriptor(cpu, selector)
  if (descriptor === undefined) return undefined
  const { rights, dpl } = descriptor
  if (isConformingCode(rights)) return descriptor
  return cpu.state.cpl > dpl || (selector & 3) > dpl ? undefined : descriptor
}

const query =
  (types: Set<number>, longTypes: Set<number>, answer: (descriptor: TableDescriptor) => number): Assist =>
  (cpu, instruction) => {
    requireProtectedMode(cpu.state)
    const descriptor = visible(cpu, readRm16(cpu, instruction, instruction.register1))
    const known = longMode(cpu.state) ? longTypes : types
    const valid = descriptor !== undefined && (!isSystem(descriptor.rights) || known.has(descriptor.rights & 0xf))
    if (valid)
      writeRegister(cpu.state, instruction.register0, instruction.operandSize, BigInt(answer(descriptor) >>> 0))
    setZero(cpu.state, valid)
  }

/** Bits 19:16 of LAR's answer are undefined (SDM vol. 2, LAR); processors give the descriptor's, which are the limit's. */
const lar = query(LAR_TYPES, LAR_TYPES_LONG, ({ hi }) => hi & 0x00ffff00)
const lsl = query(LSL_TYPES, LSL_TYPES_LONG, ({ lo, hi }) => descriptorLimit(lo, hi))

const verify =
  (allows: (rights: number) => boolean): Assist =>
  (cpu, instruction) => {
    requireProtectedMode(cpu.state)
    const descriptor = visible(cpu, readRm16(cpu, instruction, instruction.register0))
    setZero(cpu.state, descriptor !== undefined && allows(descriptor.rights))
  }

const verr = verify(isReadable)
const verw = verify(rights => !isCode(rights) && isWritableData(rights))

/** Raises the RPL of the first operand to that of the second. */
const arpl: Assist = (cpu, instruction) => {
  requireProtectedMode(cpu.state)
  const { hasMemory, address, register0, register1 } = instruction
  const selector = readRm16(cpu, instruction, register0)
  const rpl = cpu.state.gpr32(register1) & 3
  const raise = (selector & 3) < rpl
  if (raise) {
    const value = (selector & ~3) | rpl
    // Only then is the operand written.
    if (hasMemory) {
      instruction.checkSegment(cpu.state, 2, true)
      cpu.memory.write16(address, value)
    } else cpu.state.setGpr16(register0, value)
  }
  setZero(cpu.state, raise)
}

export const descriptorQueryAssists: Readonly<Record<string, Assist>> = {
  Lar_r16_rm16: lar,
  Lar_r32_r32m16: lar,
  Lar_r64_r64m16: lar,
  Lsl_r16_rm16: lsl,
  Lsl_r32_r32m16: lsl,
  Lsl_r64_r64m16: lsl,
  Verr_rm16: verr,
  Verr_r32m16: verr,
  Verr_r64m16: verr,
  Verw_rm16: verw,
  Verw_r32m16: verw,
  Verw_r64m16: verw,
  Arpl_rm16_r16: arpl,
  Arpl_r32m16_r32: arpl,
}
