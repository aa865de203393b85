import { describe, expect, test } from 'vitest'
import { write16 } from '../../../../src/backends/network/frame/big-endian.ts'
import { ETHERNET_HEADER, writeEthernet } from '../../../../src/backends/network/frame/ethernet.ts'
import { foldChecksum, sumPseudoHeader, sumWords } from '../../../../src/backends/network/frame/internet-checksum.ts'
import { IPV4_PAYLOAD_AT, ipv4Frame, parseIpv4 } from '../../../../src/backends/network/frame/ipv4.ts'
import { MAC_BROADCAST } from '../../../../src/backends/network/frame/mac-address.ts'
import {
  beginTcpFrame,
  finishTcpFrame,
  parseTcp,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
} from '../../../../src/backends/network/frame/tcp.ts'
import { buildUdp, parseUdp } from '../../../../src/backends/network/frame/udp.ts'
import { PacketTrace } from '../../../../src/backends/network/packet-trace.ts'
import { featureMask, VIRTIO_F_VERSION_1 } from '../../../../src/devices/virtio/features.ts'
import { NetDevice } from '../../../../src/devices/virtio/net/device.ts'
import * as p from '../../../../src/devices/virtio/net/protocol.ts'
import { VirtualClock } from '../../../../src/util/virtual-clock.ts'
import { GUEST_MAC, GuestStack, ip } from '../../../backends/network/guest-stack.ts'
import { FakePort } from '../../../support/virtio-port.ts'

const MODERN = featureMask(VIRTIO_F_VERSION_1)
const OTHER_MAC = 0x0200_0000_0099
const LINK = { source: OTHER_MAC, destination: GUEST_MAC }
const ADDRESSES = { source: ip('10.0.2.9'), destination: ip('10.0.2.15') }

function device(features = MODERN, trace?: PacketTrace) {
  const clock = new VirtualClock()
  const options = { name: 'virtio-net0', mac: GUEST_MAC, clock }
  const net = new NetDevice(trace === undefined ? options : { ...options, trace })
  const port = new FakePort(net, features)
  const wire = new GuestStack('wire')
  net.wire = wire
  const [receive, transmit, control] = port.queues
  /** Time passes until what arrived is delivered. */
  const pass = () => {
    clock.skipTo(clock.now + 1e6)
    clock.fireDue()
  }
  const send = (header: Uint8Array, frame: Uint8Array) => {
    transmit.post(Uint8Array.from([...header, ...frame]))
    net.service(p.TRANSMIT_QUEUE)
    return wire.take()
  }
  return { net, port, clock, receive, transmit, control, wire, pass, send }
}

function frame(length = 60, destination = GUEST_MAC): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => i)
  writeEthernet(bytes, { source: OTHER_MAC, destination, etherType: 0x88b5 })
  return bytes
}

function udpFrame(): Uint8Array {
  const datagram = buildUdp({ sourcePort: 1, destinationPort: 2, data: Uint8Array.of(1, 2, 3) }, ADDRESSES)
  const bytes = ipv4Frame(LINK, ADDRESSES, 17, datagram.length)
  bytes.set(datagram, IPV4_PAYLOAD_AT)
  return bytes
}

function largeSegment(length: number): Uint8Array {
  const fields = { sourcePort: 1, destinationPort: 2, sequence: 7, acknowledgment: 5, window: 9, flags: TCP_ACK }
  return finishTcpFrame(beginTcpFrame(LINK, ADDRESSES, fields, length), ADDRESSES)
}

function header(
  size: number,
  fields: { flags?: number; gsoType?: number; gsoSize?: number; start?: number; offset?: number },
) {
  const view = new DataView(new ArrayBuffer(size))
  view.setUint8(0, fields.flags ?? 0)
  view.setUint8(1, fields.gsoType ?? 0)
  view.setUint16(4, fields.gsoSize ?? 0, true)
  view.setUint16(6, fields.start ?? 0, true)
  view.setUint16(8, fields.offset ?? 0, true)
  return new Uint8Array(view.buffer)
}

describe('transmit', () => {
  test.each([
    ['modern', MODERN, 12],
    ['legacy', 0n, 10],
    ['legacy with mergeable buffers', featureMask(p.VIRTIO_NET_F_MRG_RXBUF), 12],
  ])('a %s driver’s header is taken off', (_, features, size) => {
    const { send, transmit, net } = device(features)
    expect(send(new Uint8Array(size), frame())).toEqual([frame()])
    expect(transmit.completed.map(({ written }) => written)).toEqual([0])
    expect(transmit.interrupts).toBe(1)
    expect(net.counters.transmitted).toBe(1)
  })

  test('what is no frame is given back and counted', () => {
    const { send, transmit, net } = device()
    expect(send(new Uint8Array(12), new Uint8Array(13))).toEqual([])
    expect(send(new Uint8Array(5), new Uint8Array())).toEqual([])
    expect(send(new Uint8Array(12), new Uint8Array(70_000))).toEqual([])
    expect(transmit.completed.length).toBe(3)
    expect(net.counters.transmitDropped).toBe(3)
  })

  test('the device completes a partial checksum', () => {
    const { send } = device(MODERN | featureMask(p.VIRTIO_NET_F_CSUM))
    const bytes = udpFrame()
    const length = bytes.length - IPV4_PAYLOAD_AT
    write16(bytes, IPV4_PAYLOAD_AT + 6, sumPseudoHeader(ADDRESSES.source, ADDRESSES.destination, 17, length) % 0xffff)
    const flags = p.VIRTIO_NET_HDR_F_NEEDS_CSUM
    expect(send(header(12, { flags, start: IPV4_PAYLOAD_AT, offset: 6 }), bytes)).toEqual([udpFrame()])
  })

  test('a checksum outside of the frame, or not negotiated, is refused', () => {
    const flags = p.VIRTIO_NET_HDR_F_NEEDS_CSUM
    const able = device(MODERN | featureMask(p.VIRTIO_NET_F_CSUM))
    for (const [start, offset] of [
      [59, 0],
      [65_535, 65_535],
      [0, 20],
    ])
      expect(able.send(header(12, { flags, start, offset }), frame())).toEqual([])
    expect(device().send(header(12, { flags, start: 34, offset: 6 }), udpFrame())).toEqual([])
  })

  test('a large TCP segment is cut into frames that fit', () => {
    const { send } = device(MODERN | featureMask(p.VIRTIO_NET_F_CSUM, p.VIRTIO_NET_F_HOST_TSO4))
    const data = Uint8Array.from({ length: 3000 }, (_, i) => i * 7)
    const fields = { sourcePort: 1, destinationPort: 2, sequence: 0xffff_fff0, acknowledgment: 5, window: 9 }
    const begun = beginTcpFrame(LINK, ADDRESSES, { ...fields, flags: TCP_ACK | TCP_PSH | TCP_FIN }, data.length)
    begun.frame.set(data, begun.dataAt)
    const large = finishTcpFrame(begun, ADDRESSES)
    const frames = send(header(12, { flags: 1, gsoType: 1, gsoSize: 1460, start: 34, offset: 16 }), large)
    const segments = frames.map(bytes => {
      const packet = parseIpv4(bytes.subarray(ETHERNET_HEADER))
      return packet === undefined ? undefined : parseTcp(packet.payload, packet)
    })
    expect(segments.map(segment => segment?.data.length)).toEqual([1460, 1460, 80])
    expect(segments.map(segment => segment?.sequence)).toEqual([0xffff_fff0, 1444, 2904])
    expect(segments.map(segment => segment?.flags)).toEqual([TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH | TCP_FIN])
    expect(segments.flatMap(segment => [...(segment?.data ?? [])])).toEqual([...data])
  })

  test('a large segment stays whole for a receiver that takes it, with its checksum', () => {
    const { send, net, wire } = device(MODERN | featureMask(p.VIRTIO_NET_F_CSUM, p.VIRTIO_NET_F_HOST_TSO4))
    net.wire = { name: 'large', receive: bytes => wire.receive(bytes), largestFrame: () => 65_550 }
    const whole = largeSegment(3000)
    const partial = whole.slice()
    write16(partial, IPV4_PAYLOAD_AT + 16, 0x1234)
    expect(send(header(12, { flags: 1, gsoType: 1, gsoSize: 1460, start: 34, offset: 16 }), partial)).toEqual([whole])
    expect(send(header(12, { flags: 1, gsoType: 1, gsoSize: 1460, start: 34, offset: 16 }), udpFrame())).toEqual([])
  })

  test('segments of no size, of no TCP, or not negotiated are refused', () => {
    const gso = (gsoSize: number, gsoType = 1) => header(12, { flags: 1, gsoType, gsoSize, start: 34, offset: 16 })
    const { send } = device(MODERN | featureMask(p.VIRTIO_NET_F_CSUM, p.VIRTIO_NET_F_HOST_TSO4))
    expect(send(gso(0), udpFrame())).toEqual([])
    expect(send(gso(1460), udpFrame())).toEqual([])
    expect(send(gso(1460, 4), udpFrame())).toEqual([])
    expect(device().send(gso(1460), udpFrame())).toEqual([])
  })

  test('nothing leaves while the cable is out', () => {
    const { net, send, port } = device()
    net.setLink(false)
    expect(port.configurationChanges).toBe(1)
    expect(net.readConfiguration(p.CONFIG_STATUS, 2)).toBe(0)
    expect(send(new Uint8Array(12), frame())).toEqual([])
  })
})

describe('receive', () => {
  test('a frame comes behind a header, a moment after its arrival, several with one interrupt', () => {
    const { net, receive, pass } = device()
    const chains = [receive.post(new Uint8Array(), 1526), receive.post(new Uint8Array(), 1526)]
    net.receive(frame(60))
    net.receive(frame(1514))
    expect(receive.completed).toEqual([])
    pass()
    expect(chains.map(({ written }) => written)).toEqual([72, 1526])
    expect(chains[0].readWritable(0, 12)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    expect(chains[0].readWritable(12, 60)).toEqual(frame(60))
    expect(receive.interrupts).toBe(1)
  })

  test('a legacy driver’s header is shorter', () => {
    const { net, receive, pass } = device(0n)
    const chain = receive.post(new Uint8Array(), 1526)
    net.receive(frame())
    pass()
    expect(chain.readWritable(10, 60)).toEqual(frame())
    expect(chain.written).toBe(70)
  })

  test('frames wait for buffers, and the newest are lost when too many wait', () => {
    const { net, receive, pass } = device()
    for (let i = 0; i < 1100; i++) net.receive(frame())
    pass()
    expect(net.counters.receiveDropped).toBe(1100 - 1024)
    receive.post(new Uint8Array(), 1526)
    net.service(p.RECEIVE_QUEUE)
    expect(receive.completed.length).toBe(1)
    expect(net.counters.received).toBe(1)
  })

  test('a buffer that is too small loses the frame, not the buffer', () => {
    const { net, receive, pass } = device()
    receive.post(new Uint8Array(), 100)
    net.receive(frame(200))
    net.receive(frame(60))
    pass()
    expect(net.counters.receiveDropped).toBe(1)
    expect(receive.completed.map(({ written }) => written)).toEqual([72])
  })

  test('mergeable buffers share a frame; their number stands in the first', () => {
    const { net, receive, pass } = device(MODERN | featureMask(p.VIRTIO_NET_F_MRG_RXBUF))
    const chains = [100, 100, 100].map(length => receive.post(new Uint8Array(), length))
    net.receive(frame(250))
    pass()
    expect(chains.map(({ written }) => written)).toEqual([100, 100, 62])
    expect(chains[0].readWritable(10, 2)).toEqual(Uint8Array.of(3, 0))
    const bytes = [...chains[0].writable.subarray(12), ...chains[1].writable, ...chains[2].writable.subarray(0, 62)]
    expect(Uint8Array.from(bytes)).toEqual(frame(250))
  })

  test('with too few mergeable buffers the frame waits, and they stay available', () => {
    const { net, receive, pass } = device(MODERN | featureMask(p.VIRTIO_NET_F_MRG_RXBUF))
    receive.post(new Uint8Array(), 100)
    receive.post(new Uint8Array(), 100)
    net.receive(frame(250))
    pass()
    expect(receive.available.map(({ id }) => id)).toEqual([0, 1])
    receive.post(new Uint8Array(), 100)
    net.service(p.RECEIVE_QUEUE)
    expect(receive.completed.map(({ id }) => id)).toEqual([0, 1, 2])
  })

  test('buffers without any room lose frames, and nothing else happens', () => {
    const { net, receive, pass } = device(MODERN | featureMask(p.VIRTIO_NET_F_MRG_RXBUF))
    receive.post(new Uint8Array(), 0)
    net.receive(frame())
    pass()
    expect(net.counters.receiveDropped).toBe(1)
    expect(receive.available.length).toBe(1)
  })

  test('a right checksum is vouched for, a wrong one is not', () => {
    const { net, receive, pass } = device(MODERN | featureMask(p.VIRTIO_NET_F_GUEST_CSUM))
    const chains = [receive.post(new Uint8Array(), 1526), receive.post(new Uint8Array(), 1526)]
    net.receive(udpFrame())
    const wrong = udpFrame()
    wrong[wrong.length - 1] ^= 1
    net.receive(wrong)
    pass()
    expect(chains.map(({ writable }) => writable[0])).toEqual([p.VIRTIO_NET_HDR_F_DATA_VALID, 0])
    expect(parseUdp(udpFrame().subarray(IPV4_PAYLOAD_AT), ADDRESSES)).toBeDefined()
  })

  test('a driver that takes large segments gets them whole, with their checksum left to it', () => {
    const large = featureMask(p.VIRTIO_NET_F_GUEST_CSUM, p.VIRTIO_NET_F_GUEST_TSO4, p.VIRTIO_NET_F_MRG_RXBUF)
    const { net, receive, pass } = device(MODERN | large)
    expect(net.largestFrame()).toBe(65_550)
    const chains = [40, 3100].map(length => receive.post(new Uint8Array(), length))
    const segment = largeSegment(3000)
    const before = segment.slice()
    net.receive(segment)
    pass()
    expect(segment).toEqual(before)
    const bytes = Uint8Array.from([...chains[0].writable, ...chains[1].writable])
    expect(p.readNetHeader(bytes, 12)).toEqual({
      flags: p.VIRTIO_NET_HDR_F_NEEDS_CSUM,
      gsoType: p.VIRTIO_NET_HDR_GSO_TCPV4,
      headersLength: 54,
      gsoSize: 1460,
      checksumStart: 34,
      checksumOffset: 16,
      buffers: 2,
    })
    // What the driver's stack makes of it is the segment again.
    const frame = bytes.slice(12, 12 + segment.length)
    write16(frame, 50, foldChecksum(sumWords(frame, 34, frame.length)))
    expect(frame).toEqual(segment)
  })

  test('large frames are lost on others, and so is what is no segment', () => {
    const ordinary = device(MODERN | featureMask(p.VIRTIO_NET_F_GUEST_CSUM))
    expect(ordinary.net.largestFrame()).toBe(1514)
    ordinary.net.receive(largeSegment(3000))
    const able = device(MODERN | featureMask(p.VIRTIO_NET_F_GUEST_CSUM, p.VIRTIO_NET_F_GUEST_TSO4))
    able.net.receive(frame(3000))
    for (const { net } of [ordinary, able]) expect(net.counters.receiveDropped).toBe(1)
  })

  test('nothing is received before the driver is ready', () => {
    const { net, port, pass } = device()
    port.running = false
    net.receive(frame())
    pass()
    expect(net.counters.receiveDropped).toBe(1)
  })
})

describe('control queue', () => {
  const command = (net: NetDevice, port: FakePort, ...bytes: number[]) => {
    const chain = port.queues[p.CONTROL_QUEUE].post(Uint8Array.from(bytes), 1)
    net.service(p.CONTROL_QUEUE)
    return chain.writable[0]
  }

  test('the driver says which frames it wants', () => {
    const { net, port } = device()
    const wants = (destination: number) => {
      const { filtered } = net.counters
      net.receive(frame(60, destination))
      return net.counters.filtered === filtered
    }
    const multicast = 0x0100_5e00_0001
    expect(wants(OTHER_MAC)).toBe(true)
    expect(command(net, port, 0, 0, 0)).toBe(p.VIRTIO_NET_OK)
    expect([GUEST_MAC, MAC_BROADCAST, OTHER_MAC, multicast].map(wants)).toEqual([true, true, false, false])
    expect(command(net, port, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1)).toBe(p.VIRTIO_NET_OK)
    expect(wants(multicast)).toBe(true)
    expect(command(net, port, 0, 5, 1)).toBe(p.VIRTIO_NET_OK)
    expect(wants(MAC_BROADCAST)).toBe(false)
  })

  test('what is not understood is refused', () => {
    const { net, port } = device()
    const refused = [[], [0], [9, 9], [0, 0], [1, 0], [1, 0, 255, 255, 255, 255], [1, 0, 2, 0, 0, 0, 1]]
    for (const bytes of refused) expect(command(net, port, ...bytes)).toBe(p.VIRTIO_NET_ERR)
  })
})

test('the configuration says address, link and MTU', () => {
  const { net } = device()
  const bytes = Array.from({ length: p.CONFIG_SIZE }, (_, i) => net.readConfiguration(i, 1))
  expect(bytes).toEqual([0x02, 0x52, 0x53, 0, 0, 1, 1, 0, 1, 0, 0xdc, 0x05])
})

test('features that need others are refused without them', () => {
  expect(device(MODERN | featureMask(p.VIRTIO_NET_F_HOST_TSO4)).net.negotiated()).toBe(false)
  expect(device(MODERN | featureMask(p.VIRTIO_NET_F_HOST_TSO4, p.VIRTIO_NET_F_CSUM)).net.negotiated()).toBe(true)
  expect(device(MODERN | featureMask(p.VIRTIO_NET_F_GUEST_TSO4)).net.negotiated()).toBe(false)
})

test('what waits, the filter and the counters survive a snapshot', () => {
  const before = device()
  before.net.receive(frame())
  before.control.post(Uint8Array.of(0, 0, 0), 1)
  before.net.service(p.CONTROL_QUEUE)
  const saved = before.net.save()
  const after = device()
  after.net.restore(saved)
  expect(after.net.save()).toEqual(saved)
  after.receive.post(new Uint8Array(), 1526)
  after.net.service(p.RECEIVE_QUEUE)
  expect(after.receive.completed.length).toBe(1)
  after.net.receive(frame(60, OTHER_MAC))
  expect(after.net.counters.filtered).toBe(1)
})

test('chains are described', () => {
  const { net, receive, transmit, control } = device()
  const sent = transmit.post(Uint8Array.from([...new Uint8Array(12), ...udpFrame()]))
  expect(net.describe(p.TRANSMIT_QUEUE, sent)).toMatchObject({ summary: 'UDP 10.0.2.9:1 > 10.0.2.15:2, 3 bytes' })
  expect(net.describe(p.TRANSMIT_QUEUE, sent).fields).toContainEqual({ name: 'source', value: '02:00:00:00:00:99' })
  expect(net.describe(p.RECEIVE_QUEUE, receive.post(new Uint8Array(), 1526)).summary).toBe('room for 1514 bytes')
  expect(net.describe(p.CONTROL_QUEUE, control.post(Uint8Array.of(0, 0, 1), 1)).summary).toBe('promiscuous: on')
  expect(net.describe(p.TRANSMIT_QUEUE, transmit.post(new Uint8Array(3))).summary).toBe('no room for a header: 3 bytes')
})

test('a frame is followed from queue to wire and from wire to queue', () => {
  const trace = new PacketTrace({ now: 0, count: 0 })
  const { net, receive, send, pass } = device(MODERN, trace)
  send(new Uint8Array(12), frame())
  expect(trace.of(1)).toMatchObject([{ station: 'virtio-net0: taken from transmitq', detail: 0, length: 60 }])
  receive.post(new Uint8Array(), 1526)
  net.receive(frame(), trace.number())
  pass()
  expect(trace.of(2)).toMatchObject([
    { station: 'virtio-net0: arrived', time: 0 },
    { station: 'virtio-net0: put into receiveq', detail: 0, time: 1e6 },
  ])
})
