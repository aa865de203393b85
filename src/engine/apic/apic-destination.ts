/** Which local APICs an interrupt message names (SDM vol. 3, 11.6.2 and 11.12.10). */

import type { InterruptMessage } from '../processor.ts'

/** All ones: every local APIC, in 32 bits and in the 8 of the xAPIC. */
export const BROADCAST = 0xffff_ffff
const XAPIC_BROADCAST = 0xff
const FLAT_MODEL = 0xf

/** What a local APIC compares a destination with. */
export interface ApicAddress {
  readonly id: number
  readonly x2apic: boolean
  /** Logical destination and destination format registers of the xAPIC. */
  readonly ldr: number
  readonly dfr: number
}

/** Clusters of 16 by APIC id (SDM vol. 3, 11.12.10.2). */
export const x2apicLogicalId = (id: number): number => ((id >> 4) << 16) | (1 << (id & 15))

/** A destination of 8 bits, as an xAPIC, the I/O APIC and an MSI give it, in 32. */
export const widenDestination = (destination: number): number =>
  destination === XAPIC_BROADCAST ? BROADCAST : destination

/** Shorthands other than self name every APIC; the bus leaves out the sender. */
export function isAddressed({ shorthand, destination, logical }: InterruptMessage, own: ApicAddress): boolean {
  if (shorthand !== undefined) return shorthand !== 'self'
  if (destination === BROADCAST || (destination === XAPIC_BROADCAST && !own.x2apic)) return true
  if (!logical) return destination === own.id
  if (own.x2apic) {
    const address = x2apicLogicalId(own.id)
    return destination >>> 16 === address >>> 16 && (destination & address & 0xffff) !== 0
  }
  const address = own.ldr >>> 24
  if (own.dfr >>> 28 === FLAT_MODEL) return (address & destination) !== 0
  return address >> 4 === destination >> 4 && (address & destination & 0xf) !== 0
}
