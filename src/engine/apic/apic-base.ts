/** IA32_APIC_BASE: where the register page is, and in which mode the local APIC works (SDM vol. 3, 11.4.4 and 11.12.5). */

import { PHYSICAL_ADDRESS_BITS } from '../system/cpuid.ts'
import { APIC_BASE_BSP, APIC_BASE_ENABLED, APIC_BASE_X2APIC } from './apic-registers.ts'

const KNOWN = APIC_BASE_BSP | APIC_BASE_X2APIC | APIC_BASE_ENABLED

export const isEnabled = (base: number): boolean => (base & APIC_BASE_ENABLED) !== 0
export const isX2apic = (base: number): boolean => (base & APIC_BASE_X2APIC) !== 0

/** May software write `value` while the register holds `base`? To x2APIC only from xAPIC, out of it only by disabling. */
export function isLegalBase(base: number, value: bigint, hasX2apic: boolean): boolean {
  const bits = Number(value & 0xfffn)
  if (bits & ~KNOWN || value >> BigInt(PHYSICAL_ADDRESS_BITS)) return false
  const [enable, extend] = [isEnabled(bits), isX2apic(bits)]
  if (extend && !(hasX2apic && enable && isEnabled(base))) return false
  return !(isX2apic(base) && enable && !extend)
}
