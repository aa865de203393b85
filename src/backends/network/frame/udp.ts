/** User datagrams (RFC 768). */

import { read16, write16 } from './big-endian.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from './internet-checksum.ts'
import { type Ipv4Addresses, PROTOCOL_UDP } from './ipv4.ts'

export const UDP_HEADER = 8

export interface UdpDatagram {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly data: Uint8Array
}

/** @param payload of the IPv4 packet. Undefined if lengths contradict each other or the checksum is wrong; 0 is none. */
export function parseUdp(payload: Uint8Array, { source, destination }: Ipv4Addresses): UdpDatagram | undefined {
  if (payload.length < UDP_HEADER) return undefined
  const length = read16(payload, 4)
  if (length < UDP_HEADER || length > payload.length) return undefined
  if (read16(payload, 6) !== 0) {
    const sum = sumPseudoHeader(source, destination, PROTOCOL_UDP, length)
    if (foldChecksum(sumWords(payload, 0, length, sum)) !== 0) return undefined
  }
  return {
    sourcePort: read16(payload, 0),
    destinationPort: read16(payload, 2),
    data: payload.subarray(UDP_HEADER, length),
  }
}

/** The payload of an IPv4 packet. @param datagram with at most 65,507 bytes of data. */
export function buildUdp(
  { sourcePort, destinationPort, data }: UdpDatagram,
  { source, destination }: Ipv4Addresses,
): Uint8Array {
  const payload = new Uint8Array(UDP_HEADER + data.length)
  write16(payload, 0, sourcePort)
  write16(payload, 2, destinationPort)
  write16(payload, 4, payload.length)
  payload.set(data, UDP_HEADER)
  const sum = sumPseudoHeader(source, destination, PROTOCOL_UDP, payload.length)
  // Zero says that there is no checksum, and all ones is the same number.
  write16(payload, 6, foldChecksum(sumWords(payload, 0, payload.length, sum)) || 0xffff)
  return payload
}
