/** Packets that are larger than a frame: taken apart, and put together again within bounds (RFC 791, 2.3; RFC 815). */

import type { EthernetFrame } from '../network-port.ts'
import { ETHERNET_MTU } from './ethernet.ts'
import { IPV4_HEADER, IPV4_PAYLOAD_AT, type Ipv4Addresses, type Ipv4Packet, ipv4Frame, type Link } from './ipv4.ts'

const LARGEST_PAYLOAD = 65_535 - IPV4_HEADER
/** Payload of all fragments but the last: a multiple of 8. */
const FRAGMENT_PAYLOAD = Math.floor((ETHERNET_MTU - IPV4_HEADER) / 8) * 8
/** Packets that are put together at the same time; the oldest gives way. */
const MOST_PACKETS = 8
/** Fragments of one packet: senders cut at multiples of 8, and hardly below 500 bytes. */
const MOST_FRAGMENTS = 256
/** Virtual time that a packet has to become whole (RFC 791 recommends 15 s as a beginning). */
const TIMEOUT_NS = 15e9

interface Incomplete {
  readonly bytes: Uint8Array
  /** Which units of 8 bytes are there. */
  readonly present: Uint8Array
  length: number | undefined
  received: number
  readonly fragments: Ipv4Packet[]
  /** Virtual time of the first fragment. */
  readonly began: number
}

export class FragmentAssembly {
  readonly #packets = new Map<string, Incomplete>()

  /**
   * Takes a packet or a fragment.
   * @param now virtual time in nanoseconds
   * @returns the whole packet once nothing is missing. What contradicts itself or overlaps is dropped (RFC 5722's rule,
   * which is for IPv6, is wise here, too).
   */
  add(packet: Ipv4Packet, now: number): Ipv4Packet | undefined {
    if (!packet.moreFragments && packet.fragmentOffset === 0) return packet
    const key = `${packet.source},${packet.destination},${packet.protocol},${packet.identification}`
    for (const [other, { began }] of this.#packets) if (began + TIMEOUT_NS <= now) this.#packets.delete(other)
    let incomplete = this.#packets.get(key)
    if (incomplete === undefined) {
      incomplete = newPacket(now)
      if (this.#packets.size >= MOST_PACKETS) this.#packets.delete(this.#packets.keys().next().value ?? '')
      this.#packets.set(key, incomplete)
    }
    if (!place(incomplete, packet)) {
      this.#packets.delete(key)
      return undefined
    }
    if (incomplete.length === undefined || incomplete.received !== incomplete.length) return undefined
    this.#packets.delete(key)
    const payload = incomplete.bytes.slice(0, incomplete.length)
    return { ...packet, moreFragments: false, fragmentOffset: 0, payload }
  }

  /** What has come of packets that are not whole yet, with the time at which each of them began. */
  get incomplete(): readonly { readonly fragment: Ipv4Packet; readonly began: number }[] {
    return [...this.#packets.values()].flatMap(({ fragments, began }) =>
      fragments.map(fragment => ({ fragment, began })),
    )
  }

  clear(): void {
    this.#packets.clear()
  }
}

function newPacket(now: number): Incomplete {
  const bytes = new Uint8Array(LARGEST_PAYLOAD + 8)
  const present = new Uint8Array(Math.ceil(bytes.length / 8))
  return { bytes, present, length: undefined, received: 0, fragments: [], began: now }
}

/** False if the packet can't become whole any more. */
function place(incomplete: Incomplete, fragment: Ipv4Packet): boolean {
  const { payload, fragmentOffset, moreFragments } = fragment
  const end = fragmentOffset + payload.length
  if (incomplete.fragments.length >= MOST_FRAGMENTS || payload.length === 0 || end > LARGEST_PAYLOAD) return false
  if (moreFragments && payload.length % 8 !== 0) return false
  if (incomplete.length !== undefined && (!moreFragments || end > incomplete.length)) return false
  const units = incomplete.present.subarray(fragmentOffset / 8, Math.ceil(end / 8))
  if (units.includes(1)) return false
  units.fill(1)
  incomplete.bytes.set(payload, fragmentOffset)
  incomplete.received += payload.length
  incomplete.fragments.push(fragment)
  if (!moreFragments) incomplete.length = end
  return incomplete.length === undefined || incomplete.received <= incomplete.length
}

/**
 * The frames that carry a payload: one, or fragments of it.
 * @param identification tells this packet's fragments from those of others.
 */
export function ipv4Frames(
  link: Link,
  addresses: Ipv4Addresses,
  protocol: number,
  payload: Uint8Array,
  identification: number,
): EthernetFrame[] {
  if (payload.length > LARGEST_PAYLOAD) throw new RangeError(`${payload.length} bytes are no payload of an IPv4 packet`)
  if (payload.length <= ETHERNET_MTU - IPV4_HEADER) {
    const frame = ipv4Frame(link, addresses, protocol, payload.length)
    frame.set(payload, IPV4_PAYLOAD_AT)
    return [frame]
  }
  const frames: EthernetFrame[] = []
  for (let offset = 0; offset < payload.length; offset += FRAGMENT_PAYLOAD) {
    const piece = payload.subarray(offset, offset + FRAGMENT_PAYLOAD)
    const more = offset + piece.length < payload.length
    const frame = ipv4Frame(link, addresses, protocol, piece.length, { identification, offset, more })
    frame.set(piece, IPV4_PAYLOAD_AT)
    frames.push(frame)
  }
  return frames
}
