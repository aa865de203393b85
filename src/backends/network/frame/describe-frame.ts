/** A frame in words, for people who look at queues and traces. Nothing in it can be trusted. */

import type { EthernetFrame } from '../network-port.ts'
import { ARP_REQUEST, parseArp } from './arp.ts'
import { read16, read32 } from './big-endian.ts'
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, dhcpType } from './dhcp.ts'
import { DNS_PORT, parseDnsAnswer, parseDnsQuery } from './dns.ts'
import {
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  parseEthernet,
} from './ethernet.ts'
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST } from './icmp.ts'
import { type Ipv4Packet, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, parseIpv4 } from './ipv4.ts'
import { formatIpv4 } from './ipv4-address.ts'
import { formatMac } from './mac-address.ts'

export interface FrameField {
  readonly name: string
  readonly value: string
}

export interface FrameDescription {
  /** `TCP 10.0.2.15:40000 > 10.0.2.2:80, SYN, 0 bytes`. */
  readonly summary: string
  readonly fields: readonly FrameField[]
}

const ETHERTYPES: Readonly<Record<number, string>> = {
  [ETHERTYPE_IPV4]: 'IPv4',
  [ETHERTYPE_ARP]: 'ARP',
  [ETHERTYPE_VLAN]: 'VLAN',
  [ETHERTYPE_IPV6]: 'IPv6',
}
const DHCP_TYPES = ['', 'discover', 'offer', 'request', 'decline', 'acknowledge', 'refuse', 'release', 'inform']
/** RFC 1035, 4.1.1. */
const DNS_RESULTS = ['answer', 'format error', 'server failure', 'no such name', 'not implemented', 'refusal']
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

/** @param frame or its beginning. Checksums are not looked at: they may be the device's to complete. */
export function describeFrame(frame: EthernetFrame): FrameDescription {
  const ethernet = parseEthernet(frame)
  if (ethernet === undefined) return { summary: `no Ethernet frame: ${frame.length} bytes`, fields: [] }
  const type = ETHERTYPES[ethernet.etherType] ?? `type 0x${ethernet.etherType.toString(16).padStart(4, '0')}`
  const inner = describePayload(ethernet.etherType, frame.subarray(ETHERNET_HEADER))
  return {
    summary:
      inner?.summary ??
      `${type} ${formatMac(ethernet.source)} > ${formatMac(ethernet.destination)}, ${frame.length} bytes`,
    fields: [
      { name: 'destination', value: formatMac(ethernet.destination) },
      { name: 'source', value: formatMac(ethernet.source) },
      { name: 'type', value: type },
      ...(inner?.fields ?? []),
    ],
  }
}

function describePayload(etherType: number, payload: Uint8Array): FrameDescription | undefined {
  if (etherType === ETHERTYPE_ARP) return describeArp(payload)
  if (etherType !== ETHERTYPE_IPV4) return undefined
  const packet = parseIpv4(payload)
  return packet === undefined ? { summary: 'IPv4, malformed', fields: [] } : describeIpv4(packet)
}

function describeArp(payload: Uint8Array): FrameDescription {
  const arp = parseArp(payload)
  if (arp === undefined) return { summary: 'ARP, malformed', fields: [] }
  const target = formatIpv4(arp.targetIp)
  const sender = formatIpv4(arp.senderIp)
  const summary =
    arp.operation === ARP_REQUEST
      ? `ARP who has ${target}? ${sender} asks`
      : `ARP ${sender} is at ${formatMac(arp.senderMac)}`
  return {
    summary,
    fields: [
      { name: 'sender', value: sender },
      { name: 'target', value: target },
    ],
  }
}

function describeIpv4(packet: Ipv4Packet): FrameDescription {
  const [source, destination] = [formatIpv4(packet.source), formatIpv4(packet.destination)]
  const fields = [
    { name: 'IP source', value: source },
    { name: 'IP destination', value: destination },
    { name: 'IP protocol', value: String(packet.protocol) },
  ]
  const ends = `${source} > ${destination}`
  if (packet.fragmentOffset !== 0)
    return { summary: `IPv4 ${ends}, fragment at ${packet.fragmentOffset}, ${packet.payload.length} bytes`, fields }
  const inner = describeTransport(packet, source, destination)
  if (inner === undefined)
    return { summary: `IPv4 ${ends}, protocol ${packet.protocol}, ${packet.payload.length} bytes`, fields }
  return { summary: inner.summary, fields: [...fields, ...inner.fields] }
}

function describeTransport(
  { protocol, payload }: Ipv4Packet,
  source: string,
  destination: string,
): FrameDescription | undefined {
  if (protocol === PROTOCOL_ICMP && payload.length >= 8) {
    const names: Readonly<Record<number, string>> = {
      [ICMP_ECHO_REQUEST]: 'echo request',
      [ICMP_ECHO_REPLY]: 'echo reply',
    }
    const type = names[payload[0]] ?? `type ${payload[0]} code ${payload[1]}`
    const sequence = read16(payload, 6)
    return { summary: `ICMP ${source} > ${destination}, ${type} ${sequence}`, fields: [{ name: 'ICMP', value: type }] }
  }
  if (payload.length < 8) return undefined
  const ports = [read16(payload, 0), read16(payload, 2)]
  const ends = `${source}:${ports[0]} > ${destination}:${ports[1]}`
  const fields = [
    { name: 'source port', value: String(ports[0]) },
    { name: 'destination port', value: String(ports[1]) },
  ]
  if (protocol === PROTOCOL_UDP) {
    const data = payload.subarray(8)
    return { summary: `UDP ${ends}, ${describeDatagram(ports, data)}`, fields }
  }
  if (protocol !== PROTOCOL_TCP || payload.length < 20) return undefined
  const flags = TCP_FLAGS.filter((_, bit) => ((payload[13] >> bit) & 1) === 1).join(' ')
  const length = Math.max(0, payload.length - (payload[12] >>> 4) * 4)
  return {
    summary: `TCP ${ends}, ${flags || 'no flags'}, ${length} bytes`,
    fields: [
      ...fields,
      { name: 'sequence', value: String(read32(payload, 4)) },
      { name: 'acknowledgment', value: String(read32(payload, 8)) },
      { name: 'flags', value: flags },
      { name: 'window', value: String(read16(payload, 14)) },
    ],
  }
}

function describeDatagram([source, destination]: readonly number[], data: Uint8Array): string {
  if (destination === DHCP_SERVER_PORT || destination === DHCP_CLIENT_PORT) {
    const type = DHCP_TYPES[dhcpType(data) ?? 0]
    if (type) return `DHCP ${type}`
  }
  if (destination === DNS_PORT) {
    const query = parseDnsQuery(data)
    if (query !== undefined && 'name' in query) return `DNS query for ${query.name}`
  }
  if (source === DNS_PORT) {
    const answer = parseDnsAnswer(data)
    if (answer !== undefined) return `DNS ${DNS_RESULTS[answer.rcode] ?? `error ${answer.rcode}`} for ${answer.name}`
  }
  return `${data.length} bytes`
}
