/**
 * Datagrams between a guest and the world: a socket of the host for each port of the guest that sends some. Answers
 * come in only from those whom the guest has written to.
 */

import { type Ipv4Packet, PROTOCOL_UDP } from '../frame/ipv4.ts'
import { formatIpv4, type Ipv4Address } from '../frame/ipv4-address.ts'
import { buildUdp, type UdpDatagram } from '../frame/udp.ts'
import type { AccessPolicy } from './access-policy.ts'
import { GATEWAY } from './addresses.ts'
import type { DatagramSocket } from './datagram-socket.ts'
import type { GuestSide } from './guest-side.ts'

const MOST_FLOWS = 256
/** Whom one port of the guest writes to. */
const MOST_PEERS = 64
/** Virtual nanoseconds without a datagram after which a flow ends (RFC 4787, REQ-5 asks for two minutes). */
const IDLE_NS = 120e9
const LARGEST_DATA = 65_507
const LOOPBACK: Ipv4Address = 0x7f00_0001

interface Flow {
  readonly guest: Ipv4Address
  readonly port: number
  readonly socket: DatagramSocket
  readonly peers: Set<string>
  lastUsed: number
}

/** @param loopback only the host itself can be reached. */
export type OpenDatagramSocket = (loopback: boolean, what: string) => DatagramSocket

export interface UdpCounters {
  flows: number
  refused: number
  /** From strangers. */
  dropped: number
}

export class UdpService {
  readonly counters: UdpCounters = { flows: 0, refused: 0, dropped: 0 }
  readonly #guest: GuestSide
  readonly #policy: AccessPolicy
  readonly #open: OpenDatagramSocket
  /** In order of last use. */
  readonly #flows = new Map<string, Flow>()
  /** Forwarded ports, by the guest's: its socket, and the ports of the host's programs that have written to it. */
  readonly #forwards = new Map<number, { readonly socket: DatagramSocket; readonly clients: Set<number> }>()

  constructor(guest: GuestSide, policy: AccessPolicy, open: OpenDatagramSocket) {
    this.#guest = guest
    this.#policy = policy
    this.#open = open
  }

  get flows(): number {
    return this.#flows.size
  }

  /** False if the guest may not send there, and should be told. */
  datagram(packet: Ipv4Packet, { sourcePort, destinationPort, data }: UdpDatagram): boolean {
    const forward = packet.destination === GATEWAY ? this.#forwards.get(sourcePort) : undefined
    if (forward?.clients.has(destinationPort)) {
      forward.socket.send(data, LOOPBACK, destinationPort)
      return true
    }
    const destination = this.#policy.destination('udp', packet.destination, destinationPort)
    if (destination.kind === 'refused' || sourcePort === 0) {
      this.counters.refused++
      return false
    }
    const flow = this.#flow(packet.source, sourcePort, destination.kind === 'host')
    remember(flow.peers, `${destination.address}:${destinationPort}`)
    flow.socket.send(data, destination.address, destinationPort)
    return true
  }

  /** What the host's `socket` receives goes to a port of the guest, and answers go back. */
  forward(guest: Ipv4Address, guestPort: number, socket: DatagramSocket): void {
    const clients = new Set<number>()
    this.#forwards.set(guestPort, { socket, clients })
    socket.onMessage = (data, _address, port) => {
      remember(clients, port)
      this.#deliver({ guest, port: guestPort }, data, GATEWAY, port)
    }
  }

  /** Ends what has been idle for long. @returns when to look again; undefined if there is nothing. */
  expire(): number | undefined {
    const { now } = this.#guest.clock
    for (const [key, flow] of this.#flows) {
      if (flow.lastUsed + IDLE_NS > now) return flow.lastUsed + IDLE_NS
      this.#end(key, flow)
    }
    return undefined
  }

  endAll(): void {
    for (const [key, flow] of this.#flows) this.#end(key, flow)
  }

  #flow(guest: Ipv4Address, port: number, loopback: boolean): Flow {
    const key = `${guest}:${port}:${loopback}`
    const known = this.#flows.get(key)
    const flow = known ?? this.#begin(guest, port, loopback)
    flow.lastUsed = this.#guest.clock.now
    this.#flows.delete(key)
    this.#flows.set(key, flow)
    this.#guest.wakeAt(flow.lastUsed + IDLE_NS)
    return flow
  }

  #begin(guest: Ipv4Address, port: number, loopback: boolean): Flow {
    const oldest = this.#flows.size >= MOST_FLOWS ? this.#flows.entries().next().value : undefined
    if (oldest !== undefined) this.#end(...oldest)
    this.counters.flows++
    const socket = this.#open(loopback, `udp ${formatIpv4(guest)}:${port}`)
    const flow: Flow = { guest, port, socket, peers: new Set(), lastUsed: 0 }
    socket.onMessage = (data, address, from) => {
      if (!flow.peers.has(`${address}:${from}`)) {
        this.counters.dropped++
        return
      }
      this.#deliver(flow, data, loopback ? GATEWAY : address, from)
    }
    return flow
  }

  #end(key: string, flow: Flow): void {
    this.#flows.delete(key)
    flow.socket.onMessage = undefined
    flow.socket.close()
  }

  #deliver(to: { guest: Ipv4Address; port: number }, data: Uint8Array, source: Ipv4Address, sourcePort: number): void {
    if (data.length > LARGEST_DATA) return
    const addresses = { source, destination: to.guest }
    const datagram = { sourcePort, destinationPort: to.port, data }
    this.#guest.transmitPayload(addresses, PROTOCOL_UDP, buildUdp(datagram, addresses))
  }
}

/** The one that was remembered first is forgotten when there are too many. */
function remember<T>(set: Set<T>, value: T): void {
  set.delete(value)
  for (const first of set) {
    if (set.size < MOST_PEERS) break
    set.delete(first)
  }
  set.add(value)
}
