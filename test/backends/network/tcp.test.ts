import { describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import {
  sequenceAfter,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  type TcpSegment,
} from '../../../src/backends/network/frame/tcp.ts'
import { GATEWAY, GATEWAY_MAC } from '../../../src/backends/network/user/addresses.ts'
import { UserNetwork } from '../../../src/backends/network/user/user-network.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { FakeStream } from './fake-stream.ts'
import { GUEST_IP, GuestStack } from './guest-stack.ts'

const ACCESS = { outside: false, host: true, allow: [] }
const ISN = 0xffff_ff00
const MILLISECOND = 1e6

interface Opening {
  readonly window?: number
  readonly windowScale?: number | 'none'
  readonly segmentSize?: number
}

class Conversation {
  readonly clock = new VirtualClock()
  readonly guest = new GuestStack()
  readonly stream = new FakeStream()
  readonly user: UserNetwork
  /** The guest's next sequence number, and what it has of ours. */
  sequence = ISN
  acknowledged = 0
  readonly received: number[] = []

  /** @param largestFrame that the guest's card takes. */
  constructor(largestFrame?: number) {
    if (largestFrame !== undefined) this.guest.largest = largestFrame
    this.user = new UserNetwork({ clock: this.clock, access: ACCESS, connect: () => this.stream })
    const bridge = new Bridge()
    this.user.port = bridge.connect(this.user)
    this.guest.wire = bridge.connect(this.guest)
  }

  /** The guest connects, and the host answers. */
  open({ window = 65_535, windowScale = 7, segmentSize = 1460 }: Opening = {}): this {
    const scale = windowScale === 'none' ? {} : { windowScale }
    this.send({ flags: TCP_SYN, window, segmentSize, ...scale })
    this.sequence = sequenceAfter(this.sequence, 1)
    this.stream.listener?.connected()
    const [answer] = this.take()
    expect(answer).toMatchObject({ flags: TCP_SYN | TCP_ACK, acknowledgment: this.sequence, segmentSize: 1460 })
    this.acknowledged = sequenceAfter(answer.sequence, 1)
    this.send({ flags: TCP_ACK, window })
    return this
  }

  send(segment: Partial<TcpSegment> & { readonly flags: number }): void {
    this.guest.tcp({ sequence: this.sequence, acknowledgment: this.acknowledged, ...segment })
  }

  take(): TcpSegment[] {
    return this.guest.takeTcp()
  }

  pass(nanoseconds: number): void {
    this.clock.skipTo(this.clock.now + nanoseconds)
    this.clock.fireDue()
  }

  get states(): string[] {
    return this.user.tcp.connections.map(({ state }) => state)
  }

  /** As a guest that keeps up: takes data in order, acknowledges all. `lose` drops segments on the way. */
  drain(lose: (segment: TcpSegment, index: number) => boolean = () => false, window = 512): void {
    let index = 0
    for (let rounds = 0; rounds < 1000; rounds++) {
      const segments = this.take().filter(segment => !lose(segment, index++))
      if (segments.length === 0) return
      for (const { sequence, data } of segments) {
        if (data.length === 0) continue
        if (sequence === this.acknowledged) {
          for (const byte of data) this.received.push(byte)
          this.acknowledged = sequenceAfter(this.acknowledged, data.length)
        }
        this.send({ flags: TCP_ACK, window })
      }
    }
  }
}

const bytes = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 0xff)

describe('a connection of the guest', () => {
  test('is answered once the host is connected, and refused if that fails', () => {
    const one = new Conversation()
    one.send({ flags: TCP_SYN, segmentSize: 1460 })
    expect(one.take()).toEqual([])
    one.stream.listener?.closed(true)
    expect(one.take()).toMatchObject([{ flags: TCP_RST | TCP_ACK, acknowledgment: sequenceAfter(ISN, 1) }])
    expect(new Conversation().open().states).toEqual(['open'])
  })

  test('carries data both ways', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_ACK, data: bytes(1000) })
    expect(one.stream.received).toEqual([...bytes(1000)])
    one.pass(MILLISECOND)
    expect(one.take()).toMatchObject([{ flags: TCP_ACK, acknowledgment: sequenceAfter(one.sequence, 1000) }])
    one.stream.listener?.data(bytes(3000))
    one.drain()
    expect(one.received).toEqual([...bytes(3000)])
  })

  test('never sends more than the guest’s window and segment size', () => {
    const one = new Conversation().open({ window: 2500, windowScale: 'none', segmentSize: 1000 })
    one.stream.listener?.data(bytes(10_000))
    expect(one.take().map(({ data }) => data.length)).toEqual([1000, 1000])
    one.acknowledged = sequenceAfter(one.acknowledged, 2000)
    one.send({ flags: TCP_ACK, window: 5000 })
    expect(one.take().map(({ data }) => data.length)).toEqual([1000, 1000, 1000, 1000, 1000])
  })

  test('sends several segments as one to a card that takes them so, within the window', () => {
    const one = new Conversation(65_550).open({ window: 40_000, windowScale: 'none', segmentSize: 1460 })
    one.stream.listener?.data(bytes(100_000))
    expect(one.take().map(({ data }) => data.length)).toEqual([10 * 1460])
    one.acknowledged = sequenceAfter(one.acknowledged, 14_600)
    one.send({ flags: TCP_ACK, window: 40_000 })
    expect(one.take().map(({ data }) => data.length)).toEqual([20 * 1460])
  })

  test('puts in order what comes out of order, and asks for what is missing', () => {
    const one = new Conversation().open()
    const piece = (from: number, to: number) =>
      one.send({ flags: TCP_ACK, sequence: sequenceAfter(one.sequence, from), data: bytes(4000).subarray(from, to) })
    piece(2000, 3000)
    piece(1000, 2500)
    piece(3000, 4000)
    expect(one.stream.received).toEqual([])
    expect(one.take().map(({ acknowledgment }) => acknowledgment)).toEqual(Array(3).fill(one.sequence))
    piece(0, 1000)
    expect(one.stream.received).toEqual([...bytes(4000)])
    expect(one.take().at(-1)?.acknowledgment).toBe(sequenceAfter(one.sequence, 4000))
    piece(0, 1000)
    piece(500, 1500)
    expect(one.stream.received.length).toBe(4000)
  })

  test('sends again what is lost: by duplicate acknowledgments, and by time', () => {
    const one = new Conversation().open()
    const data = bytes(200_000)
    one.stream.listener?.data(data)
    one.drain((_segment, index) => index % 7 === 3)
    for (let i = 0; i < 200 && one.received.length < data.length; i++) {
      one.pass(300 * MILLISECOND)
      one.drain((_segment, index) => index % 5 === 2)
    }
    expect(one.received.length).toBe(data.length)
    expect(Uint8Array.from(one.received)).toEqual(data)
  })

  test('the last segment is sent again when nobody acknowledges it, and the guest given up in the end', () => {
    const one = new Conversation().open()
    one.stream.listener?.data(bytes(10))
    expect(one.take().length).toBe(1)
    one.pass(100 * MILLISECOND)
    expect(one.take()).toEqual([])
    one.pass(101 * MILLISECOND)
    expect(one.take().map(({ data }) => data.length)).toEqual([10])
    for (let i = 0; i < 12; i++) one.pass(6000 * MILLISECOND)
    expect(one.take().at(-1)?.flags).toBe(TCP_RST | TCP_ACK)
    expect(one.states).toEqual([])
    expect(one.stream.destroyed).toBe(true)
  })

  test('asks a guest with a closed window whether it has opened', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_ACK, window: 0 })
    one.stream.listener?.data(bytes(5000))
    expect(one.take()).toEqual([])
    for (let i = 0; i < 30; i++) {
      one.pass(6000 * MILLISECOND)
      expect(one.take().map(({ data }) => data.length)).toEqual([1])
      one.send({ flags: TCP_ACK, window: 0 })
    }
    one.send({ flags: TCP_ACK, window: 512 })
    one.drain()
    expect(one.received).toEqual([...bytes(5000)])
  })

  test('a host that is slow closes the window, and opens it again', () => {
    const one = new Conversation().open()
    one.stream.buffered = 10 ** 9
    let sent = 0
    for (let i = 0; i < 300; i++) {
      one.send({ flags: TCP_ACK, sequence: sequenceAfter(one.sequence, sent), data: bytes(1460) })
      sent += 1460
    }
    const last = one.take().at(-1)
    expect(last?.window).toBe(0)
    expect(one.stream.received.length).toBeLessThanOrEqual(256 * 1024)
    one.stream.buffered = 0
    one.stream.listener?.drained()
    expect(one.take().at(-1)?.window).toBe((256 * 1024) >> 3)
  })

  test('a guest that is slow pauses the host', () => {
    const one = new Conversation().open()
    for (let i = 0; i < 9; i++) one.stream.listener?.data(bytes(64 * 1024, i))
    expect(one.stream.paused).toBe(true)
    one.drain()
    expect(one.stream.paused).toBe(false)
    expect(one.received.length).toBe(9 * 64 * 1024)
  })

  test('the guest ends first; the host may go on', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_ACK | TCP_FIN, data: bytes(5) })
    one.sequence = sequenceAfter(one.sequence, 6)
    expect(one.stream).toMatchObject({ received: [...bytes(5)], ended: true })
    expect(one.take()).toMatchObject([{ acknowledgment: one.sequence }])
    one.stream.listener?.data(bytes(2000))
    one.drain()
    expect(one.received.length).toBe(2000)
    one.stream.listener?.ended()
    const [fin] = one.take()
    expect(fin.flags & TCP_FIN).toBe(TCP_FIN)
    one.acknowledged = sequenceAfter(fin.sequence, 1)
    one.send({ flags: TCP_ACK })
    expect(one.states).toEqual([])
    expect(one.stream.destroyed).toBe(false)
  })

  test('the host ends first; the guest may go on, and its end is acknowledged twice if need be', () => {
    const one = new Conversation().open()
    one.stream.listener?.ended()
    const [fin] = one.take()
    one.acknowledged = sequenceAfter(fin.sequence, 1)
    one.send({ flags: TCP_ACK })
    one.send({ flags: TCP_ACK, data: bytes(100) })
    expect(one.stream.received.length).toBe(100)
    one.sequence = sequenceAfter(one.sequence, 100)
    one.send({ flags: TCP_ACK | TCP_FIN })
    expect(one.states).toEqual(['time-wait'])
    expect(one.user.live).toBe(false)
    one.take()
    one.send({ flags: TCP_ACK | TCP_FIN })
    expect(one.take()).toMatchObject([{ flags: TCP_ACK, acknowledgment: sequenceAfter(one.sequence, 1) }])
    one.pass(1100 * MILLISECOND)
    expect(one.states).toEqual([])
  })

  test('a FIN that is lost is sent again', () => {
    const one = new Conversation().open()
    one.stream.listener?.ended()
    one.take()
    one.pass(201 * MILLISECOND)
    expect(one.take().map(({ flags }) => flags & TCP_FIN)).toEqual([TCP_FIN])
  })

  test('a reset of the guest breaks the host’s side off, one out of the window does not', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_RST, sequence: sequenceAfter(one.sequence, 10 ** 6) })
    expect(one.states).toEqual(['open'])
    one.send({ flags: TCP_RST })
    expect(one.states).toEqual([])
    expect(one.stream.destroyed).toBe(true)
  })

  test('an error of the host resets the guest', () => {
    const one = new Conversation().open()
    one.stream.listener?.closed(true)
    expect(one.take()).toMatchObject([{ flags: TCP_RST | TCP_ACK, sequence: one.acknowledged }])
  })

  test('acknowledging what was never sent changes nothing', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_ACK, acknowledgment: sequenceAfter(one.acknowledged, 5000), data: bytes(10) })
    expect(one.stream.received).toEqual([])
    expect(one.take()).toMatchObject([{ flags: TCP_ACK, acknowledgment: one.sequence }])
  })

  test('a new SYN in the middle is not obeyed', () => {
    const one = new Conversation().open()
    one.send({ flags: TCP_SYN, sequence: 77 })
    expect(one.take()).toMatchObject([{ flags: TCP_ACK, acknowledgment: one.sequence }])
    expect(one.states).toEqual(['open'])
  })
})

describe('connections together', () => {
  test('a segment of no connection is answered by a reset', () => {
    const one = new Conversation()
    one.send({ flags: TCP_ACK, acknowledgment: 1234, data: bytes(4) })
    expect(one.take()).toMatchObject([{ flags: TCP_RST, sequence: 1234 }])
    one.send({ flags: TCP_RST })
    expect(one.take()).toEqual([])
  })

  test('there are at most so many; more are refused', () => {
    const one = new Conversation()
    for (let port = 1000; port < 1600; port++) one.send({ flags: TCP_SYN, sourcePort: port })
    expect(one.user.tcp.connections.length).toBe(512)
    expect(one.take().length).toBe(88)
  })

  test('the host connects to the guest, which may refuse', () => {
    const one = new Conversation()
    one.guest.arp(1, GATEWAY)
    one.take()
    const accepted = new FakeStream()
    expect(one.user.tcp.forward(GUEST_IP, 22, accepted)).toBe(true)
    const [syn] = one.take()
    expect(syn).toMatchObject({ flags: TCP_SYN, destinationPort: 22, segmentSize: 1460 })
    const ports = { sourcePort: 22, destinationPort: syn.sourcePort }
    const acknowledgment = sequenceAfter(syn.sequence, 1)
    one.guest.tcp({ ...ports, flags: TCP_SYN | TCP_ACK, sequence: 500, acknowledgment, segmentSize: 1460 })
    expect(one.take()).toMatchObject([{ flags: TCP_ACK, sequence: acknowledgment, acknowledgment: 501 }])
    accepted.listener?.data(bytes(3))
    expect(one.take()[0].data).toEqual(bytes(3))

    const refused = new FakeStream()
    one.user.tcp.forward(GUEST_IP, 23, refused)
    const [second] = one.take()
    const reset = { sourcePort: 23, destinationPort: second.sourcePort, flags: TCP_RST | TCP_ACK }
    one.guest.tcp({ ...reset, acknowledgment: sequenceAfter(second.sequence, 1) })
    expect(refused.destroyed).toBe(true)
  })

  test('a guest that is not known is asked for by ARP, and connected to when it answers', () => {
    const one = new Conversation()
    one.user.tcp.forward(GUEST_IP, 22, new FakeStream())
    expect(one.guest.takeArp()).toMatchObject([{ operation: 1, targetIp: GUEST_IP, senderIp: GATEWAY }])
    one.guest.arp(2, GATEWAY, GATEWAY_MAC)
    one.pass(201 * MILLISECOND)
    expect(one.take()).toMatchObject([{ flags: TCP_SYN, destinationPort: 22 }])
  })

  test('a snapshot holds no connection: the guest is reset', () => {
    const before = new Conversation().open()
    const saved = before.user.save()
    const after = new Conversation()
    after.guest.arp(1, GATEWAY)
    after.take()
    after.user.restore(saved)
    after.user.deliver()
    expect(after.take()).toMatchObject([
      { flags: TCP_RST | TCP_ACK, sequence: before.acknowledged, acknowledgment: before.sequence, sourcePort: 80 },
    ])
    after.user.deliver()
    expect(after.take()).toEqual([])
  })

  test('a reset of the machine leaves nothing open on the host', () => {
    const one = new Conversation().open()
    one.user.reset()
    expect(one.stream.destroyed).toBe(true)
    expect(one.user.live).toBe(false)
    expect(one.take()).toEqual([])
  })
})
