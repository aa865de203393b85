/** Delivery modes of interrupt messages, as the data of an MSI and the entries of an I/O APIC encode them. */

import type { DeliveryMode } from '../../engine/processor.ts'

/** SDM vol. 3, 11.11.2: by bits 8 to 10; 3 and 6 are reserved. */
const DELIVERY_MODES: readonly (DeliveryMode | undefined)[] = [
  'fixed',
  'lowest-priority',
  'smi',
  undefined,
  'nmi',
  'init',
  undefined,
  'extint',
]

/** @param word data of a message, or low half of a redirection entry. @returns undefined for a reserved mode. */
export function deliveryModeOf(word: number): DeliveryMode | undefined {
  return DELIVERY_MODES[(word >>> 8) & 7]
}
