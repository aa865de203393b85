/** Address resolution between IPv4 and Ethernet (RFC 826). */

import type { EthernetFrame } from '../network-port.ts'
import { read16, read32, write16, write32 } from './big-endian.ts'
import { ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from './ethernet.ts'
import type { Ipv4Address } from './ipv4-address.ts'
import { MAC_BROADCAST, type MacAddress, readMac, writeMac } from './mac-address.ts'

export const ARP_REQUEST = 1
export const ARP_REPLY = 2

const HARDWARE_ETHERNET = 1
const LENGTH = 28

export interface ArpPacket {
  /** {@link ARP_REQUEST}, {@link ARP_REPLY}, or another. */
  readonly operation: number
  readonly senderMac: MacAddress
  readonly senderIp: Ipv4Address
  readonly targetMac: MacAddress
  readonly targetIp: Ipv4Address
}

/** @param payload of the Ethernet frame. Undefined if it is cut short or not about IPv4 over Ethernet. */
export function parseArp(payload: Uint8Array): ArpPacket | undefined {
  if (payload.length < LENGTH) return undefined
  if (read16(payload, 0) !== HARDWARE_ETHERNET || read16(payload, 2) !== ETHERTYPE_IPV4) return undefined
  if (payload[4] !== 6 || payload[5] !== 4) return undefined
  return {
    operation: read16(payload, 6),
    senderMac: readMac(payload, 8),
    senderIp: read32(payload, 14),
    targetMac: readMac(payload, 18),
    targetIp: read32(payload, 24),
  }
}

/** A request goes to everybody, anything else to its target. */
export function buildArp(packet: ArpPacket): EthernetFrame {
  const frame = new Uint8Array(ETHERNET_HEADER + LENGTH)
  const destination = packet.operation === ARP_REQUEST ? MAC_BROADCAST : packet.targetMac
  writeEthernet(frame, { destination, source: packet.senderMac, etherType: ETHERTYPE_ARP })
  const payload = frame.subarray(ETHERNET_HEADER)
  write16(payload, 0, HARDWARE_ETHERNET)
  write16(payload, 2, ETHERTYPE_IPV4)
  payload[4] = 6
  payload[5] = 4
  write16(payload, 6, packet.operation)
  writeMac(payload, 8, packet.senderMac)
  write32(payload, 14, packet.senderIp)
  writeMac(payload, 18, packet.targetMac)
  write32(payload, 24, packet.targetIp)
  return frame
}
