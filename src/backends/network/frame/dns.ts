/** Queries and answers of the Domain Name System (RFC 1035): one question, answers of one type. */

import { read16, write16, write32 } from './big-endian.ts'
import type { Ipv4Address } from './ipv4-address.ts'

export const DNS_PORT = 53

export const TYPE_A = 1
export const TYPE_PTR = 12
export const TYPE_AAAA = 28
export const CLASS_IN = 1

export const RCODE_NO_ERROR = 0
export const RCODE_FORMAT_ERROR = 1
export const RCODE_SERVER_FAILURE = 2
export const RCODE_NAME_ERROR = 3
export const RCODE_NOT_IMPLEMENTED = 4
export const RCODE_REFUSED = 5

const HEADER = 12
const FLAG_RESPONSE = 0x8000
const OPCODE_MASK = 0x7800
const FLAG_AUTHORITATIVE = 0x0400
const FLAG_RECURSION_DESIRED = 0x0100
const FLAG_RECURSION_AVAILABLE = 0x0080
/** RFC 1035, 2.3.4: of a label and of a name, the bytes of lengths included. */
const LONGEST_LABEL = 63
const LONGEST_NAME = 255
/** A pointer to the name in the question, right behind the header (4.1.4). */
const POINTER_TO_QUESTION = 0xc000 | HEADER
/** Seconds that answers may be kept. */
const TIME_TO_LIVE = 60
/** As many as fit into 512 bytes beside any name (4.2.1). */
const MOST_ADDRESSES = 12

export interface DnsQuery {
  readonly identifier: number
  readonly recursionDesired: boolean
  /** Lower case, without a dot at the end; bytes that are no printable ASCII appear as `?`. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** The question as it came, to be repeated in the answer. */
  readonly question: Uint8Array
}

/** What may be answered without the question having been understood. */
export interface DnsRefusal {
  readonly identifier: number
  readonly rcode: typeof RCODE_FORMAT_ERROR | typeof RCODE_NOT_IMPLEMENTED
}

/** The name that an answer is about, and its RCODE; undefined for what is no answer, or says no name. */
export function parseDnsAnswer(data: Uint8Array): { readonly name: string; readonly rcode: number } | undefined {
  if (data.length < HEADER || (read16(data, 2) & FLAG_RESPONSE) === 0) return undefined
  // An answer repeats its question: without the flag it is the query.
  const query = data.slice()
  query[2] &= ~(FLAG_RESPONSE >>> 8)
  const parsed = parseDnsQuery(query)
  return parsed !== undefined && 'name' in parsed ? { name: parsed.name, rcode: data[3] & 0xf } : undefined
}

/** Undefined for what is no query, and must not be answered. */
export function parseDnsQuery(data: Uint8Array): DnsQuery | DnsRefusal | undefined {
  if (data.length < HEADER) return undefined
  const identifier = read16(data, 0)
  const flags = read16(data, 2)
  if ((flags & FLAG_RESPONSE) !== 0) return undefined
  if ((flags & OPCODE_MASK) !== 0) return { identifier, rcode: RCODE_NOT_IMPLEMENTED }
  const malformed = { identifier, rcode: RCODE_FORMAT_ERROR } as const
  if (read16(data, 4) !== 1) return malformed
  const labels: string[] = []
  let at = HEADER
  for (;;) {
    const length = data[at]
    // A pointer in the only name of a message has nothing to point at.
    if (length === undefined || length > LONGEST_LABEL || at + 1 + length > data.length) return malformed
    if (at + 1 + length - HEADER > LONGEST_NAME) return malformed
    at += 1 + length
    if (length === 0) break
    labels.push(printable(data.subarray(at - length, at)))
  }
  if (at + 4 > data.length) return malformed
  return {
    identifier,
    recursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0,
    name: labels.join('.').toLowerCase(),
    type: read16(data, at),
    class: read16(data, at + 2),
    question: data.subarray(HEADER, at + 4),
  }
}

function printable(label: Uint8Array): string {
  return String.fromCharCode(...label.map(byte => (byte > 0x20 && byte < 0x7f && byte !== 0x2e ? byte : 0x3f)))
}

export interface DnsAnswer {
  readonly rcode: number
  /** We know by ourselves, and did not ask others. */
  readonly authoritative: boolean
  readonly addresses?: readonly Ipv4Address[]
  /** Answer to a question for the name of an address. */
  readonly pointer?: string
}

/** Data of a UDP datagram. */
export function buildDnsAnswer(query: DnsQuery, answer: DnsAnswer): Uint8Array {
  const records: Uint8Array[] = (answer.addresses ?? []).slice(0, MOST_ADDRESSES).map(address => {
    const data = new Uint8Array(4)
    write32(data, 0, address)
    return record(TYPE_A, data)
  })
  if (answer.pointer !== undefined) records.push(record(TYPE_PTR, encodeName(answer.pointer)))
  const flags =
    FLAG_RESPONSE |
    FLAG_RECURSION_AVAILABLE |
    (query.recursionDesired ? FLAG_RECURSION_DESIRED : 0) |
    (answer.authoritative ? FLAG_AUTHORITATIVE : 0)
  return message(query.identifier, flags | answer.rcode, query.question, records)
}

export function buildDnsRefusal({ identifier, rcode }: DnsRefusal): Uint8Array {
  return message(identifier, FLAG_RESPONSE | rcode, undefined, [])
}

function message(
  identifier: number,
  flags: number,
  question: Uint8Array | undefined,
  records: readonly Uint8Array[],
): Uint8Array {
  const pieces = question === undefined ? records : [question, ...records]
  const data = new Uint8Array(HEADER + pieces.reduce((sum, piece) => sum + piece.length, 0))
  write16(data, 0, identifier)
  write16(data, 2, flags)
  write16(data, 4, question === undefined ? 0 : 1)
  write16(data, 6, records.length)
  let at = HEADER
  for (const piece of pieces) {
    data.set(piece, at)
    at += piece.length
  }
  return data
}

/** A record about the name in the question. */
function record(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length)
  write16(bytes, 0, POINTER_TO_QUESTION)
  write16(bytes, 2, type)
  write16(bytes, 4, CLASS_IN)
  write32(bytes, 6, TIME_TO_LIVE)
  write16(bytes, 10, data.length)
  bytes.set(data, 12)
  return bytes
}

function encodeName(name: string): Uint8Array {
  const bytes: number[] = []
  for (const label of name.split('.')) bytes.push(label.length, ...new TextEncoder().encode(label))
  return Uint8Array.from([...bytes, 0])
}
