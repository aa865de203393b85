import { describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/backends/network/bridge.ts'
import { writeEthernet } from '../../../src/backends/network/frame/ethernet.ts'
import { MAC_BROADCAST } from '../../../src/backends/network/frame/mac-address.ts'
import { PacketTrace } from '../../../src/backends/network/packet-trace.ts'
import { GuestStack } from './guest-stack.ts'

const A = 0x02_00_00_00_00_0a
const B = 0x02_00_00_00_00_0b
const C = 0x02_00_00_00_00_0c

function frame(source: number, destination: number): Uint8Array {
  const bytes = new Uint8Array(60)
  writeEthernet(bytes, { source, destination, etherType: 0x1234 })
  return bytes
}

function connected(options = {}) {
  const bridge = new Bridge(options)
  const stations = ['a', 'b', 'c'].map(name => new GuestStack(name))
  const ports = stations.map(station => {
    const port = bridge.connect(station)
    station.wire = port
    return port
  })
  const came = () => stations.map(station => station.take().length)
  return { bridge, stations, ports, came }
}

describe('bridge', () => {
  test('floods what it does not know, learns who sends, and then sends to one port', () => {
    const { stations, came, ports } = connected()
    stations[0].send(frame(A, B))
    expect(came()).toEqual([0, 1, 1])
    stations[1].send(frame(B, A))
    expect(came()).toEqual([1, 0, 0])
    stations[0].send(frame(A, B))
    expect(came()).toEqual([0, 1, 0])
    expect(ports[0].counters).toEqual({
      framesIn: 2,
      bytesIn: 120,
      framesOut: 1,
      bytesOut: 60,
      dropped: 0,
      flooded: 1,
    })
  })

  test('broadcasts go to everybody else', () => {
    const { stations, came } = connected()
    stations[2].send(frame(C, MAC_BROADCAST))
    expect(came()).toEqual([1, 1, 0])
  })

  test('never sends back: who sits at the same port has heard it', () => {
    const { stations, came, ports } = connected()
    stations[0].send(frame(A, MAC_BROADCAST))
    stations[0].send(frame(B, MAC_BROADCAST))
    came()
    stations[0].send(frame(A, B))
    expect(came()).toEqual([0, 0, 0])
    expect(ports[0].counters.dropped).toBe(1)
  })

  test('who moves is found at the new port', () => {
    const { stations, came } = connected()
    stations[0].send(frame(A, MAC_BROADCAST))
    stations[1].send(frame(A, MAC_BROADCAST))
    came()
    stations[2].send(frame(C, A))
    expect(came()).toEqual([0, 1, 0])
  })

  test('drops what is cut short, too long, or sent by a group', () => {
    const { stations, came, ports } = connected()
    stations[0].send(new Uint8Array(13))
    stations[0].send(new Uint8Array(65_551))
    stations[0].send(frame(MAC_BROADCAST, B))
    expect(came()).toEqual([0, 0, 0])
    expect(ports[0].counters.dropped).toBe(3)
  })

  test('the table is bounded: the oldest address gives way', () => {
    const { bridge, stations } = connected({ mostAddresses: 2 })
    for (const mac of [A, B, C]) stations[0].send(frame(mac, MAC_BROADCAST))
    expect(bridge.addresses).toBe(2)
    expect(bridge.portOf(A)).toBeUndefined()
    expect(bridge.portOf(C)?.name).toBe('a')
  })

  test('an address is forgotten after many frames of others', () => {
    const { bridge, stations } = connected({ ageingFrames: 10 })
    stations[0].send(frame(A, MAC_BROADCAST))
    for (let i = 0; i < 10; i++) stations[1].send(frame(B, MAC_BROADCAST))
    expect(bridge.portOf(A)?.name).toBe('a')
    stations[1].send(frame(B, MAC_BROADCAST))
    expect(bridge.portOf(A)).toBeUndefined()
    expect(bridge.portOf(B)?.name).toBe('b')
  })

  test('two bridges that are connected twice do not send a frame for ever', () => {
    const [left, right] = [new Bridge(), new Bridge()]
    for (const name of ['one', 'two']) {
      const toRight = { name, receive: (bytes: Uint8Array) => ends.right.receive(bytes) }
      const toLeft = { name, receive: (bytes: Uint8Array) => ends.left.receive(bytes) }
      const ends = { left: left.connect(toRight), right: right.connect(toLeft) }
    }
    const station = new GuestStack('a')
    const port = left.connect(station)
    port.receive(frame(A, MAC_BROADCAST))
    const dropped = [...left.ports, ...right.ports].reduce((sum, { counters }) => sum + counters.dropped, 0)
    expect(dropped).toBeGreaterThan(0)
  })

  test('ports of devices with one name are told apart', () => {
    const bridge = new Bridge()
    expect(['a', 'a', 'b', 'a'].map(name => bridge.connect(new GuestStack(name)).name)).toEqual([
      'a',
      'a.2',
      'b',
      'a.3',
    ])
  })

  test('an unplugged port gets nothing more', () => {
    const { bridge, stations, ports, came } = connected()
    stations[1].send(frame(B, MAC_BROADCAST))
    came()
    bridge.disconnect(ports[1])
    stations[0].send(frame(A, B))
    expect(came()).toEqual([0, 0, 1])
  })

  test('the way of a frame is noted', () => {
    const trace = new PacketTrace({ now: 1000, count: 900 })
    const { stations } = connected({ trace })
    stations[0].send(frame(A, B))
    stations[1].send(frame(B, A))
    expect(trace.of(1).map(({ station }) => station)).toEqual([
      'bridge: in from a',
      'bridge: out to b',
      'bridge: out to c',
    ])
    expect(trace.of(2)).toEqual([
      { frame: 2, station: 'bridge: in from b', time: 1000, count: 900, length: 60, detail: undefined },
      { frame: 2, station: 'bridge: out to a', time: 1000, count: 900, length: 60, detail: undefined },
    ])
  })
})

test('the newest frames are told with their beginnings, the ages of what was learned, and who has it', () => {
  const trace = new PacketTrace({ now: 0, count: 0 })
  const { bridge, stations } = connected({ trace })
  stations[0].send(frame(A, B))
  stations[1].send(frame(B, A))
  const [first, second] = trace.packets(10)
  expect([first.number, second.number, trace.frames]).toEqual([1, 2, 2])
  expect(first.head).toEqual(frame(A, B))
  expect(second.notes.map(({ station }) => station)).toEqual(['bridge: in from b', 'bridge: out to a'])
  expect(trace.packets(1).map(({ number }) => number)).toEqual([2])
  expect(trace.packets(0)).toEqual([])
  expect(bridge.learned).toEqual([
    { mac: A, port: 'a', age: 1 },
    { mac: B, port: 'b', age: 0 },
  ])
})

test('a long frame has only its beginning kept, and the oldest give way', () => {
  const trace = new PacketTrace({ now: 0, count: 0 })
  const station = trace.station('here')
  for (let i = 1; i <= 1100; i++) trace.note(trace.number(new Uint8Array(1500).fill(i)), station, 1500)
  const packets = trace.packets(2000)
  expect(packets.length).toBe(1100)
  expect(packets.map(({ head }) => head?.length).slice(74, 78)).toEqual([undefined, undefined, 320, 320])
  expect(packets[1099].head?.every(byte => byte === (1100 & 0xff))).toBe(true)
})

test('the trace keeps the newest notes', () => {
  const trace = new PacketTrace({ now: 0, count: 0 }, 4)
  const station = trace.station('here')
  for (let i = 1; i <= 6; i++) trace.note(i, station, 60)
  expect(trace.total).toBe(6)
  expect(trace.last(10).map(({ frame }) => frame)).toEqual([3, 4, 5, 6])
  expect(trace.of(2)).toEqual([])
})
