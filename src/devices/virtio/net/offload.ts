/** Work on checksums and segments that driver and device leave to each other (Virtio 1.2, 5.1.6.2 and 5.1.6.4). */

import { read16, write16 } from '../../../backends/network/frame/big-endian.ts'
import { ETHERNET_HEADER, ETHERTYPE_IPV4 } from '../../../backends/network/frame/ethernet.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from '../../../backends/network/frame/internet-checksum.ts'
import { PROTOCOL_TCP, PROTOCOL_UDP, parseIpv4 } from '../../../backends/network/frame/ipv4.ts'
import { segmentTcp } from '../../../backends/network/frame/tcp-segmentation.ts'
import type { EthernetFrame } from '../../../backends/network/network-port.ts'
import {
  type NetHeader,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
} from './protocol.ts'

const UDP_CHECKSUM_OFFSET = 6
const TCP_CHECKSUM_OFFSET = 16

/** What the driver may ask for. */
export interface TransmitOffloads {
  readonly checksum: boolean
  readonly segmentation: boolean
}

/**
 * The frames that a driver's frame becomes on the wire. Changes `frame`.
 * @returns why it can't be sent, if the header asks for what was not negotiated or contradicts the frame.
 */
export function finishTransmit(
  frame: EthernetFrame,
  header: NetHeader,
  offloads: TransmitOffloads,
): readonly EthernetFrame[] | string {
  const gsoType = header.gsoType & ~VIRTIO_NET_HDR_GSO_ECN
  if (gsoType !== VIRTIO_NET_HDR_GSO_NONE) {
    if (!offloads.segmentation || gsoType !== VIRTIO_NET_HDR_GSO_TCPV4) return `segmentation of type ${header.gsoType}`
    return segmentTcp(frame, header.gsoSize) ?? 'segmentation of what is no TCP segment over IPv4'
  }
  if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return [frame]
  if (!offloads.checksum) return 'a checksum to complete, without VIRTIO_NET_F_CSUM'
  const { checksumStart, checksumOffset } = header
  const at = checksumStart + checksumOffset
  if (checksumStart < ETHERNET_HEADER || at + 2 > frame.length) return `a checksum at ${at} of ${frame.length} bytes`
  // The field holds the sum of the pseudo header, which so becomes part of the checksum.
  const checksum = foldChecksum(sumWords(frame, checksumStart, frame.length))
  // RFC 768: 0 would say that there is none; for TCP both are the same number.
  write16(frame, at, checksum === 0 && checksumOffset === UDP_CHECKSUM_OFFSET ? 0xffff : checksum)
  return [frame]
}

/** Has the frame a checksum of TCP or UDP over IPv4, and is it right? Then a driver need not look at it. */
export function checksumIsRight(frame: EthernetFrame): boolean {
  if (frame.length < ETHERNET_HEADER || read16(frame, 12) !== ETHERTYPE_IPV4) return false
  const packet = parseIpv4(frame.subarray(ETHERNET_HEADER))
  if (packet === undefined || packet.moreFragments || packet.fragmentOffset !== 0) return false
  const { payload, protocol } = packet
  const field = protocol === PROTOCOL_TCP ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET
  if ((protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) || payload.length < field + 2) return false
  if (protocol === PROTOCOL_UDP && read16(payload, field) === 0) return false
  const sum = sumPseudoHeader(packet.source, packet.destination, protocol, payload.length)
  return foldChecksum(sumWords(payload, 0, payload.length, sum)) === 0
}
