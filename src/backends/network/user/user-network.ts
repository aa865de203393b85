/**
 * User-mode networking: a station that is gateway, DHCP server, name server and the way to the world for the guests of
 * one bridge, with no rights on the host but those of an ordinary program. The network is 10.0.2.0/24 (`addresses.ts`).
 * What leads out of it is refused unless {@link AccessPolicy} allows it. IPv4 only.
 *
 * Answers to a guest depend on nothing but the guest, and time is virtual, so a run without sockets of the host is the
 * same run each time. What comes from sockets waits in {@link HostEvents} for {@link UserNetwork.deliver}.
 */

import { promises as dns } from 'node:dns'
import type { Json } from '../../../util/json.ts'
import type { VirtualClock } from '../../../util/virtual-clock.ts'
import { ARP_REPLY, ARP_REQUEST, buildArp, parseArp } from '../frame/arp.ts'
import { buildDhcp, DHCP_CLIENT_PORT, DHCP_NAK, DHCP_SERVER_PORT, parseDhcp } from '../frame/dhcp.ts'
import { DNS_PORT } from '../frame/dns.ts'
import {
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  LARGEST_FRAME,
  ORDINARY_FRAME,
  parseEthernet,
} from '../frame/ethernet.ts'
import {
  buildIcmp,
  buildUnreachable,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  parseIcmp,
  UNREACHABLE_PORT,
  UNREACHABLE_PROHIBITED,
} from '../frame/icmp.ts'
import {
  type Ipv4Addresses,
  type Ipv4Packet,
  type Link,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  parseIpv4,
} from '../frame/ipv4.ts'
import { IPV4_ANY, IPV4_BROADCAST, type Ipv4Address, inPrefix, parseIpv4Address } from '../frame/ipv4-address.ts'
import { FragmentAssembly, ipv4Frames } from '../frame/ipv4-fragments.ts'
import { isGroup, MAC_BROADCAST, type MacAddress } from '../frame/mac-address.ts'
import { buildUdp, parseUdp, type UdpDatagram } from '../frame/udp.ts'
import type { EthernetFrame, NetworkPort } from '../network-port.ts'
import type { PacketTrace } from '../packet-trace.ts'
import { type AccessOptions, AccessPolicy } from './access-policy.ts'
import {
  FIRST_LEASE,
  GATEWAY,
  GATEWAY_MAC,
  NAME_SERVER,
  NETWORK,
  NETWORK_BITS,
  NETWORK_BROADCAST,
} from './addresses.ts'
import { openDatagramSocket } from './datagram-socket.ts'
import { DhcpServer } from './dhcp-server.ts'
import { type OpenForward, openForward, type PortForward } from './forwards.ts'
import type { GuestSide } from './guest-side.ts'
import { HostEvents } from './host-events.ts'
import { connectStream } from './host-stream.ts'
import { NameServer, type Resolve } from './name-server.ts'
import { readUserNetworkState, writeUserNetworkState } from './saved-state.ts'
import { type BrokenConnection, type ConnectStream, TcpService } from './tcp-service.ts'
import { type OpenDatagramSocket, UdpService } from './udp-service.ts'

/** Guests whose Ethernet address is remembered. */
const MOST_GUESTS = 256

export interface UserNetworkOptions {
  readonly clock: VirtualClock
  readonly access: AccessOptions
  readonly trace?: PacketTrace
  /** How the world is reached; by sockets of Node's if absent. */
  readonly connect?: ConnectStream
  readonly openDatagrams?: OpenDatagramSocket
  readonly resolve?: Resolve
}

export class UserNetwork implements NetworkPort, GuestSide {
  readonly name = 'user'
  readonly clock: VirtualClock
  /** Where what it sends goes. */
  port: NetworkPort | undefined
  readonly events: HostEvents
  readonly tcp: TcpService
  readonly udp: UdpService
  readonly counters = { received: 0, sent: 0, malformed: 0, ignored: 0 }
  readonly #policy: AccessPolicy
  readonly #dhcp = new DhcpServer()
  readonly #names: NameServer
  readonly #fragments = new FragmentAssembly()
  readonly #guests = new Map<Ipv4Address, MacAddress>()
  readonly #timer: ReturnType<VirtualClock['timer']>
  readonly #trace: PacketTrace | undefined
  readonly #stations: { readonly received: number; readonly sent: number }
  #forwards: OpenForward[] = []
  /** Connections of before a snapshot: the guest has not been told yet that they are broken. */
  #broken: readonly BrokenConnection[] = []
  #identification = 0

  constructor(options: UserNetworkOptions) {
    this.clock = options.clock
    this.#trace = options.trace
    this.#stations = {
      received: options.trace?.station('user network: received') ?? 0,
      sent: options.trace?.station('user network: sent') ?? 0,
    }
    this.#timer = options.clock.timer('user-network', () => this.#tick())
    this.events = new HostEvents(options.clock)
    this.#policy = new AccessPolicy(options.access)
    const connect: ConnectStream =
      options.connect ?? ((address, port, what) => connectStream(address, port, this.events, what))
    const open: OpenDatagramSocket =
      options.openDatagrams ?? ((loopback, what) => openDatagramSocket(loopback, this.events, what))
    this.tcp = new TcpService(this, this.#policy, connect)
    this.udp = new UdpService(this, this.#policy, open)
    this.#names = new NameServer(options.access.outside ? (options.resolve ?? resolveByHost) : undefined)
  }

  /** Begins to listen at ports of the host. Throws `ForwardError`, and then listens at none. */
  async open(forwards: readonly PortForward[]): Promise<void> {
    try {
      for (const forward of forwards)
        this.#forwards.push(
          await openForward(forward, {
            events: this.events,
            stream: (guestPort, stream) => this.tcp.forward(FIRST_LEASE, guestPort, stream),
            datagrams: (guestPort, socket) => this.udp.forward(FIRST_LEASE, guestPort, socket),
          }),
        )
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Ports of the host that lead to the guest. */
  get forwards(): readonly OpenForward[] {
    return this.#forwards
  }

  /** Can something arrive that is not derived from the guest? Then an idle guest waits as long as the wall's clock. */
  get live(): boolean {
    return (
      this.#forwards.length > 0 ||
      this.events.waiting > 0 ||
      this.#names.waiting > 0 ||
      this.udp.flows > 0 ||
      this.tcp.connections.some(({ state }) => state !== 'time-wait')
    )
  }

  /** Hands over what came from the host's sockets. Only while the guest stands still. */
  deliver(): void {
    this.#breakConnections()
    this.events.deliver()
  }

  /** Ends all that goes on with the host. */
  close(): void {
    for (const forward of this.#forwards) forward.close()
    this.#forwards = []
    this.#abandon()
  }

  /** The machine was reset: its connections are gone. Leases and forwarded ports stay. */
  reset(): void {
    this.#abandon()
    this.#timer.cancel()
  }

  save(): Json {
    return writeUserNetworkState({
      leases: this.#dhcp.leases,
      guests: [...this.#guests].map(([address, mac]) => ({ address, mac })),
      broken: [...this.#broken, ...this.tcp.broken],
      identification: this.#identification,
      fragments: this.#fragments.incomplete,
    })
  }

  /** Connections do not come back: the guest is told by a reset of each. */
  restore(saved: Json): void {
    this.#abandon()
    const state = readUserNetworkState(saved)
    this.#dhcp.restore(state.leases)
    this.#guests.clear()
    for (const { address, mac } of state.guests) this.#learn(address, mac)
    this.#broken = state.broken
    this.#identification = state.identification
    for (const { fragment, began } of state.fragments) this.#fragments.add(fragment, began)
  }

  // A port of the network.

  receive(frame: EthernetFrame, number?: number): void {
    this.counters.received++
    if (number !== undefined) this.#trace?.note(number, this.#stations.received, frame.length)
    this.#breakConnections()
    const header = parseEthernet(frame)
    if (header === undefined || isGroup(header.source)) {
      this.counters.malformed++
      return
    }
    if (header.destination !== GATEWAY_MAC && !isGroup(header.destination)) {
      this.counters.ignored++
      return
    }
    const payload = frame.subarray(ETHERNET_HEADER)
    if (header.etherType === ETHERTYPE_ARP) this.#receiveArp(payload)
    else if (header.etherType === ETHERTYPE_IPV4) this.#receiveIpv4(payload, header.source)
    else this.counters.ignored++
  }

  /** A driver may leave its segments whole. */
  largestFrame(): number {
    return LARGEST_FRAME
  }

  // What services need.

  transmit(guest: Ipv4Address, build: (link: Link) => EthernetFrame): void {
    const destination = this.#guests.get(guest)
    if (destination !== undefined) this.#send(build({ source: GATEWAY_MAC, destination }))
    else if (inPrefix(guest, NETWORK, NETWORK_BITS)) this.#ask(guest)
  }

  largestFrameTo(guest: Ipv4Address): number {
    const mac = this.#guests.get(guest)
    return (mac === undefined ? undefined : this.port?.largestFrame?.(mac)) ?? ORDINARY_FRAME
  }

  transmitPayload(addresses: Ipv4Addresses, protocol: number, payload: Uint8Array): void {
    const destination = this.#guests.get(addresses.destination)
    if (destination === undefined) {
      if (inPrefix(addresses.destination, NETWORK, NETWORK_BITS)) this.#ask(addresses.destination)
      return
    }
    this.#sendPayload({ source: GATEWAY_MAC, destination }, addresses, protocol, payload)
  }

  wakeAt(time: number): void {
    if (this.#timer.at === undefined || time < this.#timer.at) this.#timer.arm(time)
  }

  #tick(): void {
    this.tcp.tick()
    const next = this.udp.expire()
    if (next !== undefined) this.wakeAt(next)
  }

  #breakConnections(): void {
    const broken = this.#broken
    this.#broken = []
    for (const connection of broken) this.tcp.break(connection)
  }

  #abandon(): void {
    this.tcp.abandonAll()
    this.udp.endAll()
    this.#fragments.clear()
    this.#broken = []
  }

  #send(frame: EthernetFrame): void {
    this.counters.sent++
    const number = this.#trace?.number(frame)
    if (number !== undefined) this.#trace?.note(number, this.#stations.sent, frame.length)
    this.port?.receive(frame, number)
  }

  #sendPayload(link: Link, addresses: Ipv4Addresses, protocol: number, payload: Uint8Array): void {
    this.#identification = (this.#identification + 1) & 0xffff
    for (const frame of ipv4Frames(link, addresses, protocol, payload, this.#identification)) this.#send(frame)
  }

  /** Who has that address? */
  #ask(guest: Ipv4Address): void {
    const packet = { senderMac: GATEWAY_MAC, senderIp: GATEWAY, targetMac: 0, targetIp: guest }
    this.#send(buildArp({ operation: ARP_REQUEST, ...packet }))
  }

  /** Addresses within the network only: nobody else is next to us. */
  #learn(address: Ipv4Address, mac: MacAddress): void {
    if (!inPrefix(address, NETWORK, NETWORK_BITS) || address === GATEWAY || address === NAME_SERVER) return
    if (address === NETWORK || address === NETWORK_BROADCAST || isGroup(mac) || this.#guests.get(address) === mac)
      return
    const oldest = this.#guests.size >= MOST_GUESTS ? this.#guests.keys().next().value : undefined
    if (oldest !== undefined) this.#guests.delete(oldest)
    this.#guests.set(address, mac)
  }

  #receiveArp(payload: Uint8Array): void {
    const arp = parseArp(payload)
    if (arp === undefined) {
      this.counters.malformed++
      return
    }
    this.#learn(arp.senderIp, arp.senderMac)
    if (arp.operation !== ARP_REQUEST || (arp.targetIp !== GATEWAY && arp.targetIp !== NAME_SERVER)) return
    this.#send(
      buildArp({
        operation: ARP_REPLY,
        senderMac: GATEWAY_MAC,
        senderIp: arp.targetIp,
        targetMac: arp.senderMac,
        targetIp: arp.senderIp,
      }),
    )
  }

  #receiveIpv4(payload: Uint8Array, mac: MacAddress): void {
    const fragment = parseIpv4(payload)
    if (fragment === undefined) {
      this.counters.malformed++
      return
    }
    this.#learn(fragment.source, mac)
    const packet = this.#fragments.add(fragment, this.clock.now)
    if (packet === undefined) return
    if (packet.protocol === PROTOCOL_UDP) this.#receiveUdp(packet, payload, mac)
    // Beside a client that has no address yet, nobody speaks for another network.
    else if (!inPrefix(packet.source, NETWORK, NETWORK_BITS)) this.counters.ignored++
    else if (packet.protocol === PROTOCOL_TCP) this.#receiveTcp(packet)
    else if (packet.protocol === PROTOCOL_ICMP) this.#receiveIcmp(packet)
    else this.counters.ignored++
  }

  #receiveTcp(packet: Ipv4Packet): void {
    if (isUnicast(packet.destination)) this.tcp.packet(packet)
    else this.counters.ignored++
  }

  #receiveIcmp(packet: Ipv4Packet): void {
    const message = parseIcmp(packet.payload)
    const ours = packet.destination === GATEWAY || packet.destination === NAME_SERVER
    // Echoes further away would need rights on the host that an ordinary program does not have.
    if (message?.type !== ICMP_ECHO_REQUEST || !ours) {
      this.counters.ignored++
      return
    }
    const reply = buildIcmp({ ...message, type: ICMP_ECHO_REPLY, code: 0 })
    this.transmitPayload({ source: packet.destination, destination: packet.source }, PROTOCOL_ICMP, reply)
  }

  #receiveUdp(packet: Ipv4Packet, whole: Uint8Array, mac: MacAddress): void {
    const datagram = parseUdp(packet.payload, packet)
    if (datagram === undefined) {
      this.counters.malformed++
      return
    }
    if (datagram.destinationPort === DHCP_SERVER_PORT && this.#isForUs(packet)) this.#answerDhcp(datagram, mac)
    else if (!inPrefix(packet.source, NETWORK, NETWORK_BITS) || !isUnicast(packet.destination)) this.counters.ignored++
    else if (packet.destination === NAME_SERVER && datagram.destinationPort === DNS_PORT)
      this.#answerDns(packet, datagram)
    else if (!this.udp.datagram(packet, datagram)) this.#refuse(packet, whole)
  }

  #isForUs({ destination }: Ipv4Packet): boolean {
    return destination === GATEWAY || destination === IPV4_BROADCAST || destination === NETWORK_BROADCAST
  }

  #answerDhcp({ data, sourcePort }: UdpDatagram, mac: MacAddress): void {
    const request = sourcePort === DHCP_CLIENT_PORT ? parseDhcp(data) : undefined
    const reply = request === undefined ? undefined : this.#dhcp.answer(request)
    if (request === undefined || reply === undefined) return
    // RFC 2131, 4.1: to its address if it has one, to all if it says that it takes nothing else, or is refused.
    const everybody = request.broadcast || reply.type === DHCP_NAK
    const known = request.clientIp === IPV4_ANY ? reply.address : request.clientIp
    const destination = everybody ? IPV4_BROADCAST : known
    const addresses = { source: GATEWAY, destination }
    const datagram = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT, data: buildDhcp(reply) }
    const link = { source: GATEWAY_MAC, destination: everybody ? MAC_BROADCAST : mac }
    this.#sendPayload(link, addresses, PROTOCOL_UDP, buildUdp(datagram, addresses))
  }

  #answerDns({ source, destination }: Ipv4Packet, { sourcePort, destinationPort, data }: UdpDatagram): void {
    const addresses = { source: destination, destination: source }
    const send = (answer: Uint8Array) => {
      const datagram = { sourcePort: destinationPort, destinationPort: sourcePort, data: answer }
      this.transmitPayload(addresses, PROTOCOL_UDP, buildUdp(datagram, addresses))
    }
    let answered = false
    this.#names.answer(data, answer => {
      // What the outside was asked for comes between slices, as everything from the host.
      if (answered) this.events.post('dns: answer', () => send(answer))
      else send(answer)
    })
    answered = true
  }

  #refuse({ source, destination }: Ipv4Packet, whole: Uint8Array): void {
    const code = destination === GATEWAY || destination === NAME_SERVER ? UNREACHABLE_PORT : UNREACHABLE_PROHIBITED
    this.transmitPayload({ source: GATEWAY, destination: source }, PROTOCOL_ICMP, buildUnreachable(code, whole))
  }
}

function isUnicast(address: Ipv4Address): boolean {
  return address >>> 28 < 0xe && address !== NETWORK_BROADCAST && address !== IPV4_ANY
}

/** By the host's own resolver. */
async function resolveByHost(name: string): Promise<readonly Ipv4Address[]> {
  try {
    const addresses = await dns.resolve4(name)
    return addresses.map(parseIpv4Address).filter(address => address !== undefined)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOTFOUND' || code === 'ENODATA') return []
    throw error
  }
}
