/** Rings as inspection reads them from guest memory, whole and corrupted by their driver. */

import { describe, expect, test } from 'vitest'
import type { MachineView, VirtioView } from '../../../src/inspect/machine-view.ts'
import { type VirtqueueModel, virtqueues } from '../../../src/inspect/virtio/virtqueues.ts'
import { EchoDevice } from '../../devices/virtio/echo-device.ts'
import { FakeMachine } from '../../support/fake-machine.ts'
import {
  INDIRECT,
  INDIRECT_DESC,
  NEXT,
  PackedDriverQueue,
  SplitDriverQueue,
  VirtioBench,
  VirtioDriver,
  WRITE,
} from '../../support/virtio-driver.ts'

const SIZE = 8
const BEYOND = 2 ** 30

interface Ring {
  readonly bench: VirtioBench
  readonly queue: SplitDriverQueue | PackedDriverQueue
  /** The queue as it is now, with all that is pending. */
  look(start?: number, count?: number): VirtqueueModel
}

function ringOf(packed: boolean, features = INDIRECT_DESC): Ring {
  const bench = new VirtioBench(new EchoDevice())
  const driver = new VirtioDriver(bench, { packed, features, size: SIZE })
  const device: VirtioView = { core: bench.core, place: 'MMIO 0x0', transport: 'mmio' }
  const machine: MachineView = Object.assign(new FakeMachine(4096), {
    virtio: [device],
    hasRam: (gpa: number, length: number) => bench.memory.containsRam(gpa, length),
    readPhysical: (gpa: number, length: number) =>
      bench.memory.containsRam(gpa, length) ? bench.memory.bytes.slice(gpa, gpa + length) : undefined,
  })
  const queue = driver.queues[0]
  if (!(queue instanceof SplitDriverQueue || queue instanceof PackedDriverQueue))
    throw new Error('a queue of neither kind')
  return {
    ...{ bench, queue },
    look(start = 0, count = 100) {
      const before = bench.memory.bytes.slice()
      const state = JSON.stringify(bench.core.save())
      const [model] = virtqueues(machine, { queue: 0, chains: { start, count }, history: 16 })[0].queues
      expect(bench.memory.bytes).toEqual(before)
      expect(JSON.stringify(bench.core.save())).toBe(state)
      return model
    },
  }
}

const problems = (model: VirtqueueModel): (string | undefined)[] => [
  ...model.problems,
  ...model.chains.map(({ problem }) => problem),
]

describe.each([
  ['split', false],
  ['packed', true],
])('a %s ring', (format, packed) => {
  test('shows what is pending with every buffer, what was completed with its steps, and changes nothing', () => {
    const ring = ringOf(packed)
    const { posted } = ring.queue.request([{ bytes: Uint8Array.of(1, 2, 3) }, { room: 3 }])
    const next = ring.queue.post([{ bytes: Uint8Array.of(4) }, { room: 1 }, { room: 2 }])
    const model = ring.look()
    expect(model).toMatchObject({ format, size: SIZE, pending: 1, problems: [], taken: [] })
    expect(model.chains[0].id).toBe(next.id)
    expect(
      model.chains[0].descriptors.map(({ address, length, direction }) => [Number(address), length, direction]),
    ).toEqual([
      [next.addresses[0], 1, 'read'],
      [next.addresses[1], 1, 'write'],
      [next.addresses[2], 2, 'write'],
    ])
    const [done] = model.history
    expect(done).toMatchObject({ number: 0, id: posted.id, written: 3 })
    expect(done.steps.map(({ step }) => step)).toEqual(['kicked', 'taken', 'used', 'interrupt'])
    expect(done.steps[1]).toMatchObject({ after: 1000, nanoseconds: 1000 })
  })

  test('shows indirect tables, entry by entry', () => {
    const ring = ringOf(packed)
    const { addresses } = ring.queue.post([{ bytes: Uint8Array.of(4) }, { room: 9 }], { indirect: true })
    const { descriptors, problem } = ring.look().chains[0]
    expect(problem).toBeUndefined()
    expect(descriptors.map(({ direction, table, index }) => [direction, table, index])).toEqual([
      ['table', undefined, descriptors[0].index],
      ['read', descriptors[0].index, 0],
      ['write', descriptors[0].index, 1],
    ])
    expect(Number(descriptors[2].address)).toBe(addresses[1])
  })

  test('shows the chains of a window, and counts all', () => {
    const ring = ringOf(packed)
    const ids = [1, 2, 3, 4].map(byte => ring.queue.post([{ bytes: Uint8Array.of(byte) }]).id)
    const model = ring.look(1, 2)
    expect(model.pending).toBe(4)
    expect(model.chains.map(({ id }) => id)).toEqual(ids.slice(1, 3))
  })

  test('is broken where a buffer lies where no RAM is, however far', () => {
    const ring = ringOf(packed)
    post(ring, [{ gpa: BEYOND, length: 16, flags: 0 }])
    expect(problems(ring.look())).toEqual([`descriptor 0: 16 bytes at 0x40000000 are not all RAM`])
    const far = ringOf(packed)
    post(far, [{ gpa: 0x2000, length: 4, flags: 0 }])
    far.bench.memory.view.setBigUint64(far.queue.descriptors, 0xffff_ffff_ffff_fff8n, true)
    const [chain] = far.look().chains
    expect(chain.descriptors[0].address).toBe(0xffff_ffff_ffff_fff8n)
    expect(chain.problem).toBe('descriptor 0: 4 bytes at 0xfffffffffffffff8 are not all RAM')
  })

  test('is broken where what the device reads follows what it writes, and by tables that are none', () => {
    const order = ringOf(packed)
    post(order, [
      { gpa: 0x2000, length: 4, flags: WRITE },
      { gpa: 0x2100, length: 4, flags: 0 },
    ])
    expect(problems(order.look())).toEqual(['descriptor 1: a readable buffer after a writable one'])
    for (const [length, why] of [
      [0, 'an indirect table of 0 bytes; it must be a multiple of 16'],
      [24, 'an indirect table of 24 bytes; it must be a multiple of 16'],
      [0xffff_fff0, 'an indirect table of 268435455 descriptors; 1024 at most'],
    ] as const) {
      const table = ringOf(packed)
      post(table, [{ gpa: 0x2000, length, flags: INDIRECT }])
      expect(problems(table.look())).toEqual([`descriptor 0: ${why}`])
    }
    const unwanted = ringOf(packed, 0n)
    post(unwanted, [{ gpa: 0x2000, length: 16, flags: INDIRECT }])
    expect(problems(unwanted.look())).toEqual(['descriptor 0: indirect, but VIRTIO_F_INDIRECT_DESC was not negotiated'])
    const nested = ringOf(packed)
    const inside = nested.bench.memory.allocate(16)
    nested.queue.writeDescriptor(0, { gpa: inside, length: 16, flags: INDIRECT, link: 0 }, inside)
    post(nested, [{ gpa: inside, length: 16, flags: INDIRECT }])
    expect(problems(nested.look())).toEqual([
      "descriptor 0, entry 0 of its indirect table: indirect tables can't be nested",
    ])
  })

  test('is not looked at while the driver has not set it up', () => {
    const ring = ringOf(packed)
    ring.bench.core.driverReset()
    expect(ring.look()).toMatchObject({ enabled: false, pending: 0, chains: [], fields: [] })
  })
})

describe('a split ring that its driver corrupts', () => {
  test('loops: of a descriptor with itself, of several, and in an indirect table', () => {
    const { bench, queue, look } = split()
    queue.writeDescriptor(0, { gpa: 0x2000, length: 4, flags: NEXT, link: 0 })
    queue.makeAvailable(0)
    queue.writeDescriptor(1, { gpa: 0x2000, length: 4, flags: NEXT, link: 2 })
    queue.writeDescriptor(2, { gpa: 0x2000, length: 4, flags: NEXT, link: 1 })
    queue.makeAvailable(1)
    const table = bench.memory.allocate(32)
    queue.writeDescriptor(0, { gpa: 0x2000, length: 4, flags: NEXT, link: 1 }, table)
    queue.writeDescriptor(1, { gpa: 0x2000, length: 4, flags: NEXT, link: 0 }, table)
    queue.writeDescriptor(3, { gpa: table, length: 32, flags: INDIRECT, link: 0 })
    queue.makeAvailable(3)
    expect(problems(look())).toEqual([
      'descriptor 0: the next is 0, where the chain has been: a loop',
      'descriptor 2: the next is 1, where the chain has been: a loop',
      'descriptor 3, entry 1 of its indirect table: the next is 0, where the chain has been: a loop',
    ])
  })

  test('heads and links beyond the table', () => {
    const { queue, look } = split()
    queue.writeDescriptor(0, { gpa: 0x2000, length: 4, flags: NEXT, link: 9 })
    queue.makeAvailable(0)
    queue.makeAvailable(77)
    expect(problems(look())).toEqual([
      'descriptor 0: the next is 9 of a table of 8',
      'available entry 1: descriptor 77 of a table of 8',
    ])
  })

  test('an index that jumps, either way, and a used index that is not the device’s', () => {
    const { bench, queue, look } = split()
    queue.setAvailableIndex(9)
    expect(look().problems).toEqual(['avail.idx is 9: it jumped from 0, and the queue has 8 entries'])
    queue.setAvailableIndex(0xffff)
    expect(look()).toMatchObject({
      pending: 65535,
      problems: ['avail.idx is 65535: it jumped from 0, and the queue has 8 entries'],
    })
    queue.setAvailableIndex(0)
    bench.memory.view.setUint16(queue.device + 2, 3, true)
    expect(look().problems).toEqual(['used.idx is 3, and the device has written 0: the driver changed it'])
  })

  test('a descriptor that two chains share', () => {
    const { queue, look } = split()
    for (const head of [0, 1]) {
      queue.writeDescriptor(head, { gpa: 0x2000, length: 4, flags: NEXT, link: 2 })
      queue.makeAvailable(head)
    }
    queue.writeDescriptor(2, { gpa: 0x2000, length: 4, flags: WRITE, link: 0 })
    expect(problems(look())).toEqual([undefined, 'descriptor 2: in the chain of 0 too'])
  })
})

describe('a packed ring that its driver corrupts', () => {
  test('a chain that goes round the whole ring', () => {
    const ring = ringOf(true)
    const { queue } = ring
    if (!(queue instanceof PackedDriverQueue)) throw new Error('not packed')
    queue.postRaw(Array.from({ length: SIZE }, () => ({ gpa: 0x2000, length: 1, flags: NEXT, link: 5 })))
    const model = ring.look()
    expect(model.pending).toBe(1)
    expect(problems(model)).toEqual(['descriptor 7: the next is 0, where the chain has been: a loop'])
  })
})

function split(): Ring & { readonly queue: SplitDriverQueue } {
  const ring = ringOf(false)
  const { queue } = ring
  if (!(queue instanceof SplitDriverQueue)) throw new Error('not split')
  return { ...ring, queue }
}

/** Posts descriptors as they are, from the ring's beginning. */
function post({ queue }: Ring, descriptors: readonly { gpa: number; length: number; flags: number }[]): void {
  const linked = descriptors.map((each, i) => ({
    ...each,
    flags: each.flags | (i < descriptors.length - 1 ? NEXT : 0),
    link: i + 1,
  }))
  if (queue instanceof PackedDriverQueue) {
    queue.postRaw(linked)
    return
  }
  for (const [i, descriptor] of linked.entries()) queue.writeDescriptor(i, descriptor)
  queue.makeAvailable(0)
}
