/** Who is who in the user-mode network: 10.0.2.0/24, as people know it from other virtual machines. */

import type { Ipv4Address } from '../frame/ipv4-address.ts'
import type { MacAddress } from '../frame/mac-address.ts'

export const NETWORK: Ipv4Address = 0x0a00_0200
export const NETWORK_BITS = 24
export const NETWORK_MASK: Ipv4Address = 0xffff_ff00
export const NETWORK_BROADCAST: Ipv4Address = 0x0a00_02ff
/** Router, answers echoes, and stands for the host's loopback interface. */
export const GATEWAY: Ipv4Address = 0x0a00_0202
export const NAME_SERVER: Ipv4Address = 0x0a00_0203
/** What the first guest gets. */
export const FIRST_LEASE: Ipv4Address = 0x0a00_020f
export const LAST_LEASE: Ipv4Address = 0x0a00_02fe

/** Gateway and name server are one station; locally administered. */
export const GATEWAY_MAC: MacAddress = 0x0252_5300_0202
