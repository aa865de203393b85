/** What `npm run bench:network` measures without a guest: the bridge alone, and a driver double with queues. */

import { Bridge } from '../../src/backends/network/bridge.ts'
import { writeEthernet } from '../../src/backends/network/frame/ethernet.ts'
import type { NetworkPort } from '../../src/backends/network/network-port.ts'
import { PacketTrace } from '../../src/backends/network/packet-trace.ts'
import { NetDevice } from '../../src/devices/virtio/net/device.ts'
import { TRANSMIT_QUEUE } from '../../src/devices/virtio/net/protocol.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { DriverMemory, VirtioBench, VirtioDriver } from '../../test/support/virtio-driver.ts'

const [A, B] = [0x0200_0000_000a, 0x0200_0000_000b]
const HEADER = 12
const SECONDS = 1

function frame(length: number, source: number, destination: number): Uint8Array {
  const bytes = new Uint8Array(length)
  writeEthernet(bytes, { source, destination, etherType: 0x88b5 })
  return bytes
}

function sink(name: string): NetworkPort {
  return { name, receive: () => {} }
}

/** Millions of packets a second between two ports of a bridge, as a machine has it: with a trace. */
export function bridgeRate(length: number): number {
  const bridge = new Bridge({ trace: new PacketTrace({ now: 0, count: 0 }) })
  const [a, b] = [bridge.connect(sink('a')), bridge.connect(sink('b'))]
  const [there, back] = [frame(length, A, B), frame(length, B, A)]
  return rate(1000, () => {
    for (let i = 0; i < 500; i++) {
      a.receive(there)
      b.receive(back)
    }
  })
}

/** Millions of packets a second from a driver's queue through the device and the bridge to another port. */
export function queueRate(length: number): number {
  const { driver, bench } = plugged()
  const queue = driver.queues[TRANSMIT_QUEUE]
  const bytes = new Uint8Array([...new Uint8Array(HEADER), ...frame(length, A, B)])
  const { mark } = bench.memory
  return rate(queue.size, () => {
    bench.memory.releaseTo(mark)
    for (let i = 0; i < queue.size; i++) queue.post([{ bytes }])
    queue.kick()
    bench.advance()
    queue.takeUsed()
  })
}

function plugged() {
  const clock = new VirtualClock()
  const trace = new PacketTrace(clock)
  const bridge = new Bridge({ trace })
  const device = new NetDevice({ name: 'virtio-net0', mac: A, clock, trace })
  device.wire = bridge.connect(device)
  bridge.connect(sink('b')).receive(frame(64, B, A))
  const bench = new VirtioBench(device, { clock, memory: new DriverMemory(4 * 2 ** 20) })
  return { bench, driver: new VirtioDriver(bench) }
}

function rate(count: number, act: () => void): number {
  const measure = (seconds: number) => {
    const started = performance.now()
    let done = 0
    while (performance.now() - started < seconds * 1000) {
      act()
      done += count
    }
    return done / ((performance.now() - started) * 1000)
  }
  measure(SECONDS / 4)
  return measure(SECONDS)
}
