/** Rings as pictures need them: who has which slot, bounded whatever the size. */

import { describe, expect, test } from 'vitest'
import type { MachineView, VirtioView } from '../../../src/inspect/machine-view.ts'
import {
  MOST_SEGMENTS,
  type RingDetailModel,
  type RingLookAt,
  ringDetail,
} from '../../../src/inspect/virtio/ring-detail.ts'
import type { SlotRing, SlotState } from '../../../src/inspect/virtio/slot-states.ts'
import { onWire } from '../../../src/protocol/on-wire.ts'
import { EchoDevice } from '../../devices/virtio/echo-device.ts'
import { FakeMachine } from '../../support/fake-machine.ts'
import {
  DriverMemory,
  EVENT_IDX,
  INDIRECT_DESC,
  NEXT,
  PackedDriverQueue,
  type PostedBuffer,
  SplitDriverQueue,
  VirtioBench,
  VirtioDriver,
  WRITE,
} from '../../support/virtio-driver.ts'

const BEYOND = 2 ** 30
const ONE: readonly PostedBuffer[] = [{ room: 4 }]
const TWO: readonly PostedBuffer[] = [{ bytes: Uint8Array.of(1, 2) }, { room: 4 }]

class Ring {
  readonly device: EchoDevice
  readonly bench: VirtioBench
  readonly queue: SplitDriverQueue | PackedDriverQueue
  readonly #machine: MachineView
  readonly #view: VirtioView

  constructor(packed: boolean, size = 8, features = INDIRECT_DESC) {
    this.device = new EchoDevice(1, Math.max(size, 8))
    this.bench = new VirtioBench(this.device, { memory: new DriverMemory(2 ** 22) })
    const [queue] = new VirtioDriver(this.bench, { packed, features, size }).queues
    if (!(queue instanceof SplitDriverQueue || queue instanceof PackedDriverQueue))
      throw new Error('a queue of neither kind')
    this.queue = queue
    const { memory } = this.bench
    this.#view = { core: this.bench.core, place: 'MMIO 0x0', transport: 'mmio' }
    this.#machine = Object.assign(new FakeMachine(4096), {
      virtio: [this.#view],
      hasRam: (gpa: number, length: number) => memory.containsRam(gpa, length),
      readPhysical: (gpa: number, length: number) =>
        memory.containsRam(gpa, length) ? memory.bytes.slice(gpa, gpa + length) : undefined,
    })
  }

  look(at: RingLookAt = {}): RingDetailModel {
    const detail = ringDetail(this.#machine, this.#view, this.bench.core.queues[0], at)
    if (detail === undefined) throw new Error('there is no ring')
    return detail
  }

  get missing(): boolean {
    return ringDetail(this.#machine, this.#view, this.bench.core.queues[0], {}) === undefined
  }

  /** The device takes what is posted, and keeps it. */
  taken(): void {
    this.device.hold = true
    this.queue.kick()
    this.bench.advance()
    this.device.hold = false
  }
}

/** One letter a slot. */
function states(detail: RingDetailModel, ring: SlotRing): string {
  const map = detail.maps.find(each => each.ring === ring)
  if (map === undefined) throw new Error(`there is no ${ring}`)
  const letters: Record<SlotState, string> = { free: '.', available: 'A', taken: 'T', used: 'U' }
  return map.segments
    .flatMap(segment =>
      Object.entries(letters).flatMap(([state, letter]) => letter.repeat(countOf(segment.states, state))),
    )
    .join('')
}

const countOf = (counts: Readonly<Record<string, number>>, state: string): number => counts[state] ?? 0

const markers = (detail: RingDetailModel) =>
  Object.fromEntries(detail.markers.map(({ name, slot, value, wrap }) => [name, [slot, value ?? wrap]]))

describe('a split ring', () => {
  test('tells of each entry and descriptor who has it', () => {
    const ring = new Ring(false)
    ring.queue.request(TWO)
    ring.queue.post(ONE)
    ring.taken()
    ring.queue.post(TWO)
    const detail = ring.look()
    // The driver of the test gives free descriptors out in turn: 0 and 1 are used, 2 is taken, 3 and 4 are posted.
    expect(states(detail, 'available ring')).toBe('.TA.....')
    expect(states(detail, 'used ring')).toBe('U.......')
    expect(states(detail, 'descriptor table')).toBe('UUTAA...')
    expect(detail.taken).toBe(1)
    expect(markers(detail)).toEqual({ 'avail.idx': [3, 3], last_avail: [2, 2], 'used.idx': [1, 1] })
    expect(detail.maps[0].states).toEqual({ free: 6, available: 1, taken: 1, used: 0 })
    expect(detail.maps[0].segments[2]).toMatchObject({ first: 2, count: 1, chain: 3 })
    expect(detail.descriptors.map(({ index, chain, next }) => [index, chain, next]).slice(0, 5)).toEqual([
      [0, 0, 1],
      [1, 0, undefined],
      [2, 2, undefined],
      [3, 3, 4],
      [4, 3, undefined],
    ])
  })

  test('wraps: indexes run on, and what was returned is free again once it is posted again', () => {
    const ring = new Ring(false)
    for (let i = 0; i < 13; i++) ring.queue.request(ONE)
    const done = ring.look()
    expect(markers(done)).toMatchObject({ 'avail.idx': [5, 13], 'used.idx': [5, 13] })
    // All eight were returned, and none is posted since.
    expect(states(done, 'used ring')).toBe('UUUUUUUU')
    for (let i = 0; i < 5; i++) ring.queue.post(ONE)
    const posted = ring.look()
    expect(states(posted, 'available ring')).toBe('AA...AAA')
    expect(states(posted, 'used ring').replaceAll('.', '')).toBe('UUU')
    expect(states(posted, 'descriptor table')).toBe('AAUUUAAA')
  })

  test('wraps at 65536 too', () => {
    const ring = new Ring(false)
    for (let i = 0; i < 65_537; i++) {
      const { mark } = ring.bench.memory
      ring.queue.request(ONE)
      ring.bench.memory.releaseTo(mark)
    }
    ring.queue.post(ONE)
    const detail = ring.look()
    expect(markers(detail)).toEqual({ 'avail.idx': [2, 2], last_avail: [1, 1], 'used.idx': [1, 1] })
    expect(states(detail, 'available ring')).toBe('.A......')
    expect(detail.maps[1].states).toMatchObject({ used: 7, free: 1 })
  })

  test('with an event index, the driver says how far it has seen', () => {
    const ring = new Ring(false, 8, EVENT_IDX)
    if (!(ring.queue instanceof SplitDriverQueue)) throw new Error('not split')
    for (let i = 0; i < 3; i++) ring.queue.request(ONE)
    ring.queue.setInterrupts(true, 2)
    const detail = ring.look()
    expect(states(detail, 'used ring')).toBe('..U.....')
    expect(states(detail, 'descriptor table')).toBe('..U.....')
    expect(markers(detail)).toMatchObject({ used_event: [2, 2], avail_event: [3, 3] })
  })

  test('follows the chain of the slot that is asked for, in whatever array', () => {
    const ring = new Ring(false)
    ring.queue.request(TWO)
    ring.queue.post(TWO)
    const chain = (at: SlotRing, slot: number) => ring.look({ selected: { ring: at, slot } }).selected
    const lengths = (at: SlotRing, slot: number) => chain(at, slot)?.content?.descriptors.map(({ length }) => length)
    expect(chain('available ring', 1)).toMatchObject({ state: 'available', chain: 2, content: { head: 2 } })
    expect(lengths('descriptor table', 3)).toEqual([2, 4])
    expect(chain('used ring', 0)).toMatchObject({ state: 'used', chain: 0, written: 2 })
    expect(chain('descriptor table', 7)).toEqual({ ring: 'descriptor table', slot: 7, state: 'free' })
    expect(chain('descriptor table', 8)).toBeUndefined()
    expect(chain('descriptor ring', 0)).toBeUndefined()
  })

  test('that is broken names the offending descriptor', () => {
    const ring = new Ring(false)
    ring.queue.writeDescriptor(4, { gpa: 0x2000, length: 4, flags: NEXT, link: 6 })
    ring.queue.writeDescriptor(6, { gpa: BEYOND, length: 4, flags: WRITE, link: 0 })
    if (ring.queue instanceof SplitDriverQueue) ring.queue.makeAvailable(4)
    expect(ring.look().faults).toEqual([
      { chain: 4, descriptor: 6, problem: 'descriptor 6: 4 bytes at 0x40000000 are not all RAM' },
    ])
    ring.queue.writeDescriptor(6, { gpa: 0x2000, length: 4, flags: NEXT, link: 4 })
    const { faults, maps } = ring.look({ selected: { ring: 'descriptor table', slot: 6 } })
    expect(faults).toMatchObject([{ descriptor: 6, problem: expect.stringContaining('a loop') }])
    expect(maps[2].states.available).toBe(2)
    if (ring.queue instanceof SplitDriverQueue) ring.queue.setAvailableIndex(100)
    expect(ring.look().faults[0].problem).toContain('avail.idx is 100')
  })
})

describe('a packed ring', () => {
  test('tells of each slot who has it, by flags and wrap counters', () => {
    const ring = new Ring(true)
    ring.queue.request(TWO)
    ring.queue.post(ONE)
    ring.taken()
    ring.queue.post(TWO)
    const detail = ring.look()
    // Of the two slots that are used, the device has written the first.
    expect(states(detail, 'descriptor ring')).toBe('U.TAA...')
    expect(markers(detail)).toEqual({ posted: [5, 1], next_avail: [3, 1], next_used: [2, 1] })
    expect(detail.descriptors[3].flagNames).toEqual(['NEXT', 'AVAIL'])
    expect(detail.descriptors[0]).toMatchObject({ state: 'used', flagNames: ['WRITE', 'AVAIL', 'USED'] })
  })

  test('wraps, and the counters turn over', () => {
    const ring = new Ring(true)
    for (let i = 0; i < 5; i++) ring.queue.request(TWO)
    ring.queue.post(TWO)
    ring.queue.post([{ room: 1 }, { room: 2 }, { room: 3 }])
    const detail = ring.look()
    expect(markers(detail)).toEqual({ posted: [7, 0], next_avail: [2, 0], next_used: [2, 0] })
    expect(states(detail, 'descriptor ring')).toBe('U.AAAAA.')
    const selected = (slot: number) => ring.look({ selected: { ring: 'descriptor ring', slot } }).selected
    expect(selected(6)?.content?.descriptors.map(({ index }) => index)).toEqual([4, 5, 6])
    expect(selected(0)).toMatchObject({ state: 'used', written: 2 })
    expect(selected(0)).not.toHaveProperty('content')
  })

  test('a chain in the device is shown over the end of the ring', () => {
    const ring = new Ring(true)
    for (let i = 0; i < 7; i++) ring.queue.request(ONE)
    ring.queue.post(TWO)
    ring.taken()
    const detail = ring.look({ selected: { ring: 'descriptor ring', slot: 0 } })
    expect(states(detail, 'descriptor ring')).toBe('TUUUUUUT')
    expect(markers(detail)).toEqual({ posted: [1, 0], next_avail: [1, 0], next_used: [7, 1] })
    expect(detail.selected).toMatchObject({ state: 'taken', content: { descriptors: [{ length: 2 }, { length: 4 }] } })
  })

  test('events have their place and wrap counter', () => {
    const ring = new Ring(true, 8, EVENT_IDX)
    if (!(ring.queue instanceof PackedDriverQueue)) throw new Error('not packed')
    for (let i = 0; i < 3; i++) ring.queue.request(ONE)
    ring.queue.setInterrupts(2, 2, true)
    const detail = ring.look()
    expect(markers(detail)).toMatchObject({ 'driver event': [2, 1], 'device event': [3, 1] })
    expect(states(detail, 'descriptor ring')).toBe('..U.....')
  })
})

describe.each([
  ['split', false],
  ['packed', true],
])('a %s ring of any size is bounded', (_format, packed) => {
  test('size 1', () => {
    const ring = new Ring(packed, 1)
    const [first] = ring.look().maps
    expect(first.segments).toEqual([{ first: 0, count: 1, states: { free: 1, available: 0, taken: 0, used: 0 } }])
    ring.queue.post(ONE)
    expect(ring.look().maps[0].states.available).toBe(1)
    ring.taken()
    expect(ring.look().maps[0].states.taken).toBe(1)
  })

  test('size 32768, of which windows are shown', () => {
    const ring = new Ring(packed, 32_768)
    const { mark } = ring.bench.memory
    for (let i = 0; i < 700; i++) {
      if (ring.queue instanceof PackedDriverQueue)
        ring.queue.postRaw([{ gpa: 0x2000, length: 4, flags: WRITE, link: i }])
      else ring.queue.post(ONE)
      ring.bench.memory.releaseTo(mark)
    }
    const whole = ring.look()
    const [map] = whole.maps
    expect(map.states).toEqual({ free: 32_068, available: 700, taken: 0, used: 0 })
    expect(map.segments).toHaveLength(MOST_SEGMENTS)
    expect(map.segments[1]).toEqual({
      ...{ first: 512, count: 512 },
      states: { free: 324, available: 188, taken: 0, used: 0 },
    })
    expect(whole.descriptors).toEqual([])
    expect(JSON.stringify(onWire(whole)).length).toBeLessThan(40_000)
    const part = ring.look({ window: { first: 696, count: 8 } })
    expect(states(part, packed ? 'descriptor ring' : 'available ring')).toBe('AAAA....')
    expect(part.descriptors.map(({ index }) => index)).toEqual([696, 697, 698, 699, 700, 701, 702, 703])
    expect(ring.look({ window: { first: 32_760, count: 32_768 } }).window).toEqual({ first: 32_760, count: 8 })
  })

  test('there is nothing to see while the driver has not set it up', () => {
    const ring = new Ring(packed)
    ring.bench.core.driverReset()
    expect(ring.missing).toBe(true)
  })
})
