/** Message-signalled interrupts on x86: what a write to FEExxxxxh says (SDM vol. 3, 11.11). */

import type { InterruptMessage } from '../../engine/processor.ts'
import { deliveryModeOf } from '../bus/delivery-mode.ts'

/** Bits 20 to 31 of the address: where local APICs listen. */
const MESSAGE_ADDRESS = 0xfee
const LOGICAL = 1 << 2
const LEVEL = 1 << 15

/** @returns undefined if the address is not the local APICs', or the data is reserved: nobody answers. */
export function decodeMsi(addressLow: number, addressHigh: number, data: number): InterruptMessage | undefined {
  if (addressHigh !== 0 || addressLow >>> 20 !== MESSAGE_ADDRESS) return undefined
  const mode = deliveryModeOf(data)
  if (mode === undefined) return undefined
  return {
    mode,
    vector: data & 0xff,
    destination: (addressLow >>> 12) & 0xff,
    // 11.11.1 has the bit count only with the redirection hint; processors, and Linux, count it always.
    logical: (addressLow & LOGICAL) !== 0,
    level: (data & LEVEL) !== 0,
  }
}
