/** Work on checksums and segments that driver and device leave to each other (Virtio 1.2, 5.1.6.2 and 5.1.6.4). */

import { read16, write16 } from '../../../backends/network/frame/big-endian.ts'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ORDINARY_FRAME } from '../../../backends/network/frame/ethernet.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from '../../../backends/network/frame/internet-checksum.ts'
import { type Ipv4Packet, PROTOCOL_TCP, PROTOCOL_UDP, parseIpv4 } from '../../../backends/network/frame/ipv4.ts'
import { TCP_HEADER } from '../../../backends/network/frame/tcp.ts'
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
 * @param takesWhole does its receiver want a segment uncut?
 * @returns why it can't be sent, if the header asks for what was not negotiated or contradicts the frame.
 */
export function finishTransmit(
  frame: EthernetFrame,
  header: NetHeader,
  offloads: TransmitOffloads,
  takesWhole: (frame: EthernetFrame) => boolean,
): readonly EthernetFrame[] | string {
  const gsoType = header.gsoType & ~VIRTIO_NET_HDR_GSO_ECN
  if (gsoType !== VIRTIO_NET_HDR_GSO_NONE) {
    if (!offloads.segmentation || gsoType !== VIRTIO_NET_HDR_GSO_TCPV4) return `segmentation of type ${header.gsoType}`
    const segments = takesWhole(frame) ? wholeSegment(frame) : segmentTcp(frame, header.gsoSize)
    return segments ?? 'segmentation of what is no TCP segment over IPv4'
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

/** A large segment with its checksum, uncut. */
function wholeSegment(frame: EthernetFrame): EthernetFrame[] | undefined {
  const tcp = tcpOf(frame)
  if (tcp === undefined) return undefined
  const at = tcp.begin + TCP_CHECKSUM_OFFSET
  write16(frame, at, 0)
  const sum = sumPseudoHeader(tcp.source, tcp.destination, PROTOCOL_TCP, tcp.end - tcp.begin)
  write16(frame, at, foldChecksum(sumWords(frame, tcp.begin, tcp.end, sum)))
  return [frame]
}

/** Is it a TCP segment over IPv4 whose lengths agree? */
export function isTcp(frame: EthernetFrame): boolean {
  return tcpOf(frame) !== undefined
}

/** What the header of a received segment says that is larger than Ethernet's frames (5.1.6.4.1). */
export interface LargeSegment {
  readonly header: Partial<NetHeader>
  /** A copy, with the sum of the pseudo header where its checksum was. */
  readonly frame: EthernetFrame
}

/** Undefined for what is no TCP segment over IPv4, and can't be passed on. */
export function receiveLarge(frame: EthernetFrame): LargeSegment | undefined {
  const tcp = tcpOf(frame)
  if (tcp === undefined) return undefined
  const sum = sumPseudoHeader(tcp.source, tcp.destination, PROTOCOL_TCP, tcp.end - tcp.begin)
  const copy = frame.slice()
  write16(copy, tcp.begin + TCP_CHECKSUM_OFFSET, ~foldChecksum(sum) & 0xffff)
  return {
    header: {
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
      gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
      headersLength: tcp.dataAt,
      gsoSize: ORDINARY_FRAME - tcp.dataAt,
      checksumStart: tcp.begin,
      checksumOffset: TCP_CHECKSUM_OFFSET,
    },
    frame: copy,
  }
}

/** Where the parts of a TCP segment over IPv4 are in its frame; undefined if it is none, or its lengths disagree. */
function tcpOf(frame: EthernetFrame) {
  const packet = ipv4Of(frame)
  if (packet?.protocol !== PROTOCOL_TCP || packet.payload.length < TCP_HEADER) return undefined
  const begin = packet.payload.byteOffset - frame.byteOffset
  const headerLength = (frame[begin + 12] >>> 4) * 4
  if (headerLength < TCP_HEADER || headerLength > packet.payload.length) return undefined
  const { source, destination, payload } = packet
  return { source, destination, begin, dataAt: begin + headerLength, end: begin + payload.length }
}

/** Undefined for fragments, too. */
function ipv4Of(frame: EthernetFrame): Ipv4Packet | undefined {
  if (frame.length < ETHERNET_HEADER || read16(frame, 12) !== ETHERTYPE_IPV4) return undefined
  const packet = parseIpv4(frame.subarray(ETHERNET_HEADER))
  return packet === undefined || packet.moreFragments || packet.fragmentOffset !== 0 ? undefined : packet
}

/** Has the frame a checksum of TCP or UDP over IPv4, and is it right? Then a driver need not look at it. */
export function checksumIsRight(frame: EthernetFrame): boolean {
  const packet = ipv4Of(frame)
  if (packet === undefined) return false
  const { payload, protocol } = packet
  const field = protocol === PROTOCOL_TCP ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET
  if ((protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) || payload.length < field + 2) return false
  if (protocol === PROTOCOL_UDP && read16(payload, field) === 0) return false
  const sum = sumPseudoHeader(packet.source, packet.destination, protocol, payload.length)
  return foldChecksum(sumWords(payload, 0, payload.length, sum)) === 0
}
