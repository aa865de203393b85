/** Control messages of IPv4 (RFC 792): echo, and what could not be delivered. */

import { read16, write16 } from './big-endian.ts'
import { foldChecksum, sumWords } from './internet-checksum.ts'

export const ICMP_ECHO_REPLY = 0
export const ICMP_UNREACHABLE = 3
export const ICMP_ECHO_REQUEST = 8

export const UNREACHABLE_PORT = 3
/** Communication administratively prohibited (RFC 1812, 5.2.7.1). */
export const UNREACHABLE_PROHIBITED = 13

const HEADER = 8
/** Of the packet that could not be delivered: its header, and as much as says whose it was (RFC 1812, 4.3.2.3). */
const MOST_QUOTED = 548

export interface IcmpMessage {
  readonly type: number
  readonly code: number
  /** Of an echo: which process, and which of its messages. */
  readonly identifier: number
  readonly sequence: number
  readonly data: Uint8Array
}

/** @param payload of the IPv4 packet. Undefined if it is cut short or its checksum is wrong. */
export function parseIcmp(payload: Uint8Array): IcmpMessage | undefined {
  if (payload.length < HEADER || foldChecksum(sumWords(payload, 0, payload.length)) !== 0) return undefined
  return {
    type: payload[0],
    code: payload[1],
    identifier: read16(payload, 4),
    sequence: read16(payload, 6),
    data: payload.subarray(HEADER),
  }
}

/** The payload of an IPv4 packet. */
export function buildIcmp({ type, code, identifier, sequence, data }: IcmpMessage): Uint8Array {
  const payload = new Uint8Array(HEADER + data.length)
  payload[0] = type
  payload[1] = code
  write16(payload, 4, identifier)
  write16(payload, 6, sequence)
  payload.set(data, HEADER)
  write16(payload, 2, foldChecksum(sumWords(payload, 0, payload.length)))
  return payload
}

/** @param packet that could not be delivered, from its IPv4 header on. */
export function buildUnreachable(code: number, packet: Uint8Array): Uint8Array {
  const data = packet.subarray(0, MOST_QUOTED)
  return buildIcmp({ type: ICMP_UNREACHABLE, code, identifier: 0, sequence: 0, data })
}
