/** The checksum of IPv4, ICMP, UDP and TCP (RFC 1071). */

import type { Ipv4Address } from './ipv4-address.ts'

/** Sum of big-endian words of 16 bits, added to `sum`; an odd byte at the end is the upper half of a word. */
export function sumWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum
  let at = from
  for (; at + 1 < to; at += 2) total += (bytes[at] << 8) | bytes[at + 1]
  if (at < to) total += bytes[at] << 8
  return total
}

/** What goes into the checksum's field; 0 over bytes that hold a right checksum. @param sum below 2^32. */
export function foldChecksum(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16)
  return ~folded & 0xffff
}

/** What UDP and TCP sum up before their own bytes (RFC 768, RFC 9293 3.1). @param length of header and data. */
export function sumPseudoHeader(
  source: Ipv4Address,
  destination: Ipv4Address,
  protocol: number,
  length: number,
): number {
  return (
    (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + (length & 0xffff)
  )
}
