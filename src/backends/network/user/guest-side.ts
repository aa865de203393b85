/** What the services of the user-mode network know of the guests. */

import type { Ipv4Addresses, Link } from '../frame/ipv4.ts'
import type { Ipv4Address } from '../frame/ipv4-address.ts'
import type { EthernetFrame } from '../network-port.ts'
import type { TraceClock } from '../packet-trace.ts'

export interface GuestSide {
  readonly clock: TraceClock
  /** Sends a frame to a guest. Dropped while its Ethernet address is not known: then the guest is asked for it. */
  transmit(guest: Ipv4Address, build: (link: Link) => EthernetFrame): void
  /** Bytes of the largest frame that a guest takes. */
  largestFrameTo(guest: Ipv4Address): number
  /** As {@link transmit}, in fragments if need be. @param payload of the IPv4 packet, at most 65,515 bytes. */
  transmitPayload(addresses: Ipv4Addresses, protocol: number, payload: Uint8Array): void
  /** The services get a turn then; earlier is no harm. */
  wakeAt(time: number): void
}
