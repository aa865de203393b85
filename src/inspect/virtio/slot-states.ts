/**
 * What each slot of a ring is good for at the moment, of rings of any size: read from guest memory and from the
 * device's own places, without following chains further than their links.
 */

import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
} from '../../devices/virtio/virtqueue/descriptor.ts'
import type { MachineView, VirtqueueView } from '../machine-view.ts'
import { viewOf } from './ring-memory.ts'

/**
 * `available`: posted, and not yet taken. `taken`: the device has it. `used`: returned by the device, and nothing in
 * memory says that the driver has seen it: it has neither posted it again, nor asked for the next interrupt behind it
 * (EVENT_IDX). `free`: everything else.
 */
export const SLOT_STATES = ['free', 'available', 'taken', 'used'] as const
export type SlotState = (typeof SLOT_STATES)[number]
const [FREE, AVAILABLE, TAKEN, USED] = [0, 1, 2, 3]

export type SlotRing = 'available ring' | 'used ring' | 'descriptor table' | 'descriptor ring'

/** One of the arrays that a queue is made of. */
export interface SlotMap {
  readonly ring: SlotRing
  /** Indexes into {@link SLOT_STATES}. */
  readonly states: Uint8Array
  /** Of each slot the chain: its head, or the buffer id of a packed ring; -1 where none is known. */
  readonly chains: Int32Array
}

/** A place in a ring that driver or device has told. */
export interface RingMarker {
  readonly name: string
  readonly ring: SlotRing
  readonly side: 'driver' | 'device'
  readonly slot: number
  /** Free-running, of split rings. */
  readonly value?: number
  /** Of packed rings. */
  readonly wrap?: 0 | 1
  readonly meaning: string
}

export interface RingSlots {
  readonly maps: readonly SlotMap[]
  readonly markers: readonly RingMarker[]
}

/** Undefined while the queue is not enabled, and where its areas are not all RAM. */
export function ringSlots(machine: MachineView, queue: VirtqueueView): RingSlots | undefined {
  return queue.format?.packed ? packedSlots(machine, queue) : splitSlots(machine, queue)
}

const INDEX_AT = 2
const ENTRIES_AT = 4
const AVAILABLE_ENTRY = 2
const USED_ENTRY = 8

function splitSlots(machine: MachineView, queue: VirtqueueView): RingSlots | undefined {
  const { size, ring, format } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  const available = viewOf(machine, queue.address('driver'), ENTRIES_AT + AVAILABLE_ENTRY * size + 2)
  const used = viewOf(machine, queue.address('device'), ENTRIES_AT + USED_ENTRY * size + 2)
  if (table === undefined || available === undefined || used === undefined || ring === undefined) return undefined
  const [posted, returned] = [available, used].map(view => view.getUint16(INDEX_AT, true))
  const lastTaken = ring.place.available
  const maps = {
    available: emptyMap('available ring', size),
    used: emptyMap('used ring', size),
    descriptors: emptyMap('descriptor table', size),
  }
  const own = (head: number, state: number): void => ownChain(maps.descriptors, table, head, state)

  // An index that jumped further than the ring is long would go round several times.
  const pending = Math.min((posted - lastTaken) & 0xffff, size)
  for (let i = 0; i < pending; i++) {
    const entry = (lastTaken + i) & (size - 1)
    const head = headAt(available, entry)
    set(maps.available, entry, AVAILABLE, head)
    own(head, AVAILABLE)
  }
  const inDevice = new Set(queue.taken.map(({ id }) => id))
  for (const head of inDevice) own(head, TAKEN)
  // The entries through which the device got what it has: the latest of each, as far as they are not overwritten.
  const found = new Set<number>()
  for (let i = 1; i <= size - pending && found.size < inDevice.size; i++) {
    const entry = (lastTaken - i) & (size - 1)
    const head = headAt(available, entry)
    if (!inDevice.has(head) || found.has(head)) continue
    found.add(head)
    set(maps.available, entry, TAKEN, head)
  }

  const event = available.getUint16(ENTRIES_AT + AVAILABLE_ENTRY * size, true)
  const unseen = (returned - event) & 0xffff
  const told = (format?.eventIndex ?? false) && unseen <= size
  for (let i = 1; i <= (told ? unseen : size); i++) {
    const entry = (returned - i) & (size - 1)
    const at = ENTRIES_AT + USED_ENTRY * entry
    const id = used.getUint32(at, true)
    // In its first round, the ring has entries that were never written.
    if (i > returned && id === 0 && used.getUint32(at + 4, true) === 0) break
    if (id >= size || maps.descriptors.states[id] !== FREE) continue
    set(maps.used, entry, USED, id)
    own(id, USED)
  }

  return {
    maps: [maps.available, maps.used, maps.descriptors],
    markers: [
      {
        ...splitMarker('avail.idx', 'available ring', posted, size),
        side: 'driver',
        meaning: 'the driver posts here next',
      },
      {
        ...splitMarker('last_avail', 'available ring', lastTaken, size),
        ...{ side: 'device', meaning: 'the device takes from here next' },
      },
      {
        ...splitMarker('used.idx', 'used ring', returned, size),
        side: 'device',
        meaning: 'the device returns here next',
      },
      ...(format?.eventIndex ? eventMarkers(event, used.getUint16(ENTRIES_AT + USED_ENTRY * size, true), size) : []),
    ],
  }
}

const eventMarkers = (usedEvent: number, availableEvent: number, size: number): RingMarker[] => [
  {
    ...splitMarker('used_event', 'used ring', usedEvent, size),
    ...{ side: 'driver', meaning: 'the driver wants an interrupt when this entry is used' },
  },
  {
    ...splitMarker('avail_event', 'available ring', availableEvent, size),
    ...{ side: 'device', meaning: 'the device wants a kick when this entry is posted' },
  },
]

const splitMarker = (name: string, ring: SlotRing, value: number, size: number) => ({
  ...{ name, ring, value, slot: value & (size - 1) },
})

const headAt = (available: DataView, entry: number): number =>
  available.getUint16(ENTRIES_AT + AVAILABLE_ENTRY * entry, true)

/** The descriptors of a chain that nobody has yet, up to the first link that leads nowhere. */
function ownChain(map: SlotMap, table: DataView, head: number, state: number): void {
  const { states, chains } = map
  for (let at = head; at < states.length && states[at] === FREE; ) {
    states[at] = state
    chains[at] = head
    if ((table.getUint16(DESCRIPTOR_SIZE * at + 12, true) & VIRTQ_DESC_F_NEXT) === 0) return
    at = table.getUint16(DESCRIPTOR_SIZE * at + 14, true)
  }
}

const EVENT_SIZE = 4
const EVENT_WRAP = 1 << 15
const RING_EVENT_FLAGS_DESC = 2

/** Virtio 1.2, 2.8: who has a slot is said by its flags, and by the places of the device, which uses them in order. */
function packedSlots(machine: MachineView, queue: VirtqueueView): RingSlots | undefined {
  const { size, ring } = queue
  const table = viewOf(machine, queue.address('descriptors'), DESCRIPTOR_SIZE * size)
  const driver = viewOf(machine, queue.address('driver'), EVENT_SIZE)
  const device = viewOf(machine, queue.address('device'), EVENT_SIZE)
  if (table === undefined || driver === undefined || device === undefined || ring === undefined) return undefined
  const map = emptyMap('descriptor ring', size)
  const { available: next, used: nextUsed } = ring.place
  const flagsAt = (slot: number): number => table.getUint16(DESCRIPTOR_SIZE * slot + 14, true)
  const idAt = (slot: number): number => table.getUint16(DESCRIPTOR_SIZE * slot + 12, true)
  /** Slots of the chain that begins there; the last has its id. */
  const lengthAt = (first: number, most: number): number => {
    for (let i = 1; i < most; i++) if ((flagsAt((first + i - 1) % size) & VIRTQ_DESC_F_NEXT) === 0) return i
    return most
  }
  const mark = (first: number, count: number, state: number): void => {
    const id = idAt((first + count - 1) % size)
    for (let i = 0; i < count; i++) set(map, (first + i) % size, state, id)
  }

  // What the device has lies between its two places, however its chains end.
  const inDevice = Math.min((next - nextUsed + 2 * size) % (2 * size), size)
  for (let i = 0; i < inDevice; ) {
    const count = lengthAt(nextUsed + i, inDevice - i)
    mark(nextUsed + i, count, TAKEN)
    i += count
  }
  let posted = 0
  for (let place = next; posted < size - inDevice; place = (next + posted) % (2 * size)) {
    if (!isTurn(flagsAt(place % size), place < size, place >= size)) break
    const count = lengthAt(place, size - inDevice - posted)
    mark(place, count, AVAILABLE)
    posted += count
  }
  // Backwards from where the device writes next: its flags are those of the round in which it was there.
  const eventFlags = driver.getUint16(2, true) & 3
  const event = placeOf(driver.getUint16(0, true), size)
  const unseen = (nextUsed - event + 2 * size) % (2 * size)
  const told = eventFlags === RING_EVENT_FLAGS_DESC && unseen <= size
  const rest = Math.min(size - inDevice - posted, told ? unseen : size)
  for (let i = 1; i <= rest; i++) {
    const place = (nextUsed - i + 2 * size) % (2 * size)
    const slot = place % size
    const wrap = place < size
    // Of a chain of several slots only the first is written; one that was never used is all zeros.
    if (isTurn(flagsAt(slot), wrap, wrap) && table.getBigUint64(DESCRIPTOR_SIZE * slot, true) !== 0n)
      set(map, slot, USED, idAt(slot))
  }
  const end = (next + posted) % (2 * size)
  return {
    maps: [map],
    markers: [
      { ...packedMarker('posted', end, size), side: 'driver', meaning: 'the driver posts here next' },
      { ...packedMarker('next_avail', next, size), side: 'device', meaning: 'the device takes from here next' },
      { ...packedMarker('next_used', nextUsed, size), side: 'device', meaning: 'the device returns here next' },
      ...packedEvent('driver event', 'driver', 'the driver wants an interrupt when this slot is used', driver, size),
      ...packedEvent('device event', 'device', 'the device wants a kick when this slot is posted', device, size),
    ],
  }
}

/** 2.8.1: has a descriptor these two flags? */
const isTurn = (flags: number, available: boolean, used: boolean): boolean =>
  ((flags & VIRTQ_DESC_F_AVAIL) !== 0) === available && ((flags & VIRTQ_DESC_F_USED) !== 0) === used

const placeOf = (event: number, size: number): number =>
  ((event & ~EVENT_WRAP) % size) + (event & EVENT_WRAP ? 0 : size)

/** @param place below the size while the wrap counter is 1. */
const packedMarker = (name: string, place: number, size: number) => ({
  ...{ name, ring: 'descriptor ring' as const, slot: place % size },
  wrap: place < size ? (1 as const) : (0 as const),
})

function packedEvent(
  name: string,
  side: 'driver' | 'device',
  meaning: string,
  view: DataView,
  size: number,
): RingMarker[] {
  if ((view.getUint16(2, true) & 3) !== RING_EVENT_FLAGS_DESC) return []
  return [{ ...packedMarker(name, placeOf(view.getUint16(0, true), size), size), side, meaning }]
}

const emptyMap = (ring: SlotRing, size: number): SlotMap => ({
  ...{ ring, states: new Uint8Array(size), chains: new Int32Array(size).fill(-1) },
})

function set({ states, chains }: SlotMap, slot: number, state: number, chain: number): void {
  states[slot] = state
  chains[slot] = chain
}
