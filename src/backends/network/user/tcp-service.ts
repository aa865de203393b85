/** The TCP connections of the user-mode network: a bounded table, who may connect where, and who is told to go away. */

import { IPV4_HEADER, IPV4_PAYLOAD_AT, type Ipv4Packet } from '../frame/ipv4.ts'
import type { Ipv4Address } from '../frame/ipv4-address.ts'
import { formatIpv4 } from '../frame/ipv4-address.ts'
import {
  beginTcpFrame,
  finishTcpFrame,
  parseTcp,
  sequenceAfter,
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER,
  TCP_RST,
  TCP_SYN,
  type TcpSegment,
} from '../frame/tcp.ts'
import type { AccessPolicy } from './access-policy.ts'
import { GATEWAY } from './addresses.ts'
import { ByteRing } from './byte-ring.ts'
import type { GuestSide } from './guest-side.ts'
import type { HostStream } from './host-stream.ts'
import { type OutgoingSegment, TcpConnection, type TcpEnds, type TcpSurroundings } from './tcp-connection.ts'

const MOST_CONNECTIONS = 512
/** Between the first sequence numbers of two connections. */
const SEQUENCE_STEP = 64_021
/** Ports that connections from the host seem to come from (RFC 6335: dynamic ports). */
const FIRST_DYNAMIC_PORT = 49_152
const LAST_DYNAMIC_PORT = 65_535
/** Of an IPv4 packet. */
const MOST_PAYLOAD = 65_535 - IPV4_HEADER
const NOTHING = new ByteRing()

/** @returns a stream that is being connected. @param what for people: whose connection it is. */
export type ConnectStream = (address: Ipv4Address, port: number, what: string) => HostStream

/** A connection that a snapshot does not hold: after it is restored, the guest is told that it is broken. */
export interface BrokenConnection {
  readonly ends: TcpEnds
  readonly sequence: number
  readonly acknowledgment: number
}

export interface TcpCounters {
  opened: number
  /** The guest wanted to go where it may not, or too many were open. */
  refused: number
  /** Segments that were malformed. */
  malformed: number
}

export class TcpService implements TcpSurroundings {
  readonly counters: TcpCounters = { opened: 0, refused: 0, malformed: 0 }
  readonly #guest: GuestSide
  readonly #policy: AccessPolicy
  readonly #connect: ConnectStream
  readonly #connections = new Map<string, TcpConnection>()
  #sequence = 1
  #port = FIRST_DYNAMIC_PORT

  constructor(guest: GuestSide, policy: AccessPolicy, connect: ConnectStream) {
    this.#guest = guest
    this.#policy = policy
    this.#connect = connect
  }

  get connections(): readonly TcpConnection[] {
    return [...this.#connections.values()]
  }

  packet(packet: Ipv4Packet): void {
    const segment = parseTcp(packet.payload, packet)
    if (segment === undefined || segment.sourcePort === 0) {
      this.counters.malformed++
      return
    }
    const ends: TcpEnds = {
      guest: packet.source,
      guestPort: segment.sourcePort,
      peer: packet.destination,
      peerPort: segment.destinationPort,
    }
    const known = this.#connections.get(keyOf(ends))
    const begins = (segment.flags & (TCP_SYN | TCP_ACK | TCP_RST)) === TCP_SYN
    if (known !== undefined && !(begins && known.state === 'time-wait')) {
      known.segment(segment)
      return
    }
    known?.abandon()
    if (begins) this.#open(ends, segment)
    else this.#refuse(ends, segment)
  }

  /** The host has connected to a forwarded port; false if there is no room for another. */
  forward(guest: Ipv4Address, guestPort: number, stream: HostStream): boolean {
    const ends = this.#freeEnds(guest, guestPort)
    if (ends === undefined || !this.#makeRoom()) return false
    const connection = TcpConnection.fromHost(ends, this.#initialSequence(), stream, this)
    this.#connections.set(keyOf(ends), connection)
    this.counters.opened++
    connection.start()
    return true
  }

  /** Does what is due by now. */
  tick(): void {
    const now = this.now()
    for (const connection of this.connections) {
      if (connection.deadline !== undefined && connection.deadline <= now) connection.tick()
      if (connection.deadline !== undefined) this.wakeAt(connection.deadline)
    }
  }

  /** What a snapshot keeps. */
  get broken(): BrokenConnection[] {
    return this.connections
      .filter(({ state }) => state !== 'time-wait')
      .map(connection => ({ ends: connection.ends, ...connection.sequences }))
  }

  /** Tells the guest that a connection of before a snapshot is no more. */
  break({ ends, sequence, acknowledgment }: BrokenConnection): void {
    this.send(ends, { sequence, acknowledgment, flags: TCP_RST | TCP_ACK, window: 0 }, NOTHING, 0, 0)
  }

  /** Ends every connection without a word to the guest. */
  abandonAll(): void {
    for (const connection of this.connections) connection.abandon()
  }

  now(): number {
    return this.#guest.clock.now
  }

  mostData(guest: Ipv4Address): number {
    return Math.min(this.#guest.largestFrameTo(guest) - IPV4_PAYLOAD_AT, MOST_PAYLOAD) - TCP_HEADER
  }

  wakeAt(time: number): void {
    this.#guest.wakeAt(time)
  }

  send(ends: TcpEnds, segment: OutgoingSegment, source: ByteRing, offset: number, length: number): void {
    this.#guest.transmit(ends.guest, link => {
      const addresses = { source: ends.peer, destination: ends.guest }
      const header = { ...segment, sourcePort: ends.peerPort, destinationPort: ends.guestPort }
      const begun = beginTcpFrame(link, addresses, header, length)
      source.copy(offset, length, begun.frame, begun.dataAt)
      return finishTcpFrame(begun, addresses)
    })
  }

  closed(connection: TcpConnection): void {
    this.#connections.delete(keyOf(connection.ends))
  }

  #open(ends: TcpEnds, syn: TcpSegment): void {
    const destination = this.#policy.destination('tcp', ends.peer, ends.peerPort)
    if (destination.kind === 'refused' || !this.#makeRoom()) {
      this.counters.refused++
      this.#refuse(ends, syn)
      return
    }
    const stream = this.#connect(destination.address, ends.peerPort, `tcp ${describeEnds(ends)}`)
    this.#connections.set(keyOf(ends), TcpConnection.fromGuest(ends, syn, this.#initialSequence(), stream, this))
    this.counters.opened++
  }

  /** RFC 9293, 3.10.7.1: what belongs to no connection is answered by a reset, but for resets. */
  #refuse(ends: TcpEnds, { flags, sequence, acknowledgment, data }: TcpSegment): void {
    if ((flags & TCP_RST) !== 0) return
    if ((flags & TCP_ACK) !== 0) {
      this.send(ends, { sequence: acknowledgment, acknowledgment: 0, flags: TCP_RST, window: 0 }, NOTHING, 0, 0)
      return
    }
    const length = data.length + ((flags & TCP_SYN) === 0 ? 0 : 1) + ((flags & TCP_FIN) === 0 ? 0 : 1)
    const answer = { sequence: 0, acknowledgment: sequenceAfter(sequence, length), flags: TCP_RST | TCP_ACK, window: 0 }
    this.send(ends, answer, NOTHING, 0, 0)
  }

  /** Connections that have ended and only wait for echoes give way. */
  #makeRoom(): boolean {
    if (this.#connections.size < MOST_CONNECTIONS) return true
    const ended = this.connections.find(({ state }) => state === 'time-wait')
    ended?.abandon()
    return ended !== undefined
  }

  #freeEnds(guest: Ipv4Address, guestPort: number): TcpEnds | undefined {
    for (let tries = 0; tries <= MOST_CONNECTIONS; tries++) {
      const ends: TcpEnds = { guest, guestPort, peer: GATEWAY, peerPort: this.#port }
      this.#port = this.#port === LAST_DYNAMIC_PORT ? FIRST_DYNAMIC_PORT : this.#port + 1
      if (!this.#connections.has(keyOf(ends))) return ends
    }
    return undefined
  }

  #initialSequence(): number {
    this.#sequence = sequenceAfter(this.#sequence, SEQUENCE_STEP)
    return this.#sequence
  }
}

function keyOf({ guest, guestPort, peer, peerPort }: TcpEnds): string {
  return `${guest}:${guestPort}:${peer}:${peerPort}`
}

export function describeEnds({ guest, guestPort, peer, peerPort }: TcpEnds): string {
  return `${formatIpv4(guest)}:${guestPort} > ${formatIpv4(peer)}:${peerPort}`
}
