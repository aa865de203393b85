/** The local vector table: what becomes of the interrupts of the APIC's own sources (SDM vol. 3, 11.5.1). */

import { APIC_LVT_ERROR, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_TIMER, LVT_MASKED } from './apic-registers.ts'

/** Entries in register order. */
export const LVT_TIMER = 0
export const LVT_LINT0 = (APIC_LVT_LINT0 - APIC_LVT_TIMER) >> 4
export const LVT_LINT1 = (APIC_LVT_LINT1 - APIC_LVT_TIMER) >> 4
export const LVT_ERROR = (APIC_LVT_ERROR - APIC_LVT_TIMER) >> 4
const ENTRIES = LVT_ERROR + 1

/**
 * Bits that can be written. Delivery status and remote IRR (bits 12 and 14) are read-only and stay 0: no entry is ever
 * on its way, and the pins are edges.
 */
export const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const

/** The number of the entry at a register's xAPIC offset, or undefined. */
export function lvtEntryAt(offset: number): number | undefined {
  return offset >= APIC_LVT_TIMER && offset <= APIC_LVT_ERROR ? (offset - APIC_LVT_TIMER) >> 4 : undefined
}

export class LocalVectorTable {
  readonly #entries = new Int32Array(ENTRIES)

  reset(): void {
    this.#entries.fill(LVT_MASKED)
  }

  get(index: number): number {
    return this.#entries[index]
  }

  /** While software has the APIC disabled every entry stays masked (SDM vol. 3, 11.4.7.2). */
  set(index: number, value: number, enabled: boolean): void {
    this.#entries[index] = (value & LVT_WRITABLE[index]) | (enabled ? 0 : LVT_MASKED)
  }

  /** What firmware has set up; see `LocalApic.reset`. */
  preset(index: number, value: number): void {
    this.#entries[index] = value
  }

  maskAll(): void {
    for (let i = 0; i < ENTRIES; i++) this.#entries[i] |= LVT_MASKED
  }

  save(): number[] {
    return Array.from(this.#entries)
  }

  restore(entries: readonly number[]): void {
    this.#entries.set(entries)
  }
}
