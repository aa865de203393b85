/**
 * Noise against the network: frames of random bytes, valid frames that are changed here and there, and answers to what
 * the network itself sends, with a host behind it that does anything at any time. What must hold is checked throughout:
 * no exception, tables within their bounds, no more answers than there is reason for, and every frame that comes out
 * well-formed.
 */

import { Bridge } from '../../src/backends/network/bridge.ts'
import { ARP_REPLY, ARP_REQUEST, buildArp, parseArp } from '../../src/backends/network/frame/arp.ts'
import { read16, read32, write16, write32 } from '../../src/backends/network/frame/big-endian.ts'
import { describeFrame } from '../../src/backends/network/frame/describe-frame.ts'
import {
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  parseEthernet,
} from '../../src/backends/network/frame/ethernet.ts'
import { buildIcmp, ICMP_ECHO_REQUEST, parseIcmp } from '../../src/backends/network/frame/icmp.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from '../../src/backends/network/frame/internet-checksum.ts'
import {
  IPV4_PAYLOAD_AT,
  type Ipv4Packet,
  ipv4Frame,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  parseIpv4,
} from '../../src/backends/network/frame/ipv4.ts'
import { writeMac } from '../../src/backends/network/frame/mac-address.ts'
import {
  beginTcpFrame,
  finishTcpFrame,
  parseTcp,
  sequenceAfter,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  type TcpSegment,
} from '../../src/backends/network/frame/tcp.ts'
import { segmentTcp } from '../../src/backends/network/frame/tcp-segmentation.ts'
import { buildUdp, parseUdp } from '../../src/backends/network/frame/udp.ts'
import type { EthernetFrame, NetworkPort } from '../../src/backends/network/network-port.ts'
import { PacketTrace } from '../../src/backends/network/packet-trace.ts'
import { GATEWAY, GATEWAY_MAC, NAME_SERVER } from '../../src/backends/network/user/addresses.ts'
import type { DatagramSocket } from '../../src/backends/network/user/datagram-socket.ts'
import { UserNetwork } from '../../src/backends/network/user/user-network.ts'
import { RandomStream } from '../../src/util/random-stream.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { FakeStream } from '../backends/network/fake-stream.ts'

const MAC = 0x0252_5300_0001
const GUEST_IP = 0x0a00_020f
const OUTSIDE = 0xc000_0201
/** One frame may let loose a whole window of the smallest segments. */
const MOST_ANSWERS = 512 * 1024
const LARGEST_NOISE = 2000
/** Frames of the network that answers are made of. */
const MOST_KEPT = 64

export interface NetworkReport {
  frames: number
  answers: number
  connections: number
  opened: number
  hostEvents: number
}

class FakeDatagrams implements DatagramSocket {
  onMessage: DatagramSocket['onMessage']
  readonly #sent: { address: number; port: number }[] = []

  send(_data: Uint8Array, address: number, port: number): void {
    this.#sent.push({ address, port })
    if (this.#sent.length > 8) this.#sent.shift()
  }

  close(): void {}

  /** An answer from one who was written to, or from a stranger. */
  answer(random: (bound: number) => number): void {
    const from = this.#sent[random(this.#sent.length + 1)] ?? { address: random(2 ** 32), port: random(2 ** 16) }
    this.onMessage?.(new Uint8Array(random(3000)), from.address, from.port)
  }
}

export class NetworkNoise implements NetworkPort {
  readonly name = 'noise'
  readonly report: NetworkReport = { frames: 0, answers: 0, connections: 0, opened: 0, hostEvents: 0 }
  readonly #random: RandomStream
  readonly #clock = new VirtualClock()
  readonly #bridge = new Bridge({ trace: new PacketTrace(this.#clock, 256) })
  readonly #user: UserNetwork
  /** Bytes of the largest frame that the guest's card takes. */
  readonly #largest: number
  readonly #port: NetworkPort
  #streams: FakeStream[] = []
  #sockets: FakeDatagrams[] = []
  readonly #kept: EthernetFrame[] = []
  #answersToOne = 0

  constructor(seed: number) {
    this.#random = new RandomStream(seed)
    this.#largest = this.#pick([1514, 65_550])
    this.#user = new UserNetwork({
      clock: this.#clock,
      access: { outside: this.#below(2) === 0, host: this.#below(4) !== 0, allow: [] },
      trace: this.#bridge.trace ?? new PacketTrace(this.#clock),
      connect: () => {
        const stream = new FakeStream()
        this.#streams.push(stream)
        if (this.#streams.length > 1000) this.#streams = this.#streams.filter(({ listener }) => listener !== undefined)
        return stream
      },
      openDatagrams: () => {
        const socket = new FakeDatagrams()
        this.#sockets.push(socket)
        if (this.#sockets.length > 1000)
          this.#sockets = this.#sockets.filter(({ onMessage }) => onMessage !== undefined)
        return socket
      },
      resolve: async () => [],
    })
    this.#user.port = this.#bridge.connect(this.#user)
    this.#port = this.#bridge.connect(this)
    this.#bridge.connect({ name: 'other', receive: frame => describeFrame(frame) })
  }

  /** Sends so many frames, with time and events of the host between them. Throws what went wrong. */
  play(frames: number): void {
    for (let i = 0; i < frames; i++) {
      if (this.#below(4) === 0) this.#pass()
      if (this.#below(3) === 0) this.#hostActs()
      if (this.#below(5000) === 0) this.#restore()
      if (this.#below(5000) === 0) this.#user.reset()
      const frame = this.#frame()
      this.report.frames++
      this.#answersToOne = 0
      this.#port.receive(frame)
      this.#check()
    }
    this.report.opened = this.#user.tcp.counters.opened
  }

  largestFrame(): number {
    return this.#largest
  }

  /** What the network sends to its guests. */
  receive(frame: EthernetFrame): void {
    this.report.answers++
    if (++this.#answersToOne > MOST_ANSWERS) throw new Error('answers without end')
    requireWellFormed(frame, this.#largest)
    if (this.#kept.length >= MOST_KEPT) this.#kept[this.#below(MOST_KEPT)] = frame
    else this.#kept.push(frame)
  }

  #below(bound: number): number {
    return Math.floor((this.#random.next() / 2 ** 32) * bound)
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#below(values.length)]
  }

  #check(): void {
    const connections = this.#user.tcp.connections.length
    this.report.connections = Math.max(this.report.connections, connections)
    if (connections > 512) throw new Error(`${connections} connections`)
    if (this.#user.udp.flows > 256) throw new Error(`${this.#user.udp.flows} flows`)
    if (this.#bridge.addresses > 1024) throw new Error(`${this.#bridge.addresses} addresses`)
  }

  #pass(): void {
    this.#clock.skipTo(this.#clock.now + this.#below(this.#below(20) === 0 ? 10e9 : 10e6))
    this.#answersToOne = 0
    this.#clock.fireDue()
  }

  #hostActs(): void {
    this.report.hostEvents++
    this.#answersToOne = 0
    if (this.#below(3) === 0) this.#pick(this.#sockets)?.answer(bound => this.#below(bound))
    const stream = this.#pick(this.#streams)
    if (stream === undefined) return
    // A slow reader, and one that has caught up.
    stream.buffered = this.#pick([0, 0, 0, 1e5, 1e9])
    // What was received is of no use here, and would fill the memory.
    stream.received = []
    const listener = stream.listener
    if (listener === undefined) return
    const act = this.#below(8)
    if (act < 3) listener.connected()
    else if (act < 5 && !stream.paused) listener.data(this.#bytes(this.#below(20_000)))
    else if (act === 5) listener.drained()
    else if (act === 6 && this.#below(4) === 0) listener.ended()
    else if (act === 7 && this.#below(8) === 0) listener.closed(this.#below(2) === 0)
    this.#user.deliver()
  }

  #restore(): void {
    const saved = this.#user.save()
    this.#user.restore(saved)
    this.#user.deliver()
  }

  #frame(): EthernetFrame {
    const kind = this.#below(20)
    if (kind === 0) return this.#bytes(this.#below(LARGEST_NOISE))
    const frame = kind < 8 ? this.#reply() : this.#template()
    if (this.#below(3) === 0) return frame
    const changed = this.#mutate(frame)
    return this.#below(2) === 0 ? changed : repaired(changed)
  }

  #bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i += 4) {
      const word = this.#random.next()
      for (let j = i; j < Math.min(i + 4, length); j++) bytes[j] = word >>> (8 * (j - i))
    }
    return bytes
  }

  #mutate(frame: EthernetFrame): EthernetFrame {
    const bytes = frame.slice()
    for (let changes = 1 + this.#below(4); changes > 0; changes--) {
      // Headers are more worth than data.
      const at = this.#below(Math.min(bytes.length, this.#below(4) === 0 ? bytes.length : 80))
      const how = this.#below(5)
      if (how === 0) bytes[at] = this.#below(256)
      else if (how === 1) bytes[at] ^= 1 << this.#below(8)
      else if (how === 2) bytes[at] = this.#pick([0, 1, 0x7f, 0x80, 0xff])
      else if (how === 3 && at + 2 <= bytes.length) write16(bytes, at, this.#pick([0, 1, 0x7fff, 0x8000, 0xffff]))
      else if (how === 4) return bytes.slice(0, this.#below(bytes.length + 1))
    }
    return bytes
  }

  #template(): EthernetFrame {
    const addresses = { source: GUEST_IP, destination: this.#pick([GATEWAY, GATEWAY, NAME_SERVER, OUTSIDE]) }
    switch (this.#below(6)) {
      case 0:
        return buildArp({
          operation: this.#pick([ARP_REQUEST, ARP_REPLY]),
          senderMac: MAC,
          senderIp: GUEST_IP + this.#below(3),
          targetMac: GATEWAY_MAC,
          targetIp: this.#pick([GATEWAY, NAME_SERVER]),
        })
      case 1: {
        const echo = {
          type: ICMP_ECHO_REQUEST,
          code: 0,
          identifier: 1,
          sequence: 1,
          data: this.#bytes(this.#below(200)),
        }
        return packet(addresses, PROTOCOL_ICMP, buildIcmp(echo), this.#fragment())
      }
      case 2:
        return this.#udp({ source: 0, destination: 0xffff_ffff }, 68, 67, this.#dhcp())
      case 3:
        return this.#udp({ ...addresses, destination: NAME_SERVER }, 5353, 53, this.#dns())
      case 4:
        return this.#udp(addresses, 1024 + this.#below(600), 1 + this.#below(9), this.#bytes(this.#below(1200)))
      default:
        return tcp(addresses, {
          sourcePort: 1024 + this.#below(700),
          destinationPort: 1 + this.#below(3),
          sequence: this.#random.next(),
          acknowledgment: 0,
          flags: TCP_SYN,
          window: this.#below(2 ** 16),
          segmentSize: this.#pick([0, 48, 536, 1460, 65_535]),
          windowScale: this.#below(16),
          data: new Uint8Array(),
        })
    }
  }

  #fragment(): number {
    return this.#below(4) === 0 ? this.#pick([0x2000, 0x2001, 0x0001, 0x1fff, 0x3fff]) : 0
  }

  #udp(addresses: Ends, sourcePort: number, destinationPort: number, data: Uint8Array): EthernetFrame {
    return packet(addresses, PROTOCOL_UDP, buildUdp({ sourcePort, destinationPort, data }, addresses), this.#fragment())
  }

  #dhcp(): Uint8Array {
    const data = new Uint8Array(300)
    data.set([1, 1, 6])
    writeMac(data, 28, MAC + this.#below(400))
    write32(data, 236, 0x6382_5363)
    data.set([53, 1, 1 + this.#below(8), 50, 4, 10, 0, 2, 15 + this.#below(3), 255], 240)
    return data
  }

  #dns(): Uint8Array {
    const name = this.#pick(['gateway', 'host', 'example'])
    const data = new Uint8Array(12 + name.length + 6)
    write16(data, 2, 0x0100)
    write16(data, 4, 1)
    data[12] = name.length
    data.set(new TextEncoder().encode(name), 13)
    write16(data, 14 + name.length, this.#pick([1, 12, 28, 255]))
    write16(data, 16 + name.length, 1)
    return data
  }

  /** To something that the network has sent: what a driver's own stack might answer, more or less. */
  #reply(): EthernetFrame {
    const frame = this.#pick(this.#kept)
    const ip = frame === undefined ? undefined : parseIpv4(frame.subarray(ETHERNET_HEADER))
    const segment = ip?.protocol === PROTOCOL_TCP ? parseTcp(ip.payload, ip) : undefined
    if (ip === undefined || segment === undefined) return this.#template()
    const length = segment.data.length + ((segment.flags & (TCP_SYN | TCP_FIN)) === 0 ? 0 : 1)
    const near = () => this.#pick([0, 0, 0, 0, 1, -1, 1460, -1460, 70_000])
    return tcp(
      { source: ip.destination, destination: ip.source },
      {
        sourcePort: segment.destinationPort,
        destinationPort: segment.sourcePort,
        sequence: sequenceAfter(segment.acknowledgment, near()),
        acknowledgment: sequenceAfter(segment.sequence, length + near()),
        flags: this.#pick([
          TCP_ACK,
          TCP_ACK,
          TCP_ACK,
          TCP_ACK | TCP_FIN,
          TCP_SYN | TCP_ACK,
          TCP_RST,
          TCP_ACK | TCP_RST,
        ]),
        window: this.#pick([0, 1, 1000, 65_535]),
        data: this.#bytes(this.#pick([0, 0, 1, 100, 1460])),
      },
    )
  }
}

interface Ends {
  readonly source: number
  readonly destination: number
}

const LINK = { source: MAC, destination: GATEWAY_MAC }

/** @param fragment flags and offset of the header. */
function packet(addresses: Ends, protocol: number, payload: Uint8Array, fragment: number): EthernetFrame {
  const frame = ipv4Frame(LINK, addresses, protocol, payload.length)
  frame.set(payload, IPV4_PAYLOAD_AT)
  write16(frame, ETHERNET_HEADER + 6, fragment)
  return repaired(frame)
}

function tcp(addresses: Ends, segment: TcpSegment): EthernetFrame {
  const begun = beginTcpFrame(LINK, addresses, segment, segment.data.length)
  begun.frame.set(segment.data, begun.dataAt)
  return finishTcpFrame(begun, addresses)
}

/** With right checksums where there is room for them: what is wrong elsewhere is to be looked at. */
function repaired(frame: EthernetFrame): EthernetFrame {
  const ip = ETHERNET_HEADER
  if (frame.length < ip + 20 || read16(frame, 12) !== ETHERTYPE_IPV4) return frame
  const headerLength = (frame[ip] & 0xf) * 4
  const end = ip + read16(frame, ip + 2)
  if (headerLength < 20 || ip + headerLength > frame.length || end > frame.length) return frame
  const checksum = (at: number, from: number, to: number, sum: number) => {
    if (at + 2 > to) return
    write16(frame, at, 0)
    write16(frame, at, foldChecksum(sumWords(frame, from, to, sum)))
  }
  checksum(ip + 10, ip, ip + headerLength, 0)
  const at = ip + headerLength
  const protocol = frame[ip + 9]
  const pseudo = sumPseudoHeader(read32(frame, ip + 12), read32(frame, ip + 16), protocol, end - at)
  if (protocol === PROTOCOL_ICMP) checksum(at + 2, at, end, 0)
  if (protocol === PROTOCOL_UDP) checksum(at + 6, at, end, pseudo)
  if (protocol === PROTOCOL_TCP) checksum(at + 16, at, end, pseudo)
  return frame
}

function requireWellFormed(frame: EthernetFrame, largest: number): void {
  const ethernet = parseEthernet(frame)
  const payload = frame.subarray(ETHERNET_HEADER)
  const isArp = ethernet?.etherType === ETHERTYPE_ARP && parseArp(payload) !== undefined
  const ip = ethernet?.etherType === ETHERTYPE_IPV4 ? parseIpv4(payload) : undefined
  if (!isArp && (ip === undefined || !isWhole(ip)))
    throw new Error(`a malformed frame came out: ${Buffer.from(frame).toString('hex')}`)
  if (frame.length > largest) throw new Error(`a frame of ${frame.length} bytes came out`)
  describeFrame(frame)
  segmentTcp(frame, 100)
}

function isWhole(ip: Ipv4Packet): boolean {
  if (ip.moreFragments || ip.fragmentOffset > 0) return true
  if (ip.protocol === PROTOCOL_TCP) return parseTcp(ip.payload, ip) !== undefined
  if (ip.protocol === PROTOCOL_UDP) return parseUdp(ip.payload, ip) !== undefined
  return ip.protocol === PROTOCOL_ICMP && parseIcmp(ip.payload) !== undefined
}
