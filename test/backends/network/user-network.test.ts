import { describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import { ARP_REPLY, ARP_REQUEST } from '../../../src/backends/network/frame/arp.ts'
import { read16, read32, write16, write32 } from '../../../src/backends/network/frame/big-endian.ts'
import { describeFrame } from '../../../src/backends/network/frame/describe-frame.ts'
import {
  DHCP_ACK,
  DHCP_DISCOVER,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_REQUEST,
} from '../../../src/backends/network/frame/dhcp.ts'
import {
  buildIcmp,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_UNREACHABLE,
  parseIcmp,
} from '../../../src/backends/network/frame/icmp.ts'
import { PROTOCOL_ICMP } from '../../../src/backends/network/frame/ipv4.ts'
import { FragmentAssembly } from '../../../src/backends/network/frame/ipv4-fragments.ts'
import { writeMac } from '../../../src/backends/network/frame/mac-address.ts'
import { TCP_ACK, TCP_RST, TCP_SYN } from '../../../src/backends/network/frame/tcp.ts'
import type { EthernetFrame } from '../../../src/backends/network/network-port.ts'
import { GATEWAY, GATEWAY_MAC, NAME_SERVER } from '../../../src/backends/network/user/addresses.ts'
import { UserNetwork, type UserNetworkOptions } from '../../../src/backends/network/user/user-network.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { GUEST_IP, GUEST_MAC, GuestStack, ip } from './guest-stack.ts'

const CLOSED = { outside: false, host: false, allow: [] }

function network(options: Partial<UserNetworkOptions> = {}) {
  const clock = new VirtualClock()
  const user = new UserNetwork({ clock, access: CLOSED, ...options })
  const bridge = new Bridge()
  const guest = new GuestStack()
  user.port = bridge.connect(user)
  guest.wire = bridge.connect(guest)
  return { clock, user, bridge, guest }
}

function echo(size: number): Uint8Array {
  const message = { type: ICMP_ECHO_REQUEST, code: 0, identifier: 7, sequence: 3 }
  return buildIcmp({ ...message, data: new Uint8Array(size) })
}

function dhcp(type: number, options: { requested?: number; client?: number; server?: number } = {}): Uint8Array {
  const data = new Uint8Array(300)
  data.set([1, 1, 6, 0])
  write32(data, 4, 0x1234_5678)
  writeMac(data, 28, options.client ?? GUEST_MAC)
  write32(data, 236, 0x6382_5363)
  let at = 240
  const add = (code: number, length: number, value: number) => {
    data.set([code, length], at)
    if (length === 4) write32(data, at + 2, value)
    else data[at + 2] = value
    at += 2 + length
  }
  add(53, 1, type)
  if (options.requested !== undefined) add(50, 4, options.requested)
  if (options.server !== undefined) add(54, 4, options.server)
  data[at] = 255
  return data
}

/** Type and address of a DHCP answer, and its options by code. */
function readDhcp(data: Uint8Array) {
  const options = new Map<number, Uint8Array>()
  for (let at = 240; data[at] !== 255; at += 2 + data[at + 1])
    options.set(data[at], data.subarray(at + 2, at + 2 + data[at + 1]))
  return { type: options.get(53)?.[0], address: read32(data, 16), transaction: read32(data, 4), options }
}

function dnsQuery(name: string, type = 1): Uint8Array {
  const labels = name.split('.').flatMap(label => [label.length, ...new TextEncoder().encode(label)])
  const data = new Uint8Array(12 + labels.length + 5)
  write16(data, 0, 0xabcd)
  write16(data, 2, 0x0100)
  write16(data, 4, 1)
  data.set(labels, 12)
  write16(data, 12 + labels.length + 1, type)
  write16(data, 12 + labels.length + 3, 1)
  return data
}

/** Code, and the data of the first answer. */
function readDns(data: Uint8Array, question: Uint8Array) {
  const at = question.length + 12
  const answers = read16(data, 6)
  return { id: read16(data, 0), rcode: data[3] & 0xf, answers, data: answers === 0 ? undefined : data.subarray(at) }
}

describe('user-mode network', () => {
  test('answers ARP for gateway and name server, and for nobody else', () => {
    const { guest } = network()
    for (const address of [GATEWAY, NAME_SERVER, ip('10.0.2.4'), GUEST_IP]) guest.arp(ARP_REQUEST, address)
    const replies = guest.takeArp()
    expect(replies.map(reply => reply?.senderIp)).toEqual([GATEWAY, NAME_SERVER])
    expect(replies[0]).toEqual({
      operation: ARP_REPLY,
      senderMac: GATEWAY_MAC,
      senderIp: GATEWAY,
      targetMac: GUEST_MAC,
      targetIp: GUEST_IP,
    })
  })

  test('leases 10.0.2.15 to the first client, and the same again', () => {
    const { guest } = network()
    const ask = (data: Uint8Array) => {
      guest.udp(0xffff_ffff, 67, data, 68, 0)
      return guest.takeUdp().map(answer => readDhcp(answer.data))
    }
    const [offer] = ask(dhcp(DHCP_DISCOVER))
    expect(offer).toMatchObject({ type: DHCP_OFFER, address: GUEST_IP, transaction: 0x1234_5678 })
    const [ack] = ask(dhcp(DHCP_REQUEST, { requested: GUEST_IP, server: GATEWAY }))
    expect(ack).toMatchObject({ type: DHCP_ACK, address: GUEST_IP })
    const option = (code: number) => read32(ack.options.get(code) ?? new Uint8Array(4), 0)
    expect([1, 3, 6, 54].map(option)).toEqual([ip('255.255.255.0'), GATEWAY, NAME_SERVER, GATEWAY])
    expect(ask(dhcp(DHCP_DISCOVER, { client: 0x0200_0000_0002 }))[0].address).toBe(ip('10.0.2.16'))
    expect(ask(dhcp(DHCP_DISCOVER))[0].address).toBe(GUEST_IP)
  })

  test('refuses an address that is not the client’s, and stays silent where another server is meant', () => {
    const { guest } = network()
    guest.udp(0xffff_ffff, 67, dhcp(DHCP_REQUEST, { requested: ip('192.168.0.9') }), 68, 0)
    expect(guest.takeUdp().map(({ data }) => readDhcp(data).type)).toEqual([DHCP_NAK])
    guest.udp(0xffff_ffff, 67, dhcp(DHCP_REQUEST, { requested: GUEST_IP, server: ip('10.0.2.9') }), 68, 0)
    expect(guest.take()).toEqual([])
  })

  test('more clients than addresses: those that are left out hear nothing', () => {
    const { guest, user } = network()
    for (let i = 0; i < 300; i++)
      guest.udp(0xffff_ffff, 67, dhcp(DHCP_DISCOVER, { client: 0x0200_0000_1000 + i }), 68, 0)
    const addresses = new Set(guest.takeUdp().map(({ data }) => readDhcp(data).address))
    expect(addresses.size).toBe(0xfe - 0x0f + 1)
    expect(user.counters.malformed).toBe(0)
  })

  test.each([56, 4000])('answers an echo of %d bytes, in fragments if need be', size => {
    const { guest } = network()
    const data = Uint8Array.from({ length: size }, (_, i) => i)
    guest.packet(
      GATEWAY,
      PROTOCOL_ICMP,
      buildIcmp({ type: ICMP_ECHO_REQUEST, code: 0, identifier: 7, sequence: 3, data }),
    )
    const assembly = new FragmentAssembly()
    const whole = guest.takePackets().map(packet => assembly.add(packet, 0))
    const reply = whole.at(-1)
    expect(whole.length).toBe(Math.ceil((size + 8) / 1480))
    expect(reply?.source).toBe(GATEWAY)
    expect(parseIcmp(reply?.payload ?? data)).toEqual({
      type: ICMP_ECHO_REPLY,
      code: 0,
      identifier: 7,
      sequence: 3,
      data,
    })
  })

  test('echoes beyond the gateway are not answered', () => {
    const { guest } = network()
    const echo = buildIcmp({ type: ICMP_ECHO_REQUEST, code: 0, identifier: 7, sequence: 3, data: new Uint8Array(8) })
    guest.packet(ip('8.8.8.8'), PROTOCOL_ICMP, echo)
    expect(guest.take()).toEqual([])
  })

  test('knows its own names, and no others', () => {
    const { guest } = network()
    const ask = (name: string, type?: number) => {
      const query = dnsQuery(name, type)
      guest.udp(NAME_SERVER, 53, query)
      const [answer] = guest.takeUdp()
      expect(answer.sourcePort).toBe(53)
      return readDns(answer.data, query)
    }
    const gateway = ask('Gateway')
    expect(gateway).toMatchObject({ id: 0xabcd, rcode: 0, answers: 1 })
    expect(read32(gateway.data ?? new Uint8Array(4), 0)).toBe(GATEWAY)
    expect(ask('host', 28)).toMatchObject({ rcode: 0, answers: 0 })
    expect(ask('example.org')).toMatchObject({ rcode: 3, answers: 0 })
    const pointer = ask('3.2.0.10.in-addr.arpa', 12)
    expect(new TextDecoder().decode(pointer.data)).toBe('\x03dns\0')
  })

  test('malformed questions are answered so, and answers are not answered', () => {
    const { guest } = network()
    const ask = (change: (data: Uint8Array) => void) => {
      const query = dnsQuery('gateway')
      change(query)
      guest.udp(NAME_SERVER, 53, query)
      return guest.takeUdp().map(({ data }) => data[3] & 0xf)
    }
    expect(ask(data => write16(data, 4, 2))).toEqual([1])
    expect(ask(data => (data[12] = 0xc0))).toEqual([1])
    expect(ask(data => (data[12] = 60))).toEqual([1])
    expect(ask(data => write16(data, 2, 0x2800))).toEqual([4])
    expect(ask(data => write16(data, 2, 0x8180))).toEqual([])
  })

  test('with the outside allowed, other names are asked for there, and answers wait for the guest to stand still', async () => {
    const resolve = (name: string) => Promise.resolve(name === 'example.org' ? [ip('192.0.2.1')] : [])
    const { guest, user } = network({ access: { ...CLOSED, outside: true }, resolve })
    const query = dnsQuery('example.org')
    guest.udp(NAME_SERVER, 53, query)
    expect(user.live).toBe(true)
    await new Promise(done => setImmediate(done))
    expect(guest.take()).toEqual([])
    user.deliver()
    const answer = readDns(guest.takeUdp()[0].data, query)
    expect(read32(answer.data ?? new Uint8Array(4), 0)).toBe(ip('192.0.2.1'))
    expect(user.events.notes.map(({ what }) => what)).toEqual(['dns: answer'])
    guest.udp(NAME_SERVER, 53, dnsQuery('nobody.invalid'))
    await new Promise(done => setImmediate(done))
    user.deliver()
    expect(guest.takeUdp()[0].data[3] & 0xf).toBe(3)
  })

  test.each([
    ['the gateway', GATEWAY],
    ['the outside', ip('93.184.216.34')],
    ['the host itself', ip('127.0.0.1')],
  ])('without permission nothing leads to %s', (_, address) => {
    const refuse = () => {
      throw new Error('a connection left')
    }
    const { guest, user } = network({ connect: refuse, openDatagrams: refuse })
    guest.tcp({ flags: TCP_SYN, sequence: 1000 }, address)
    expect(guest.takeTcp()).toMatchObject([{ flags: TCP_RST | TCP_ACK, acknowledgment: 1001 }])
    guest.udp(address, 123, new Uint8Array(48))
    expect(guest.takePackets().map(({ payload }) => parseIcmp(payload)?.type)).toEqual([ICMP_UNREACHABLE])
    expect(user.tcp.counters.refused + user.udp.counters.refused).toBe(2)
    expect(user.live).toBe(false)
  })

  test('a packet whose fragments come before and after a snapshot is whole', () => {
    const before = network()
    before.guest.packet(GATEWAY, PROTOCOL_ICMP, echo(100))
    before.guest.take()
    const held: EthernetFrame[] = []
    before.guest.wire = { name: 'held', receive: frame => held.push(frame) }
    before.guest.packet(GATEWAY, PROTOCOL_ICMP, echo(4000))
    before.user.receive(held[0])
    before.user.receive(held[2])
    const saved = before.user.save()
    const after = network()
    after.user.restore(saved)
    expect(after.user.save()).toEqual(saved)
    after.user.receive(held[1])
    expect(after.guest.takePackets().map(({ payload }) => payload.length)).toEqual([1480, 1480, 1048])
  })

  test('leases and neighbours survive a snapshot; a damaged one is refused', () => {
    const before = network()
    before.guest.udp(0xffff_ffff, 67, dhcp(DHCP_DISCOVER, { client: 0x0200_0000_0077 }), 68, 0)
    const saved = before.user.save()
    const after = network()
    after.user.restore(saved)
    after.guest.udp(0xffff_ffff, 67, dhcp(DHCP_DISCOVER), 68, 0)
    expect(readDhcp(after.guest.takeUdp()[0].data).address).toBe(ip('10.0.2.16'))
    const damaged = { leases: [[1, -1]], guests: [], broken: [], identification: [[0]], fragments: [], payloads: '' }
    expect(() => after.user.restore(damaged)).toThrow('the snapshot is damaged')
  })
})

test('what passes is said in words: requests, queries and their answers', () => {
  const { guest } = network()
  const said: string[] = []
  guest.receive = frame => said.push(describeFrame(frame).summary)
  const { wire } = guest
  guest.wire = {
    name: 'spoken',
    receive: frame => {
      said.push(describeFrame(frame).summary)
      wire?.receive(frame)
    },
  }
  guest.udp(0xffff_ffff, 67, dhcp(DHCP_DISCOVER), 68, 0)
  guest.udp(0xffff_ffff, 67, dhcp(DHCP_REQUEST, { requested: ip('192.168.0.9') }), 68, 0)
  for (const name of ['gateway', 'nowhere.example']) guest.udp(ip('10.0.2.3'), 53, dnsQuery(name), 4000)
  guest.udp(ip('10.0.2.3'), 53, Uint8Array.of(1, 2, 3), 4000)
  const client = '0.0.0.0:68 > 255.255.255.255:67'
  expect(said.filter(text => text.startsWith('UDP')).map(text => text.replace(/^UDP /, ''))).toEqual([
    `${client}, DHCP discover`,
    expect.stringMatching(/^10\.0\.2\.2:67 > .*:68, DHCP offer$/),
    `${client}, DHCP request`,
    expect.stringMatching(/^10\.0\.2\.2:67 > .*:68, DHCP refuse$/),
    '10.0.2.15:4000 > 10.0.2.3:53, DNS query for gateway',
    '10.0.2.3:53 > 10.0.2.15:4000, DNS answer for gateway',
    '10.0.2.15:4000 > 10.0.2.3:53, DNS query for nowhere.example',
    '10.0.2.3:53 > 10.0.2.15:4000, DNS no such name for nowhere.example',
    '10.0.2.15:4000 > 10.0.2.3:53, 3 bytes',
  ])
})
