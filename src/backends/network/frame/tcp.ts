/** TCP segments (RFC 9293, 3.1), with the options that are of use without loss on the way: segment size and window scale. */

import type { EthernetFrame } from '../network-port.ts'
import { read16, read32, write16, write32 } from './big-endian.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from './internet-checksum.ts'
import { IPV4_PAYLOAD_AT, type Ipv4Addresses, ipv4Frame, type Link, PROTOCOL_TCP } from './ipv4.ts'

export const TCP_FIN = 1
export const TCP_SYN = 2
export const TCP_RST = 4
export const TCP_PSH = 8
export const TCP_ACK = 16

export const TCP_HEADER = 20
/** Larger shifts are to be taken as this one (RFC 7323, 2.3). */
const LARGEST_SHIFT = 14

const OPTION_END = 0
const OPTION_NOTHING = 1
const OPTION_SEGMENT_SIZE = 2
const OPTION_WINDOW_SCALE = 3
/** Both options that are written, padded to words of 32 bits. */
const SYN_OPTIONS = 8

export interface TcpSegment {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly sequence: number
  readonly acknowledgment: number
  /** {@link TCP_SYN} and the like. */
  readonly flags: number
  /** As it stands in the header: not scaled. */
  readonly window: number
  /** Of a SYN only. */
  readonly segmentSize?: number
  readonly windowScale?: number
  readonly data: Uint8Array
}

/** @param payload of the IPv4 packet. Undefined if lengths contradict each other or the checksum is wrong. */
export function parseTcp(payload: Uint8Array, { source, destination }: Ipv4Addresses): TcpSegment | undefined {
  if (payload.length < TCP_HEADER) return undefined
  const headerLength = (payload[12] >>> 4) * 4
  if (headerLength < TCP_HEADER || headerLength > payload.length) return undefined
  const sum = sumPseudoHeader(source, destination, PROTOCOL_TCP, payload.length)
  if (foldChecksum(sumWords(payload, 0, payload.length, sum)) !== 0) return undefined
  const flags = payload[13] & 0x3f
  return {
    sourcePort: read16(payload, 0),
    destinationPort: read16(payload, 2),
    sequence: read32(payload, 4),
    acknowledgment: read32(payload, 8),
    flags,
    window: read16(payload, 14),
    ...((flags & TCP_SYN) === 0 ? {} : parseOptions(payload.subarray(TCP_HEADER, headerLength))),
    data: payload.subarray(headerLength),
  }
}

function parseOptions(options: Uint8Array): { segmentSize?: number; windowScale?: number } {
  const found: { segmentSize?: number; windowScale?: number } = {}
  for (let at = 0; at < options.length && options[at] !== OPTION_END; ) {
    if (options[at] === OPTION_NOTHING) {
      at++
      continue
    }
    const length = at + 1 < options.length ? options[at + 1] : 0
    if (length < 2 || at + length > options.length) break
    if (options[at] === OPTION_SEGMENT_SIZE && length === 4) found.segmentSize = read16(options, at + 2)
    if (options[at] === OPTION_WINDOW_SCALE && length === 3)
      found.windowScale = Math.min(options[at + 2], LARGEST_SHIFT)
    at += length
  }
  return found
}

/** A segment's header in a frame, with room for `length` bytes of data behind it; {@link finishTcpFrame} ends it. */
export interface TcpFrame {
  readonly frame: EthernetFrame
  /** Where the data go. */
  readonly dataAt: number
}

/** @param segment without its data. */
export function beginTcpFrame(
  link: Link,
  addresses: Ipv4Addresses,
  segment: Omit<TcpSegment, 'data'>,
  length: number,
): TcpFrame {
  const { segmentSize, windowScale } = segment
  const headerLength = TCP_HEADER + (segmentSize === undefined ? 0 : SYN_OPTIONS)
  const frame = ipv4Frame(link, addresses, PROTOCOL_TCP, headerLength + length)
  const at = IPV4_PAYLOAD_AT
  write16(frame, at, segment.sourcePort)
  write16(frame, at + 2, segment.destinationPort)
  write32(frame, at + 4, segment.sequence)
  write32(frame, at + 8, segment.acknowledgment)
  frame[at + 12] = (headerLength / 4) << 4
  frame[at + 13] = segment.flags
  write16(frame, at + 14, segment.window)
  if (segmentSize !== undefined) {
    frame[at + 20] = OPTION_SEGMENT_SIZE
    frame[at + 21] = 4
    write16(frame, at + 22, segmentSize)
    // Only who was offered scaling may offer it back; three bytes of nothing and the end otherwise.
    frame[at + 24] = OPTION_NOTHING
    frame[at + 25] = windowScale === undefined ? OPTION_END : OPTION_WINDOW_SCALE
    frame[at + 26] = windowScale === undefined ? OPTION_END : 3
    frame[at + 27] = windowScale ?? OPTION_END
  }
  return { frame, dataAt: at + headerLength }
}

/** Fills in the checksum, once the data are there. */
export function finishTcpFrame({ frame }: TcpFrame, { source, destination }: Ipv4Addresses): EthernetFrame {
  const at = IPV4_PAYLOAD_AT
  const sum = sumPseudoHeader(source, destination, PROTOCOL_TCP, frame.length - at)
  write16(frame, at + 16, foldChecksum(sumWords(frame, at, frame.length, sum)))
  return frame
}

/** `a` minus `b` in the circle of sequence numbers: negative if `a` comes before `b`. */
export function sequenceDistance(a: number, b: number): number {
  return (a - b) | 0
}

/** A sequence number `bytes` after another. */
export function sequenceAfter(sequence: number, bytes: number): number {
  return (sequence + bytes) >>> 0
}
