/** A guest's end of a cable, for tests: makes frames, keeps those that come, and speaks just enough of each protocol. */

import { buildArp, parseArp } from '../../../src/backends/network/frame/arp.ts'
import {
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  parseEthernet,
} from '../../../src/backends/network/frame/ethernet.ts'
import { type Ipv4Packet, PROTOCOL_TCP, PROTOCOL_UDP, parseIpv4 } from '../../../src/backends/network/frame/ipv4.ts'
import { parseIpv4Address } from '../../../src/backends/network/frame/ipv4-address.ts'
import { ipv4Frames } from '../../../src/backends/network/frame/ipv4-fragments.ts'
import { beginTcpFrame, finishTcpFrame, parseTcp, type TcpSegment } from '../../../src/backends/network/frame/tcp.ts'
import { buildUdp, parseUdp, type UdpDatagram } from '../../../src/backends/network/frame/udp.ts'
import type { EthernetFrame, NetworkPort } from '../../../src/backends/network/network-port.ts'
import { GATEWAY, GATEWAY_MAC } from '../../../src/backends/network/user/addresses.ts'

export const GUEST_MAC = 0x0252_5300_0001

export function ip(text: string): number {
  const address = parseIpv4Address(text)
  if (address === undefined) throw new Error(`${text} is no address`)
  return address
}

export const GUEST_IP = ip('10.0.2.15')

export class GuestStack implements NetworkPort {
  readonly name: string
  readonly mac: number
  address: number
  /** What came and was not taken. */
  frames: EthernetFrame[] = []
  wire: NetworkPort | undefined
  /** Bytes of the largest frame that it takes. */
  largest = 1514

  constructor(name = 'guest', mac = GUEST_MAC, address = GUEST_IP) {
    this.name = name
    this.mac = mac
    this.address = address
  }

  largestFrame(): number {
    return this.largest
  }

  receive(frame: EthernetFrame): void {
    this.frames.push(frame)
  }

  send(frame: EthernetFrame): void {
    this.wire?.receive(frame)
  }

  arp(operation: number, targetIp: number, targetMac = 0): void {
    this.send(buildArp({ operation, senderMac: this.mac, senderIp: this.address, targetMac, targetIp }))
  }

  packet(destination: number, protocol: number, payload: Uint8Array, source = this.address): void {
    const link = { source: this.mac, destination: GATEWAY_MAC }
    for (const frame of ipv4Frames(link, { source, destination }, protocol, payload, 1)) this.send(frame)
  }

  udp(destination: number, destinationPort: number, data: Uint8Array, sourcePort = 4000, source = this.address): void {
    const datagram = buildUdp({ sourcePort, destinationPort, data }, { source, destination })
    this.packet(destination, PROTOCOL_UDP, datagram, source)
  }

  tcp(segment: Partial<TcpSegment> & { readonly flags: number }, destination = GATEWAY): void {
    const data = segment.data ?? new Uint8Array()
    const addresses = { source: this.address, destination }
    const header = { sourcePort: 4000, destinationPort: 80, sequence: 0, acknowledgment: 0, window: 65_535, ...segment }
    const begun = beginTcpFrame({ source: this.mac, destination: GATEWAY_MAC }, addresses, header, data.length)
    begun.frame.set(data, begun.dataAt)
    this.send(finishTcpFrame(begun, addresses))
  }

  /** Takes what came. */
  take(): EthernetFrame[] {
    const frames = this.frames
    this.frames = []
    return frames
  }

  takeArp() {
    return this.#payloads(ETHERTYPE_ARP).map(payload => parseArp(payload))
  }

  takePackets(): Ipv4Packet[] {
    return this.#payloads(ETHERTYPE_IPV4).map(payload => {
      const packet = parseIpv4(payload)
      if (packet === undefined) throw new Error('a malformed IPv4 packet came')
      return packet
    })
  }

  takeUdp(): (UdpDatagram & { readonly packet: Ipv4Packet })[] {
    return this.takePackets().map(packet => {
      const datagram = parseUdp(packet.payload, packet)
      if (datagram === undefined) throw new Error('a malformed datagram came')
      return { ...datagram, packet }
    })
  }

  takeTcp(): TcpSegment[] {
    return this.takePackets()
      .filter(({ protocol }) => protocol === PROTOCOL_TCP)
      .map(packet => {
        const segment = parseTcp(packet.payload, packet)
        if (segment === undefined) throw new Error('a malformed segment came')
        return segment
      })
  }

  #payloads(etherType: number): Uint8Array[] {
    return this.take()
      .filter(frame => parseEthernet(frame)?.etherType === etherType)
      .map(frame => frame.subarray(ETHERNET_HEADER))
  }
}
