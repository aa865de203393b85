/** Instructions that cause events: INT n, INT3, INTO, INT1, BOUND. */

import { RFLAGS_OF } from '../../x86/rflags.ts'
import type { Assist } from '../assist.ts'
import { boundRangeExceeded, invalidOpcode } from '../fault.ts'
import { deliverEvent, type EventKind } from './interrupt-delivery.ts'

const VECTOR_DEBUG = 1
const VECTOR_BREAKPOINT = 3
const VECTOR_OVERFLOW = 4

const event =
  (vector: number, kind: EventKind): Assist =>
  (cpu, { nextRip }) =>
    deliverEvent(cpu, { vector, kind, nextRip })

const intN: Assist = (cpu, { immediate, nextRip }) =>
  deliverEvent(cpu, { vector: Number(immediate & 0xffn), kind: 'software', nextRip })

const into: Assist = (cpu, { nextRip }) => {
  if (cpu.state.rflags & RFLAGS_OF) deliverEvent(cpu, { vector: VECTOR_OVERFLOW, kind: 'int3-into', nextRip })
}

/** #BR unless lower <= index <= upper, signed. */
const bound: Assist = (cpu, { operandSize, hasMemory, address, register0 }) => {
  if (!hasMemory) throw invalidOpcode()
  const { memory, state } = cpu
  const wide = operandSize !== 16
  const signed = (value: number): number => (wide ? value | 0 : (value << 16) >> 16)
  const read = (at: bigint): number => signed(wide ? memory.read32(at) : memory.read16(at))
  const lower = read(address)
  const upper = read(address + (wide ? 4n : 2n))
  const index = signed(state.gpr32(register0))
  if (index < lower || index > upper) throw boundRangeExceeded()
}

export const softwareInterruptAssists: Readonly<Record<string, Assist>> = {
  Int_imm8: intN,
  Int3: event(VECTOR_BREAKPOINT, 'int3-into'),
  Int1: event(VECTOR_DEBUG, 'int1'),
  Into: into,
  Bound_r16_m1616: bound,
  Bound_r32_m3232: bound,
}
