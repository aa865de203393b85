/** The HPET description table (IA-PC HPET specification 1.0a, 3.2.4). */

import { ByteList } from './byte-list.ts'
import { acpiTable, genericAddress, SPACE_MEMORY } from './table.ts'

export const HPET_BASE = 0xfed00000
export const HPET_SIZE = 0x400

/**
 * The low half of the capabilities register: vendor 8086h, legacy replacement, 64-bit counter, three comparators,
 * revision 1.
 */
export const HPET_ID = 0x8086a201
/** Least ticks between periodic interrupts without losing one. */
const MINIMUM_TICK = 0x80

export function buildHpetTable(): Uint8Array {
  const body = new ByteList().u32(HPET_ID)
  genericAddress(body, SPACE_MEMORY, HPET_BASE, 8)
  return acpiTable('HPET', 1, body.u8(0).u16(MINIMUM_TICK).u8(0))
}
