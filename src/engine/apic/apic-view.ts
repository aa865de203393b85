/** The local APIC's registers for inspection. */

import type { ApicRegister } from '../processor.ts'
import * as R from './apic-registers.ts'

const REGISTERS: readonly (readonly [string, number])[] = [
  ['ID', R.APIC_ID],
  ['VERSION', R.APIC_VERSION],
  ['TPR', R.APIC_TPR],
  ['PPR', R.APIC_PPR],
  ['LDR', R.APIC_LDR],
  ['DFR', R.APIC_DFR],
  ['SVR', R.APIC_SVR],
  ['ESR', R.APIC_ESR],
  ['ICR', R.APIC_ICR],
  ['ICR_HIGH', R.APIC_ICR_HIGH],
  ['LVT_TIMER', R.APIC_LVT_TIMER],
  ['LVT_THERMAL', R.APIC_LVT_THERMAL],
  ['LVT_PERFORMANCE', R.APIC_LVT_PERFORMANCE],
  ['LVT_LINT0', R.APIC_LVT_LINT0],
  ['LVT_LINT1', R.APIC_LVT_LINT1],
  ['LVT_ERROR', R.APIC_LVT_ERROR],
  ['TIMER_INITIAL', R.APIC_TIMER_INITIAL],
  ['TIMER_CURRENT', R.APIC_TIMER_CURRENT],
  ['TIMER_DIVIDE', R.APIC_TIMER_DIVIDE],
  ...(['ISR', 'TMR', 'IRR'] as const).flatMap((name, set) =>
    Array.from({ length: 8 }, (_, i): [string, number] => [`${name}${i}`, R.APIC_ISR + set * 0x80 + i * 16]),
  ),
]

/** @param read value of a register by its xAPIC offset. */
export function apicRegisters(read: (offset: number) => number | undefined): readonly ApicRegister[] {
  return REGISTERS.map(([name, offset]) => ({ name, value: read(offset) ?? 0, width: 32 }))
}
