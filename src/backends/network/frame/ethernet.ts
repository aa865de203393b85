/** The header of an Ethernet frame (IEEE 802.3, 3.1.1, with a type). */

import type { EthernetFrame } from '../network-port.ts'
import { read16, write16 } from './big-endian.ts'
import { type MacAddress, readMac, writeMac } from './mac-address.ts'

export const ETHERNET_HEADER = 14
/** Payload of a frame, as Ethernet has it without agreement on more. */
export const ETHERNET_MTU = 1500
/** Header and payload of an ordinary frame. */
export const ORDINARY_FRAME = ETHERNET_HEADER + ETHERNET_MTU
/** With offloads one frame carries an IP packet of any size (see `network-port.ts`). */
export const LARGEST_FRAME = 65_550

export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_ARP = 0x0806
export const ETHERTYPE_VLAN = 0x8100
export const ETHERTYPE_IPV6 = 0x86dd

export interface EthernetHeader {
  readonly destination: MacAddress
  readonly source: MacAddress
  readonly etherType: number
}

/** Undefined for a frame that is shorter than its header or longer than any may be. */
export function parseEthernet(frame: EthernetFrame): EthernetHeader | undefined {
  if (frame.length < ETHERNET_HEADER || frame.length > LARGEST_FRAME) return undefined
  return { destination: readMac(frame, 0), source: readMac(frame, 6), etherType: read16(frame, 12) }
}

/** Writes the first {@link ETHERNET_HEADER} bytes. */
export function writeEthernet(frame: EthernetFrame, header: EthernetHeader): void {
  writeMac(frame, 0, header.destination)
  writeMac(frame, 6, header.source)
  write16(frame, 12, header.etherType)
}
