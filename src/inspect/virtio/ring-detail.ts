/**
 * One ring as a picture needs it: bounded whatever the ring's size. Up to 64 slots are told singly, more as segments
 * with the numbers of their slots by state; what a slot refers to is followed only for the one that is asked for.
 */

import { DESCRIPTOR_SIZE } from '../../devices/virtio/virtqueue/descriptor.ts'
import type { MachineView, VirtioView, VirtqueueView } from '../machine-view.ts'
import { packedDescriptor, splitDescriptor } from './descriptor-model.ts'
import { readPackedChain, readPackedRing } from './packed-ring.ts'
import { viewOf } from './ring-memory.ts'
import { type RingMarker, ringSlots, SLOT_STATES, type SlotMap, type SlotRing, type SlotState } from './slot-states.ts'
import { readSplitChain, readSplitRing } from './split-ring.ts'
import { type ChainModel, chainModel, takenModel } from './virtqueues.ts'

/** Segments of a ring at most. */
export const MOST_SEGMENTS = 64
/** Pending chains that are checked down to their buffers, for faults. */
const CHECKED_CHAINS = 64

export type StateCounts = Readonly<Record<SlotState, number>>

export interface SlotSegment {
  readonly first: number
  readonly count: number
  readonly states: StateCounts
  /** Of a single slot: head, or buffer id, of its chain. */
  readonly chain?: number
}

export interface SlotMapModel {
  readonly ring: SlotRing
  /** Of the whole ring. */
  readonly states: StateCounts
  /** Of the window. */
  readonly segments: readonly SlotSegment[]
}

/** A descriptor as it lies in the table, whoever has it. */
export interface SlotDescriptor {
  readonly index: number
  readonly state: SlotState
  readonly chain?: number
  /** Guest-physical. */
  readonly address: bigint
  /** Bytes. */
  readonly length: number
  readonly flagNames: readonly string[]
  readonly next?: number
  readonly id?: number
}

export interface RingFaultModel {
  /** Head of the chain. */
  readonly chain?: number
  readonly descriptor?: number
  readonly problem: string
}

/** The slot that was asked for. */
export interface SlotModel {
  readonly ring: SlotRing
  readonly slot: number
  readonly state: SlotState
  /** Head, or buffer id. */
  readonly chain?: number
  /** Of a used ring's entry, and of a descriptor that a device has used: bytes that it says it wrote. */
  readonly written?: number
  /** Its descriptors, where memory or the device has them. */
  readonly content?: ChainModel
}

export interface RingDetailModel {
  /** Slots that are shown. */
  readonly window: SlotWindow
  readonly maps: readonly SlotMapModel[]
  readonly markers: readonly RingMarker[]
  /** Chains that the device has. */
  readonly taken: number
  /** Of the window, when it has at most {@link MOST_SEGMENTS} slots. */
  readonly descriptors: readonly SlotDescriptor[]
  /** Of the first pending chains, and of the ring itself. */
  readonly faults: readonly RingFaultModel[]
  readonly selected?: SlotModel
}

export interface SlotWindow {
  readonly first: number
  readonly count: number
}

export interface RingLookAt {
  /** The whole ring if absent; what lies beyond its end is cut off. */
  readonly window?: SlotWindow
  readonly selected?: { readonly ring: SlotRing; readonly slot: number }
}

/** Undefined while there is no ring in memory to look at. */
export function ringDetail(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  { window: wanted, selected }: RingLookAt,
): RingDetailModel | undefined {
  const slots = ringSlots(machine, queue)
  if (slots === undefined) return undefined
  const { maps, markers } = slots
  const window = within(queue.size, wanted)
  const descriptors = maps.find(({ ring }) => ring === 'descriptor table' || ring === 'descriptor ring')
  const slot = selected && slotModel(machine, device, queue, maps, selected)
  return {
    window,
    maps: maps.map(map => ({
      ring: map.ring,
      states: countsOf(map, 0, queue.size),
      segments: segmentsOf(map, window),
    })),
    markers,
    taken: queue.taken.length,
    descriptors:
      descriptors === undefined || window.count > MOST_SEGMENTS ? [] : tableOf(machine, queue, descriptors, window),
    faults: faultsOf(machine, queue),
    ...(slot === undefined ? {} : { selected: slot }),
  }
}

function within(size: number, wanted: SlotWindow | undefined): SlotWindow {
  const first = Math.min(wanted?.first ?? 0, size - 1)
  return { first, count: Math.min(Math.max(wanted?.count ?? size, 1), size - first) }
}

function segmentsOf(map: SlotMap, { first, count }: SlotWindow): SlotSegment[] {
  const each = Math.ceil(count / MOST_SEGMENTS)
  return Array.from({ length: Math.ceil(count / each) }, (_, i) => {
    const start = first + i * each
    const length = Math.min(each, first + count - start)
    const segment = { first: start, count: length, states: countsOf(map, start, length) }
    return length === 1 ? { ...segment, ...chainAt(map, start) } : segment
  })
}

function countsOf({ states }: SlotMap, first: number, count: number): StateCounts {
  const numbers = SLOT_STATES.map(() => 0)
  for (let slot = first; slot < first + count; slot++) numbers[states[slot]]++
  const [free, available, taken, used] = numbers
  return { free, available, taken, used }
}

const chainAt = ({ chains }: SlotMap, slot: number): { chain?: number } =>
  chains[slot] < 0 ? {} : { chain: chains[slot] }

const stateAt = ({ states }: SlotMap, slot: number): SlotState => SLOT_STATES[states[slot]]

function tableOf(machine: MachineView, queue: VirtqueueView, map: SlotMap, { first, count }: SlotWindow) {
  const table = viewOf(machine, queue.address('descriptors') + DESCRIPTOR_SIZE * first, DESCRIPTOR_SIZE * count)
  if (table === undefined) return []
  return Array.from({ length: count }, (_, i): SlotDescriptor => {
    const found = queue.format?.packed ? packedDescriptor(table, i) : splitDescriptor(table, i)
    const { address, length, flagNames, next, id } = found
    return {
      ...{ index: first + i, state: stateAt(map, first + i), ...chainAt(map, first + i), address, length, flagNames },
      ...(next === undefined ? {} : { next }),
      ...(id === undefined ? {} : { id }),
    }
  })
}

function faultsOf(machine: MachineView, queue: VirtqueueView): RingFaultModel[] {
  const read = queue.format?.packed ? readPackedRing : readSplitRing
  const { chains, problems } = read(machine, queue, { start: 0, count: CHECKED_CHAINS })
  return [
    ...problems.map(problem => ({ problem })),
    ...chains.flatMap(({ head, problem, culprit }) =>
      problem === undefined
        ? []
        : [{ chain: head, problem, ...(culprit === undefined ? {} : { descriptor: culprit }) }],
    ),
  ]
}

function slotModel(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  maps: readonly SlotMap[],
  { ring, slot }: NonNullable<RingLookAt['selected']>,
): SlotModel | undefined {
  const map = maps.find(each => each.ring === ring)
  if (map === undefined || slot >= map.states.length) return undefined
  const state = stateAt(map, slot)
  const { chain } = chainAt(map, slot)
  const written = writtenAt(machine, queue, ring, slot, state)
  const content = chain === undefined ? undefined : contentOf(machine, device, queue, { state, chain, slot, map })
  return {
    ...{ ring, slot, state },
    ...(chain === undefined ? {} : { chain }),
    ...(written === undefined ? {} : { written }),
    ...(content === undefined ? {} : { content }),
  }
}

function contentOf(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  { state, chain, slot, map }: { state: SlotState; chain: number; slot: number; map: SlotMap },
): ChainModel | undefined {
  const taken = state === 'taken' ? queue.taken.find(({ id }) => id === chain) : undefined
  if (taken !== undefined) return takenModel(machine, device, queue, taken.id, taken.buffers)
  if (!queue.format?.packed) {
    const now = readSplitChain(machine, queue, chain)
    return now && chainModel(machine, device, queue, now)
  }
  // Of a packed ring, what the device has used is overwritten.
  if (state !== 'available') return undefined
  const now = readPackedChain(machine, queue, firstOf(map, slot))
  return now && chainModel(machine, device, queue, now)
}

/** The slot at which the chain of an available one begins: ids tell neighbours apart. */
function firstOf({ states, chains }: SlotMap, slot: number): number {
  const size = states.length
  let first = slot
  for (let i = 1; i < size; i++) {
    const before = (slot - i + size) % size
    if (states[before] !== states[slot] || chains[before] !== chains[slot]) break
    first = before
  }
  return first
}

const USED_AT = 4
const USED_ENTRY = 8

function writtenAt(
  machine: MachineView,
  queue: VirtqueueView,
  ring: SlotRing,
  slot: number,
  state: SlotState,
): number | undefined {
  if (state !== 'used' || ring === 'descriptor table') return undefined
  const at =
    ring === 'used ring'
      ? queue.address('device') + USED_AT + USED_ENTRY * slot + 4
      : queue.address('descriptors') + DESCRIPTOR_SIZE * slot + 8
  return viewOf(machine, at, 4)?.getUint32(0, true)
}
