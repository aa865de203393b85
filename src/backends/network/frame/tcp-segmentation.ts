/**
 * Cuts a TCP segment that is larger than the wire allows into several that fit: what a network card does for a driver
 * that leaves it the work (Virtio 1.2, 5.1.6.2: VIRTIO_NET_HDR_GSO_TCPV4).
 */

import type { EthernetFrame } from '../network-port.ts'
import { read16, read32, write16, write32 } from './big-endian.ts'
import { ETHERNET_HEADER } from './ethernet.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from './internet-checksum.ts'
import { IPV4_HEADER, PROTOCOL_TCP } from './ipv4.ts'
import { sequenceAfter, TCP_FIN, TCP_HEADER, TCP_PSH } from './tcp.ts'

const CONGESTION_WINDOW_REDUCED = 0x80
/** What Linux sends at least: less would make thousands of frames of one. */
const SMALLEST_SEGMENT = 48

/**
 * @param size of the data in each segment, in bytes; at least 48.
 * @returns complete frames with checksums; undefined if the frame is no TCP over IPv4 whose headers agree.
 */
export function segmentTcp(frame: EthernetFrame, size: number): EthernetFrame[] | undefined {
  const ip = ETHERNET_HEADER
  if (size < SMALLEST_SEGMENT || frame.length < ip + IPV4_HEADER + TCP_HEADER || read16(frame, 12) !== 0x0800)
    return undefined
  const ipHeader = (frame[ip] & 0xf) * 4
  const tcp = ip + ipHeader
  if (frame[ip] >>> 4 !== 4 || ipHeader < IPV4_HEADER || frame[ip + 9] !== PROTOCOL_TCP) return undefined
  if (tcp + TCP_HEADER > frame.length) return undefined
  const dataAt = tcp + (frame[tcp + 12] >>> 4) * 4
  const end = ip + read16(frame, ip + 2)
  if (dataAt < tcp + TCP_HEADER || dataAt >= end || end > frame.length) return undefined

  const segments: EthernetFrame[] = []
  for (let at = dataAt; at < end; at += size) {
    const last = at + size >= end
    const data = frame.subarray(at, Math.min(at + size, end))
    const segment = new Uint8Array(dataAt + data.length)
    segment.set(frame.subarray(0, dataAt))
    segment.set(data, dataAt)
    write16(segment, ip + 2, segment.length - ip)
    write16(segment, ip + 4, read16(frame, ip + 4) + segments.length)
    write16(segment, ip + 10, 0)
    write16(segment, ip + 10, foldChecksum(sumWords(segment, ip, tcp)))
    write32(segment, tcp + 4, sequenceAfter(read32(frame, tcp + 4), at - dataAt))
    if (!last) segment[tcp + 13] &= ~(TCP_FIN | TCP_PSH)
    if (at !== dataAt) segment[tcp + 13] &= ~CONGESTION_WINDOW_REDUCED
    write16(segment, tcp + 16, 0)
    const sum = sumPseudoHeader(read32(frame, ip + 12), read32(frame, ip + 16), PROTOCOL_TCP, segment.length - tcp)
    write16(segment, tcp + 16, foldChecksum(sumWords(segment, tcp, segment.length, sum)))
    segments.push(segment)
  }
  return segments
}
