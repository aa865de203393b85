/** The way of packets as inspection tells it: a driver, its card, the bridge and the user network. */

import { expect, test } from 'vitest'
import { Bridge } from '../../src/backends/network/bridge.ts'
import { ARP_REQUEST, buildArp } from '../../src/backends/network/frame/arp.ts'
import { writeEthernet } from '../../src/backends/network/frame/ethernet.ts'
import { PacketTrace } from '../../src/backends/network/packet-trace.ts'
import { GATEWAY } from '../../src/backends/network/user/addresses.ts'
import { RECEIVE_QUEUE, TRANSMIT_QUEUE } from '../../src/devices/virtio/net/protocol.ts'
import type { MachineView } from '../../src/inspect/machine-view.ts'
import { type NetworkLook, type NetworkModel, networkModel } from '../../src/inspect/network.ts'
import { MachineNetwork } from '../../src/machine/machine-network.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { GUEST_IP, GUEST_MAC } from '../backends/network/guest-stack.ts'
import { FakeMachine } from '../support/fake-machine.ts'
import { VirtioBench, VirtioDriver } from '../support/virtio-driver.ts'

const HEADER = 12

class Guest {
  readonly network: MachineNetwork
  readonly machine: MachineView
  readonly bench: VirtioBench
  readonly driver: VirtioDriver

  constructor(mac = GUEST_MAC, bridge?: Bridge, user = true, clock = new VirtualClock()) {
    const access = { outside: false, host: false, allow: [] }
    const configuration = {
      ...{ kind: 'net' as const, mac, tap: undefined, transport: 'mmio' as const, packed: false },
      user: user ? { access, forwards: [] } : undefined,
    }
    this.network = new MachineNetwork('virtio-net0', configuration, { clock, bridge })
    this.bench = new VirtioBench(this.network.card, { clock })
    this.driver = new VirtioDriver(this.bench, { features: 0n })
    this.machine = Object.assign(new FakeMachine(4096), {
      virtio: [{ core: this.bench.core, place: 'MMIO 0x0', transport: 'mmio' }],
      network: this.network,
    })
  }

  /** Posts, and kicks 100 instructions later. @returns the chain's id. */
  send(frame: Uint8Array): number {
    const queue = this.driver.queues[TRANSMIT_QUEUE]
    const { id } = queue.post([{ bytes: new Uint8Array([...new Uint8Array(HEADER), ...frame]) }])
    this.bench.advance(100)
    queue.kick()
    return id
  }

  /** A buffer to receive into. */
  post(): number {
    const queue = this.driver.queues[RECEIVE_QUEUE]
    const { id } = queue.post([{ room: 1526 }])
    queue.kick()
    return id
  }

  look(look: Partial<NetworkLook> = {}): NetworkModel {
    const before = JSON.stringify([this.bench.core.save(), this.network.save()])
    const model = networkModel(this.machine, { packets: 16, addresses: 16, ...look })
    expect(JSON.stringify([this.bench.core.save(), this.network.save()])).toBe(before)
    if (model === undefined) throw new Error('the machine has no network')
    return model
  }
}

const whoHas = (mac = GUEST_MAC, senderIp = GUEST_IP) =>
  buildArp({ operation: ARP_REQUEST, senderMac: mac, senderIp, targetMac: 0, targetIp: GATEWAY })

test('a packet is followed from the driver to the port, and its answer back to the driver', () => {
  const guest = new Guest()
  const room = guest.post()
  guest.bench.advance(5000)
  const began = guest.bench.clock.count
  const sent = guest.send(whoHas())
  guest.bench.advance(1_000_000)
  const postedAt: NetworkLook['postedAt'] = (device, queue, { id }) =>
    device === 'virtio-net0' && queue === TRANSMIT_QUEUE && id === sent ? began : undefined
  const { packets, ports, addresses, frames, card } = guest.look({ postedAt })
  expect([card, frames, packets.length]).toEqual(['virtio-net0', 2, 2])
  const [request, answer] = packets
  expect([request.number, request.summary, request.length]).toEqual([1, 'ARP who has 10.0.2.2? 10.0.2.15 asks', 42])
  expect(request.steps.map(({ station }) => station)).toEqual([
    `virtio-net0: chain ${sent} posted by the driver`,
    `virtio-net0: chain ${sent} kicked`,
    'virtio-net0: taken from transmitq',
    `virtio-net0: chain ${sent} in the used ring`,
    `virtio-net0: chain ${sent} interrupts the driver`,
    'bridge: in from virtio-net0',
    'bridge: out to user',
    'user network: received',
  ])
  const [posted, kicked, taken] = request.steps
  expect([posted.instructions, kicked.instructions]).toEqual([began, began + 100])
  expect(taken.instructions).toBeGreaterThan(kicked.instructions)
  expect(taken.chain).toEqual({ device: 'virtio-net0', queue: TRANSMIT_QUEUE, id: sent })
  expect(answer.summary).toBe('ARP 10.0.2.2 is at 02:52:53:00:02:02')
  expect(answer.steps.map(({ station }) => station)).toEqual([
    'user network: sent',
    'bridge: in from user',
    'bridge: out to virtio-net0',
    'virtio-net0: arrived',
    `virtio-net0: buffer for it, chain ${room}, kicked`,
    'virtio-net0: put into receiveq',
    `virtio-net0: buffer for it, chain ${room}, in the used ring`,
    `virtio-net0: buffer for it, chain ${room}, interrupts the driver`,
  ])
  expect(ports).toMatchObject([
    { name: 'virtio-net0', framesIn: 1, framesOut: 1, bytesIn: 42, flooded: 1 },
    { name: 'user', framesIn: 1, framesOut: 1 },
  ])
  expect(addresses).toEqual([
    { mac: '02:52:53:00:00:01', port: 'virtio-net0', age: 1 },
    { mac: '02:52:53:00:02:02', port: 'user', age: 0 },
  ])
})

test('a packet that nothing has room for is lost where it is lost', () => {
  const guest = new Guest()
  guest.network.card.setLink(false)
  guest.network.bridge.connect({ name: 'other', receive: () => undefined }).receive(whoHas(2, 3))
  const [packet] = guest.look().packets
  expect(packet.steps.map(({ station }) => station)).toContain('virtio-net0: lost, no buffer')
})

test('chains of another machine at the bridge are not taken for this one’s', () => {
  const clock = new VirtualClock()
  const bridge = new Bridge({ trace: new PacketTrace(clock) })
  const [first, second] = [new Guest(0x0200_0000_000a, bridge, false), new Guest(0x0200_0000_000b, bridge, false)]
  const frame = new Uint8Array(60)
  writeEthernet(frame, { source: 0x0200_0000_000a, destination: 0x0200_0000_000b, etherType: 0x88b5 })
  second.post()
  // The same id in the same queue: only the port tells them apart.
  const sent = [first.send(frame), second.send(frame)]
  expect(sent[0]).toBe(sent[1])
  for (const guest of [first, second]) guest.bench.advance(1_000_000)
  const stations = (guest: Guest) => guest.look().packets[0].steps.map(({ station }) => station)
  expect(stations(first)).toContain(`virtio-net0: chain ${sent[0]} kicked`)
  expect(stations(first).filter(text => text.startsWith('virtio-net0.2: chain'))).toEqual([])
  expect(stations(second)).toEqual(
    expect.arrayContaining(['virtio-net0: taken from transmitq', 'virtio-net0.2: arrived']),
  )
  expect(stations(second).filter(text => text.startsWith('virtio-net0: chain'))).toEqual([])
  expect([first.look().card, second.look().card]).toEqual(['virtio-net0', 'virtio-net0.2'])
})

test('what is asked for is bounded, and what is forgotten is missing', () => {
  const guest = new Guest()
  for (let i = 0; i < 200; i++) {
    guest.send(whoHas(GUEST_MAC + i))
    guest.bench.advance(10_000)
    guest.driver.queues[TRANSMIT_QUEUE].takeUsed()
  }
  const few = guest.look({ packets: 3, addresses: 2 })
  expect(few.packets.map(({ number }) => number)).toEqual([few.frames - 2, few.frames - 1, few.frames])
  expect([few.addresses.length, few.learned]).toEqual([2, 201])
  expect(guest.look({ packets: 0, addresses: 0 })).toMatchObject({ packets: [], addresses: [] })
  // The queue remembers 128 chains: of older ones the stations are known, and not when the driver kicked.
  const all = guest.look({ packets: 1000 }).packets
  expect(all[0].steps.map(({ station }) => station)).toEqual([
    'virtio-net0: taken from transmitq',
    'bridge: in from virtio-net0',
    'bridge: out to user',
    'user network: received',
  ])
})

test('a machine without a network has none', () => {
  expect(networkModel(new FakeMachine(4096), { packets: 1, addresses: 1 })).toBeUndefined()
})
