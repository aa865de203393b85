/** Virtqueues as rings: what is drawn and told of an answer, where it lies, and which messages are believed. */

import { describe, expect, test } from 'vitest'
import { isHostMessage, parsePageMessage, parseWish } from '../../src/extension/rings/messages.ts'
import { BANDS, extentOf, handPlaces, piecesOf } from '../../src/extension/rings/ring-geometry.ts'
import { type Picture, ringsModel, type ShownQueue } from '../../src/extension/rings/rings-model.ts'
import type { RingBody } from '../../src/protocol/ring-request.ts'

type Ring = NonNullable<RingBody['ring']>
type Queue = NonNullable<RingBody['device']>['queues'][number]
type Segment = Ring['maps'][number]['segments'][number]
type State = keyof Segment['states']

const NONE = { free: 0, available: 0, taken: 0, used: 0 }
const slot = (first: number, state: State, chain?: number): Segment => ({
  ...{ first, count: 1, states: { ...NONE, [state]: 1 } },
  ...(chain === undefined ? {} : { chain }),
})

const QUEUE: Queue = {
  ...{ index: 0, name: 'requestq', enabled: true, size: 4, maximumSize: 128, format: 'split' },
  areas: [{ name: 'descriptor table', address: '0x1000' }],
  fields: [
    { name: 'avail.idx', value: 70_000 & 0xffff, meaning: 'posted by the driver' },
    { name: 'used.flags', value: 1, meaning: 'no kicks wanted' },
  ],
  ...{ pending: 1, chains: [], taken: [], used: [], problems: [], remembered: 2 },
  history: [
    {
      ...{ number: 0, id: 1, summary: 'read, sector 2, 512 bytes', fields: [], buffers: [], omitted: 0, written: 513 },
      steps: [
        { step: 'kicked', instructions: 1000 },
        { step: 'taken', instructions: 1200, after: 200, nanoseconds: 200 },
        { step: 'used', instructions: 9200, after: 8000, nanoseconds: 1_500_000 },
      ],
    },
    {
      ...{ number: 1, id: 2, summary: 'flush', fields: [], omitted: 0, written: 1 },
      buffers: [{ address: '0x2000', length: 16, direction: 'read' }],
      steps: [{ step: 'taken', instructions: 20_000 }],
    },
  ],
}
const RING: Ring = {
  window: { first: 0, count: 4 },
  maps: [
    {
      ring: 'available ring',
      states: { free: 2, available: 1, taken: 1, used: 0 },
      segments: [slot(0, 'taken', 3), slot(1, 'available', 0), slot(2, 'free'), slot(3, 'free')],
    },
    {
      ring: 'used ring',
      states: { free: 3, available: 0, taken: 0, used: 1 },
      segments: [slot(0, 'free'), slot(1, 'free'), slot(2, 'free'), slot(3, 'used', 2)],
    },
    {
      ring: 'descriptor table',
      states: { free: 0, available: 2, taken: 1, used: 1 },
      segments: [slot(0, 'available', 0), slot(1, 'available', 0), slot(2, 'used', 2), slot(3, 'taken', 3)],
    },
  ],
  markers: [
    {
      ...{ name: 'avail.idx', ring: 'available ring', side: 'driver', slot: 2, value: 4466 },
      meaning: 'the driver posts here next',
    },
    {
      ...{ name: 'used.idx', ring: 'used ring', side: 'device', slot: 0, value: 4464 },
      meaning: 'the device returns here next',
    },
  ],
  ...{ taken: 1, faults: [] },
  descriptors: [
    {
      ...{ index: 0, state: 'available', chain: 0, address: '0x2000', length: 16, flagNames: ['NEXT'], next: 1 },
    },
    { index: 1, state: 'available', chain: 0, address: '0x3000', length: 512, flagNames: ['WRITE'] },
  ],
}
const BODY: RingBody = {
  ...{ instructions: 1, traced: false, ring: RING },
  choices: [{ device: 'virtio-blk0', broken: false, queues: [{ index: 0, name: 'requestq', enabled: true }] }],
  device: {
    ...{ name: 'virtio-blk0', place: 'PCI 00:03.0', transport: 'pci', status: 'DRIVER_OK' },
    ...{ features: ['VERSION_1', 'EVENT_IDX'], queues: [QUEUE] },
  },
}

function shown(body: RingBody = BODY, stops: readonly string[] = []): ShownQueue {
  const { shown: queue } = ringsModel(body, new Set(stops))
  if (queue === undefined) throw new Error('there is no queue')
  return queue
}

function picture(ring: Partial<Ring> = {}, queue: Partial<Queue> = {}): Picture {
  const body = { ...BODY, ring: { ...RING, ...ring } }
  const made = shown(
    BODY.device === undefined ? body : { ...body, device: { ...BODY.device, queues: [{ ...QUEUE, ...queue }] } },
  ).picture
  if (made === undefined) throw new Error('there is no picture')
  return made
}

describe('a queue', () => {
  test('is told with its format, its features by name, and what is suppressed', () => {
    expect(shown()).toMatchObject({
      ...{ device: 'virtio-blk0', queue: 0, title: 'requestq: split, 4 entries' },
      features: ['VERSION_1', 'EVENT_IDX'],
      // The index is a hand of the picture.
      fields: [{ name: 'used.flags', value: '1', meaning: 'no kicks wanted' }],
      areas: [{ name: 'descriptor table', memory: 'phys:0x1000' }],
    })
  })

  test('of a split ring has its two rings as circles, and each slot in words', () => {
    const { circles, lines } = picture()
    expect(circles.map(({ text }) => text)).toEqual([
      'available ring: 1 in the device, 1 available, 2 free',
      'used ring: 1 used, 3 free',
    ])
    expect(circles[0].segments.map(({ text }) => text)).toEqual([
      'slot 0: in the device, chain 3',
      'slot 1: available, chain 0',
      'slot 2: free',
      'slot 3: free',
    ])
    expect(lines).toEqual(['1 pending', '1 in the device', '1 used'])
  })

  test('has hands for its indexes, with the round in which they are', () => {
    expect(picture().hands).toMatchObject([
      { sign: 'a', value: '4,466', slot: '2', turn: 'round 1,117 of 16,384', place: { circle: 0, segment: 2 } },
      { sign: 'b', side: 'device', place: { circle: 1, segment: 0, within: 0.5 } },
    ])
    const zoomed = picture({
      window: { first: 2, count: 1 },
      maps: RING.maps.map(map => ({ ...map, segments: [slot(2, 'free')] })),
    })
    expect(zoomed.zoomed).toBe(true)
    expect(zoomed.hands.map(({ place }) => place?.segment)).toEqual([0, undefined])
  })

  test('of a packed ring has one circle, wrap counters, and ids', () => {
    const made = picture(
      {
        maps: [{ ...RING.maps[2], ring: 'descriptor ring' }],
        markers: [{ name: 'next_avail', ring: 'descriptor ring', side: 'device', slot: 1, wrap: 0, meaning: '' }],
        descriptors: [
          { index: 0, state: 'available', address: '0x2000', length: 16, flagNames: ['NEXT', 'USED'], id: 7 },
        ],
      },
      { format: 'packed' },
    )
    expect(made.circles).toHaveLength(1)
    expect(made.hands[0]).toMatchObject({ value: '1', slot: '1', turn: 'wrap counter 0' })
    expect(made.descriptors[0]).toMatchObject({ flags: 'NEXT USED', link: '7' })
    expect(made.lines[2]).toBe('1 used')
  })

  test('of many entries is told in segments with exact numbers', () => {
    const states = { free: 324, available: 188, taken: 0, used: 0 }
    const segments = [{ first: 512, count: 512, states }]
    const { circles, descriptors } = picture({
      window: { first: 0, count: 32_768 },
      maps: [{ ring: 'available ring', states, segments }],
      descriptors: [],
    })
    expect(circles[0].segments[0]).toMatchObject({ text: 'slots 512 to 1,023: 188 available, 324 free' })
    expect(circles[0].segments[0]).not.toHaveProperty('state')
    expect(descriptors).toEqual([])
  })

  test('that is broken names the descriptor, marks it and the entry of its chain', () => {
    const ring = { ...RING, faults: [{ chain: 0, descriptor: 1, problem: 'descriptor 1: 4 bytes are not all RAM' }] }
    const device = BODY.device && { ...BODY.device, broken: 'queue 0: descriptor 1' }
    const { faults, picture: made } = shown({ ...BODY, ring, ...(device && { device }) })
    expect(faults).toEqual([
      { text: 'the device needs a reset: queue 0: descriptor 1' },
      { text: 'chain 0: descriptor 1: 4 bytes are not all RAM', descriptor: 1 },
    ])
    expect(made?.descriptors.map(({ faulty }) => faulty)).toEqual([false, true])
    expect(made?.circles[0].segments.map(({ faulty }) => faulty)).toEqual([false, true, false, false])
  })

  test('shows the chain of the slot that is chosen, and what its buffers say', () => {
    const { selected, circles } = picture({
      selected: {
        ...{ ring: 'available ring', slot: 1, state: 'available', chain: 0 },
        content: {
          ...{ head: 0, id: 0, summary: 'read, sector 2, 512 bytes', omitted: 3 },
          fields: [
            { name: 'sector', value: '2' },
            { name: 'priority', value: '0' },
          ],
          descriptors: [
            {
              ...{ index: 0, address: '0x2000', length: 16, flags: 1, flagNames: ['NEXT'], direction: 'read', next: 1 },
              parts: [
                { name: 'header', offset: 0, length: 16, fields: [{ name: 'sector', value: '2' }] },
                { name: 'status', offset: 16, length: 1, fields: [{ name: 'status', value: '0 (OK)' }] },
              ],
            },
            {
              ...{ index: 2, table: 1, address: '0x3000', length: 512, flags: 2, flagNames: ['WRITE'], parts: [] },
              ...{ direction: 'write', problem: 'not all RAM' },
            },
          ],
        },
      },
    })
    expect(selected).toMatchObject({
      ...{ title: 'available ring, slot 1: available, chain 0', summary: 'read, sector 2, 512 bytes', omitted: 3 },
      fields: [{ name: 'priority', value: '0' }],
      descriptors: [
        {
          name: '0',
          memory: 'phys:0x2000',
          link: '→ 1',
          content: ['the device reads', 'header: sector 2', 'status: 0 (OK)'],
        },
        { name: '1[2]', flags: 'WRITE', content: ['the device writes'], problem: 'not all RAM' },
      ],
    })
    expect(circles[0].segments.map(each => each.selected)).toEqual([false, true, false, false])
  })

  test('of what a packed ring has overwritten, the history tells', () => {
    const { selected } = picture({
      selected: { ring: 'descriptor ring', slot: 2, state: 'used', chain: 2, written: 1 },
    })
    expect(selected).toMatchObject({
      ...{ title: 'descriptor ring, slot 2: used, chain 2, 1 bytes written', summary: 'flush' },
      descriptors: [{ name: 'buffer 0', memory: 'phys:0x2000' }],
    })
  })

  test('has a history, newest first, with what each step took', () => {
    const { history } = shown()
    expect(history.rows.map(({ summary, total }) => [summary, total])).toEqual([
      ['flush', 0],
      ['read, sector 2, 512 bytes', 8200],
    ])
    expect(history.longest).toBe(8200)
    expect(history.rows[1].phases.map(({ step, after, text }) => [step, after, text])).toEqual([
      ['kicked', 0, 'at 1,000'],
      ['taken', 200, '+200, 200 ns'],
      ['used', 8000, '+8,000, 1.5 ms'],
    ])
    expect(history.text).toContain('it is noted on demand')
    expect(shown({ ...BODY, traced: true }).history.text).not.toContain('on demand')
  })

  test('knows which stops are set for it, and not those of others', () => {
    expect(shown(BODY, ['kick virtio-blk0 0', 'used virtio-blk0 1', 'used']).stops).toEqual({ kick: true, used: false })
  })

  test('without a ring has no picture; a machine without virtio has nothing', () => {
    const { ring: _ring, ...rest } = BODY
    expect(shown(rest)).not.toHaveProperty('picture')
    expect(ringsModel({ instructions: 0, choices: [], traced: false }, new Set())).toEqual({ choices: [] })
  })
})

describe('the picture', () => {
  test('gives each state its share of a segment, in the order of the ring', () => {
    const pieces = piecesOf({ free: 1, available: 2, taken: 1, used: 0 }, 0, 4, BANDS[0])
    expect(pieces.map(({ state }) => state)).toEqual(['taken', 'available', 'free'])
    for (const { path } of pieces) expect(path).toMatch(/^M[-\d. ]+A[-\d. ]+L[-\d. ]+A[-\d. ]+Z$/)
  })

  test('of a ring of one slot is a whole circle', () => {
    const [{ path }] = piecesOf({ ...NONE, available: 1 }, 0, 1, BANDS[0])
    expect(path).toContain('A104 104 0 1 1')
  })

  test('stacks hands that point to neighbours, over the top too, and has room for them', () => {
    const hands = handPlaces([359, 0, 90, 3], 0)
    expect(hands.map(({ level }) => level)).toEqual([0, 1, 0, 2])
    expect(extentOf(hands)).toBeGreaterThan(Math.hypot(hands[3].x, hands[3].y))
    const [inside] = handPlaces([0], 1)
    expect(Math.hypot(inside.x, inside.y)).toBeLessThan(BANDS[1].inner)
  })
})

describe('messages of the page', () => {
  const queue = { device: 'virtio-blk0', queue: 0 }

  test.each([
    [{ type: 'ready' }],
    [{ type: 'look', wish: {} }],
    [
      {
        type: 'look',
        wish: { ...queue, window: { first: 512, count: 512 }, selected: { ring: 'used ring', slot: 3 } },
      },
    ],
    [{ type: 'openMemory', memory: 'phys:0x1000' }],
    [{ type: 'stop', step: 'kick', ...queue }],
    [{ type: 'trace', on: false, ...queue }],
  ])('%j is one', message => {
    expect(parsePageMessage({ ...message, more: 1 })).toEqual(message)
  })

  test.each([
    [undefined],
    [null],
    ['ready'],
    [{ type: 'exit' }],
    [{ type: 'look' }],
    [{ type: 'look', wish: { device: 7 } }],
    [{ type: 'look', wish: { device: 'x y' } }],
    [{ type: 'look', wish: { queue: -1 } }],
    [{ type: 'look', wish: { window: { first: 0, count: 0 } } }],
    [{ type: 'look', wish: { window: { first: 32_768, count: 1 } } }],
    [{ type: 'look', wish: { selected: { ring: 'ring', slot: 1 } } }],
    [{ type: 'look', wish: { selected: null } }],
    [{ type: 'openMemory', memory: 'phys:4096' }],
    [{ type: 'openMemory', memory: 'phys:0x1000 ' }],
    [{ type: 'stop', step: 'reset', ...queue }],
    [{ type: 'stop', step: 'kick', device: 'virtio-blk0 if $rip', queue: 0 }],
    [{ type: 'stop', step: 'kick', device: 'virtio-blk0' }],
    [{ type: 'trace', on: 'yes', ...queue }],
  ])('%j is none', message => {
    expect(parsePageMessage(message)).toBeUndefined()
  })

  test('to the page are told from what else comes to a window', () => {
    const model = ringsModel(BODY, new Set())
    for (const message of [{ type: 'stopped' }, { type: 'failed', message: 'x' }, { type: 'ring', model }])
      expect(isHostMessage(message)).toBe(true)
    for (const message of [null, 'x', {}, { type: 'failed' }, { type: 'ring' }, { type: 'ring', model: {} }])
      expect(isHostMessage(message)).toBe(false)
  })

  test('a state of another version is not restored', () => {
    expect(parseWish({ device: 'virtio-net0', queue: 1 })).toEqual({ device: 'virtio-net0', queue: 1 })
    for (const state of [undefined, 7, { device: '' }, { window: 3 }]) expect(parseWish(state)).toBeUndefined()
  })
})
