/** One virtqueue as it is drawn and told: made of the answer to `ringside/ring`. */

import type { RingBody, RingChoice } from '../../protocol/ring-request.ts'
import { grouped } from '../views/view-node.ts'
import type { StopStep } from './messages.ts'
import { type Counts, countsText, STATE_WORDS, type State } from './slot-words.ts'

type Device = NonNullable<RingBody['device']>
type Queue = Device['queues'][number]
type Ring = NonNullable<RingBody['ring']>
type Chain = NonNullable<NonNullable<Ring['selected']>['content']>
type Completed = Queue['history'][number]
export type RingName = Ring['maps'][number]['ring']

export interface RingsModel {
  readonly choices: readonly RingChoice[]
  /** Absent where the machine has no virtio device. */
  readonly shown?: ShownQueue
}

export interface ShownQueue {
  readonly device: string
  readonly queue: number
  /** `requestq: split, 8 entries` */
  readonly title: string
  /** `PCI 00:03.0, pci, ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK` */
  readonly subtitle: string
  readonly features: readonly string[]
  /** Why the device needs a reset, and what is wrong with the ring. */
  readonly faults: readonly Fault[]
  readonly picture?: Picture
  /** What the ring says besides its indexes: which notifications are wanted. */
  readonly fields: readonly Field[]
  readonly areas: readonly { readonly name: string; readonly memory: string }[]
  readonly history: History
  readonly stops: Readonly<Record<StopStep, boolean>>
  readonly traced: boolean
}

export interface Fault {
  readonly text: string
  readonly descriptor?: number
}

export interface Field {
  readonly name: string
  readonly value: string
  readonly meaning: string
}

export interface Picture {
  readonly packed: boolean
  readonly size: number
  readonly window: { readonly first: number; readonly count: number }
  /** The window is a part of the ring. */
  readonly zoomed: boolean
  /** From the outside inwards. */
  readonly circles: readonly Circle[]
  readonly hands: readonly HandModel[]
  /** In the middle. */
  readonly lines: readonly string[]
  readonly descriptors: readonly DescriptorRow[]
  readonly selected?: Selected
}

export interface Circle {
  readonly ring: RingName
  readonly text: string
  readonly segments: readonly Segment[]
}

export interface Segment {
  readonly first: number
  readonly count: number
  readonly states: Counts
  /** Of a single slot. */
  readonly state?: State
  /** `slot 3: in the device, chain 0` */
  readonly text: string
  readonly faulty: boolean
  readonly selected: boolean
}

export interface HandModel {
  /** `a` */
  readonly sign: string
  readonly name: string
  /** Index of its circle, and of the segment in the window; absent where the window has not its slot. */
  readonly place?: { readonly circle: number; readonly segment: number; readonly within: number }
  readonly side: 'driver' | 'device'
  /** As memory has it, running on beyond the ring's end; of a packed ring the slot. */
  readonly value: string
  readonly slot: string
  /** `round 2 of 8,192`, `wrap counter 1` */
  readonly turn: string
  readonly meaning: string
}

export interface DescriptorRow {
  readonly index: number
  readonly state: State
  readonly chain: string
  readonly address: string
  readonly length: string
  readonly flags: string
  /** Of a split ring where the chain goes on, of a packed one the buffer id. */
  readonly link: string
  readonly faulty: boolean
  readonly selected: boolean
}

export interface Selected {
  /** `used ring, slot 3: used, chain 0, 513 bytes written` */
  readonly title: string
  readonly summary?: string
  readonly problem?: string
  readonly descriptors: readonly ChainDescriptor[]
  /** Descriptors that are not shown. */
  readonly omitted: number
  /** What the device's chain says besides, by name. */
  readonly fields: readonly { readonly name: string; readonly value: string }[]
}

export interface ChainDescriptor {
  readonly name: string
  readonly memory: string
  readonly length: string
  readonly flags: string
  readonly link: string
  /** `the device reads`, and the parts of the buffer with what they say. */
  readonly content: readonly string[]
  readonly problem?: string
}

export interface History {
  readonly text: string
  /** Newest first. */
  readonly rows: readonly HistoryRow[]
  /** Instructions of the slowest. */
  readonly longest: number
}

export interface HistoryRow {
  readonly number: number
  readonly chain: string
  readonly summary: string
  readonly written: string
  /** Of its first step. */
  readonly began: string
  readonly total: number
  /** In order: from the step before to this one. */
  readonly phases: readonly Phase[]
}

export interface Phase {
  readonly step: Completed['steps'][number]['step']
  /** Retired by the machine when it happened. */
  readonly instructions: string
  /** Since the step before; 0 for the first. */
  readonly after: number
  /** `+1,000, 1.0 µs` */
  readonly text: string
}

/** @param stops conditions of the stops that are set, such as `kick virtio-blk0 0` */
export function ringsModel(body: RingBody, stops: ReadonlySet<string>): RingsModel {
  const { choices, device, ring, traced } = body
  const [queue] = device?.queues ?? []
  if (device === undefined || queue === undefined) return { choices }
  const faults = faultsOf(device, queue, ring)
  return {
    choices,
    shown: {
      device: device.name,
      queue: queue.index,
      title: titleOf(queue),
      subtitle: [device.place, device.transport, device.status].filter(text => text !== '').join(', '),
      features: device.features,
      faults,
      ...(ring === undefined ? {} : { picture: pictureOf(queue, ring, faults) }),
      fields: queue.fields
        .filter(({ name }) => !ring?.markers.some(marker => marker.name === name))
        .map(({ name, value, meaning }) => ({ name, value: grouped(value), meaning })),
      areas: queue.enabled ? queue.areas.map(({ name, address }) => ({ name, memory: `phys:${address}` })) : [],
      history: historyOf(queue, traced),
      stops: {
        kick: stops.has(stopCondition('kick', device.name, queue.index)),
        used: stops.has(stopCondition('used', device.name, queue.index)),
      },
      traced,
    },
  }
}

/** For the adapter's filter `virtqueue`. */
export const stopCondition = (step: StopStep, device: string, queue: number): string => `${step} ${device} ${queue}`

function titleOf({ name, enabled, format, size }: Queue): string {
  if (!enabled) return `${name}: not enabled`
  return `${name}: ${format ?? 'split'}, ${grouped(size)} ${size === 1 ? 'entry' : 'entries'}`
}

function faultsOf(device: Device, queue: Queue, ring: Ring | undefined): Fault[] {
  const told = ring?.faults ?? queue.problems.map(problem => ({ problem }))
  return [
    ...(device.broken === undefined ? [] : [{ text: `the device needs a reset: ${device.broken}` }]),
    ...told.map(fault => ({
      text: 'chain' in fault && fault.chain !== undefined ? `chain ${fault.chain}: ${fault.problem}` : fault.problem,
      ...('descriptor' in fault && fault.descriptor !== undefined ? { descriptor: fault.descriptor } : {}),
    })),
  ]
}

/** Arrays that are drawn as circles; the descriptor table of a split ring is none. */
const CIRCLES: readonly RingName[] = ['available ring', 'used ring', 'descriptor ring']

function pictureOf(queue: Queue, ring: Ring, faults: readonly Fault[]): Picture {
  const { window, maps, selected } = ring
  const faulty = new Set(faults.flatMap(({ descriptor }) => (descriptor === undefined ? [] : [descriptor])))
  const broken = new Set(ring.faults.flatMap(({ chain }) => (chain === undefined ? [] : [chain])))
  const packed = queue.format === 'packed'
  const drawn = maps.filter(map => CIRCLES.includes(map.ring))
  const circles = drawn.map(map => ({
    ring: map.ring,
    text: `${map.ring}: ${countsText(map.states)}`,
    segments: map.segments.map(segment => ({
      ...{ first: segment.first, count: segment.count, states: segment.states },
      ...(segment.count === 1 ? { state: stateOf(segment.states) } : {}),
      text: segmentText(segment),
      faulty: packed
        ? segment.count === 1 && faulty.has(segment.first)
        : segment.chain !== undefined && broken.has(segment.chain),
      selected: selected?.ring === map.ring && segment.count === 1 && selected.slot === segment.first,
    })),
  }))
  return {
    ...{ packed, size: queue.size, window, zoomed: window.count < queue.size, circles },
    hands: handsOf(queue, ring, circles),
    lines: [
      `${grouped(queue.pending)} pending`,
      `${grouped(ring.taken)} in the device`,
      `${grouped(maps.find(({ ring: name }) => name !== 'available ring')?.states.used ?? 0)} used`,
    ],
    descriptors: ring.descriptors.map(descriptor => ({
      ...{ index: descriptor.index, state: descriptor.state },
      chain: descriptor.chain === undefined ? '' : String(descriptor.chain),
      address: descriptor.address,
      length: grouped(descriptor.length),
      flags: descriptor.flagNames.join(' '),
      link: String((packed ? descriptor.id : descriptor.next) ?? ''),
      faulty: faulty.has(descriptor.index),
      selected:
        (selected?.ring === 'descriptor table' || selected?.ring === 'descriptor ring') &&
        selected.slot === descriptor.index,
    })),
    ...(selected === undefined ? {} : { selected: selectedOf(selected, queue) }),
  }
}

const stateOf = (counts: Counts): State =>
  counts.taken > 0 ? 'taken' : counts.available > 0 ? 'available' : counts.used > 0 ? 'used' : 'free'

function segmentText({ first, count, states, chain }: Ring['maps'][number]['segments'][number]): string {
  if (count > 1) return `slots ${grouped(first)} to ${grouped(first + count - 1)}: ${countsText(states)}`
  const whose = chain === undefined ? '' : `, chain ${chain}`
  return `slot ${grouped(first)}: ${STATE_WORDS[stateOf(states)].name}${whose}`
}

function handsOf({ size }: Queue, { markers }: Ring, circles: readonly Circle[]): HandModel[] {
  return markers.map(({ name, ring, side, slot, value, wrap, meaning }, index) => {
    const circle = circles.findIndex(each => each.ring === ring)
    const segments = circles[circle]?.segments ?? []
    const segment = segments.findIndex(({ first, count }) => slot >= first && slot < first + count)
    const within = segment < 0 ? 0 : (slot - segments[segment].first + 0.5) / segments[segment].count
    return {
      ...{ sign: String.fromCharCode(97 + index), name, side, meaning },
      ...(segment < 0 ? {} : { place: { circle, segment, within } }),
      ...{ value: grouped(value ?? slot), slot: grouped(slot) },
      turn:
        value === undefined
          ? `wrap counter ${wrap}`
          : `round ${grouped(Math.floor(value / size) + 1)} of ${grouped(65_536 / size)}`,
    }
  })
}

function selectedOf(
  { ring, slot, state, chain, written, content }: NonNullable<Ring['selected']>,
  queue: Queue,
): Selected {
  const title = [
    `${ring}, slot ${grouped(slot)}: ${STATE_WORDS[state].name}`,
    ...(chain === undefined ? [] : [`chain ${chain}`]),
    ...(written === undefined ? [] : [`${grouped(written)} bytes written`]),
  ].join(', ')
  if (content !== undefined) return { title, ...chainOf(content) }
  // What the device has used of a packed ring is overwritten; what it was, the history knows.
  const last = state === 'used' ? queue.history.findLast(({ id }) => id === chain) : undefined
  if (last === undefined) return { title, descriptors: [], omitted: 0, fields: [] }
  return {
    title,
    summary: last.summary,
    fields: last.fields,
    omitted: last.omitted,
    descriptors: last.buffers.map(({ address, length, direction }, index) => ({
      ...{ name: `buffer ${index}`, memory: `phys:${address}`, length: grouped(length), flags: '', link: '' },
      content: [direction === 'read' ? 'the device read it' : 'the device could write it'],
    })),
  }
}

function chainOf({ summary, problem, descriptors, omitted, fields }: Chain): Omit<Selected, 'title'> {
  const told = new Set(descriptors.flatMap(({ parts }) => parts.flatMap(part => part.fields.map(({ name }) => name))))
  return {
    ...{ summary, omitted, fields: fields.filter(({ name }) => !told.has(name)) },
    ...(problem === undefined ? {} : { problem }),
    descriptors: descriptors.map(
      ({ index, table, address, length, direction, flagNames, next, id, parts, ...rest }) => ({
        name: table === undefined ? `${index}` : `${table}[${index}]`,
        memory: `phys:${address}`,
        length: grouped(length),
        flags: flagNames.join(' '),
        link: next !== undefined ? `→ ${next}` : id !== undefined ? `id ${id}` : '',
        content: [
          { read: 'the device reads', write: 'the device writes', table: 'more descriptors' }[direction],
          ...parts.map(partText),
        ],
        ...(rest.problem === undefined ? {} : { problem: rest.problem }),
      }),
    ),
  }
}

type Part = Chain['descriptors'][number]['parts'][number]

/** `header: type 0 (read), sector 2`; a field that is called as its part is needs no name. */
function partText({ name: part, fields }: Part): string {
  const told = fields.map(({ name, value }) => (name === part ? value : `${name} ${value}`))
  return told.length === 0 ? part : `${part}: ${told.join(', ')}`
}

function historyOf({ history, remembered }: Queue, traced: boolean): History {
  const rows = history.toReversed().map(rowOf)
  return {
    text: [
      remembered === 0
        ? 'No chain was completed yet.'
        : `The last ${grouped(history.length)} of ${grouped(remembered)} remembered.`,
      ...(traced ? [] : ['When chains are posted is told by no device: it is noted on demand.']),
    ].join(' '),
    rows,
    longest: Math.max(0, ...rows.map(({ total }) => total)),
  }
}

function rowOf({ number, id, summary, written, steps }: Completed): HistoryRow {
  const [first] = steps
  const last = steps.at(-1)
  return {
    ...{ number, chain: String(id), summary, written: grouped(written) },
    began: first === undefined ? '' : grouped(first.instructions),
    total: first === undefined || last === undefined ? 0 : last.instructions - first.instructions,
    phases: steps.map(({ step, instructions, after, nanoseconds }) => ({
      ...{ step, instructions: grouped(instructions), after: after ?? 0 },
      text: [
        ...(after === undefined ? [`at ${grouped(instructions)}`] : [`+${grouped(after)}`]),
        ...(nanoseconds === undefined ? [] : [timeText(nanoseconds)]),
      ].join(', '),
    })),
  }
}

/** Virtual time. */
function timeText(nanoseconds: number): string {
  if (nanoseconds < 1000) return `${nanoseconds} ns`
  return nanoseconds < 1_000_000
    ? `${(nanoseconds / 1000).toFixed(1)} µs`
    : `${(nanoseconds / 1_000_000).toFixed(1)} ms`
}
