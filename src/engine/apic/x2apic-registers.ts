/** Registers of the local APIC as MSRs 0x800 to 0x8ff (SDM vol. 3, table 11-6): which exist, and what may be written. */

import * as R from './apic-registers.ts'
import { LVT_WRITABLE, lvtEntryAt } from './local-vector-table.ts'

const MSR_X2APIC = 0x800

/** The xAPIC's offset of the register that an MSR is. */
export const offsetOfMsr = (msr: number): number => (msr - MSR_X2APIC) << 4

/** Registers of the xAPIC that are no MSR, or that can only be written. */
const UNREADABLE: ReadonlySet<number> = new Set([
  R.APIC_ICR_HIGH,
  R.APIC_DFR,
  R.APIC_EOI,
  R.APIC_APR,
  R.APIC_RRD,
  R.APIC_SELF_IPI,
])

/** Bits that may be set in a write; the others are reserved. What isn't here can't be written. */
const WRITABLE: Readonly<Record<number, number>> = {
  [R.APIC_TPR]: 0xff,
  [R.APIC_EOI]: 0,
  [R.APIC_SVR]: R.SVR_WRITABLE,
  [R.APIC_ESR]: 0,
  [R.APIC_TIMER_INITIAL]: 0xffff_ffff,
  [R.APIC_TIMER_DIVIDE]: 0xb,
  [R.APIC_SELF_IPI]: 0xff,
}

export const isReadable = (offset: number): boolean => !UNREADABLE.has(offset)

/** May `value` be written? The ICR, which alone has 64 bits, is not asked about here. */
export function isWritable(offset: number, value: bigint): boolean {
  const entry = lvtEntryAt(offset)
  const writable = entry === undefined ? WRITABLE[offset] : LVT_WRITABLE[entry]
  return writable !== undefined && value >> 32n === 0n && (Number(value) & ~writable) === 0
}

/** Delivery status and remote read are gone from the ICR of the x2APIC: bits 12, 13, 16, 17 and 20 to 31 are reserved. */
export const isWritableIcr = (value: bigint): boolean => (Number(value & 0xffff_ffffn) & ~R.ICR_WRITABLE) === 0
