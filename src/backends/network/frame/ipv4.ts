/** IPv4 packets (RFC 791). Options are skipped when read, and never written. */

import type { EthernetFrame } from '../network-port.ts'
import { read16, read32, write16, write32 } from './big-endian.ts'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, writeEthernet } from './ethernet.ts'
import { foldChecksum, sumWords } from './internet-checksum.ts'
import type { Ipv4Address } from './ipv4-address.ts'
import type { MacAddress } from './mac-address.ts'

export const PROTOCOL_ICMP = 1
export const PROTOCOL_TCP = 6
export const PROTOCOL_UDP = 17

export const IPV4_HEADER = 20
/** Where the payload of a frame lies that {@link ipv4Frame} made. */
export const IPV4_PAYLOAD_AT = ETHERNET_HEADER + IPV4_HEADER

const FLAG_DONT_FRAGMENT = 0x4000
const FLAG_MORE_FRAGMENTS = 0x2000
const OFFSET_MASK = 0x1fff
/** Hops, as RFC 1700 recommends. */
const TIME_TO_LIVE = 64

export interface Ipv4Packet {
  readonly source: Ipv4Address
  readonly destination: Ipv4Address
  readonly protocol: number
  readonly timeToLive: number
  readonly identification: number
  readonly moreFragments: boolean
  /** Bytes of the whole packet's payload that come before this one's. */
  readonly fragmentOffset: number
  /** Not a copy. */
  readonly payload: Uint8Array
}

/**
 * @param bytes payload of the Ethernet frame, padding included.
 * Undefined if lengths contradict each other or the header's checksum is wrong.
 */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < IPV4_HEADER || bytes[0] >>> 4 !== 4) return undefined
  const headerLength = (bytes[0] & 0xf) * 4
  const totalLength = read16(bytes, 2)
  if (headerLength < IPV4_HEADER || totalLength < headerLength || totalLength > bytes.length) return undefined
  if (foldChecksum(sumWords(bytes, 0, headerLength)) !== 0) return undefined
  const fragment = read16(bytes, 6)
  return {
    source: read32(bytes, 12),
    destination: read32(bytes, 16),
    protocol: bytes[9],
    timeToLive: bytes[8],
    identification: read16(bytes, 4),
    moreFragments: (fragment & FLAG_MORE_FRAGMENTS) !== 0,
    fragmentOffset: (fragment & OFFSET_MASK) * 8,
    payload: bytes.subarray(headerLength, totalLength),
  }
}

/** From whom to whom on the wire. */
export interface Link {
  readonly source: MacAddress
  readonly destination: MacAddress
}

export interface Ipv4Addresses {
  readonly source: Ipv4Address
  readonly destination: Ipv4Address
}

export interface Fragment {
  readonly identification: number
  /** In bytes, a multiple of 8. */
  readonly offset: number
  readonly more: boolean
}

/** A frame with both headers, and room for a payload at {@link IPV4_PAYLOAD_AT}. */
export function ipv4Frame(
  link: Link,
  { source, destination }: Ipv4Addresses,
  protocol: number,
  payloadLength: number,
  fragment?: Fragment,
): EthernetFrame {
  const frame = new Uint8Array(IPV4_PAYLOAD_AT + payloadLength)
  writeEthernet(frame, { ...link, etherType: ETHERTYPE_IPV4 })
  const at = ETHERNET_HEADER
  frame[at] = 0x45
  write16(frame, at + 2, IPV4_HEADER + payloadLength)
  if (fragment === undefined) write16(frame, at + 6, FLAG_DONT_FRAGMENT)
  else {
    write16(frame, at + 4, fragment.identification)
    write16(frame, at + 6, (fragment.offset / 8) | (fragment.more ? FLAG_MORE_FRAGMENTS : 0))
  }
  frame[at + 8] = TIME_TO_LIVE
  frame[at + 9] = protocol
  write32(frame, at + 12, source)
  write32(frame, at + 16, destination)
  write16(frame, at + 10, foldChecksum(sumWords(frame, at, at + IPV4_HEADER)))
  return frame
}
