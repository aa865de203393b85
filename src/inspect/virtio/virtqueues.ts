/**
 * Virtio devices with their queues: what the driver has posted, read from guest memory by {@link readSplitRing} and
 * {@link readPackedRing}, what the device has at the moment, and what it has completed, step by step.
 */

import { statusNames } from '../../devices/virtio/device-status.ts'
import { featureNames } from '../../devices/virtio/features.ts'
import type { ChainBuffer, ChainContent, ChainDescription } from '../../devices/virtio/virtio-device.ts'
import type { HistoryEntry } from '../../devices/virtio/virtqueue/history.ts'
import type { MachineView, VirtioView, VirtqueueView } from '../machine-view.ts'
import { type ChainOwner, withParts } from './buffer-parts.ts'
import type { DescriptorModel } from './descriptor-model.ts'
import { readPackedRing } from './packed-ring.ts'
import { MemoryChain } from './ring-memory.ts'
import type { ChainWindow, ReadChain, RingField } from './ring-model.ts'
import { readSplitChain, readSplitRing } from './split-ring.ts'

export interface VirtioDeviceModel {
  readonly name: string
  /** `PCI 00:03.0`. */
  readonly place: string
  readonly transport: string
  /** `ACKNOWLEDGE DRIVER ...`. */
  readonly status: string
  /** In effect, by name. */
  readonly features: readonly string[]
  /** Why it needs a reset. */
  readonly broken?: string
  readonly queues: readonly VirtqueueModel[]
}

export interface VirtqueueModel {
  readonly index: number
  readonly name: string
  readonly enabled: boolean
  readonly size: number
  readonly maximumSize: number
  /** Guest-physical addresses, by the names that the format gives them. */
  readonly areas: readonly { readonly name: string; readonly address: bigint }[]
  readonly format?: 'split' | 'packed'
  /** Indexes and flags in the ring. */
  readonly fields: readonly RingField[]
  /** Chains that were posted and not taken. */
  readonly pending: number
  /** Those of them that were asked for, in order. */
  readonly chains: readonly ChainModel[]
  /** Chains that the device has. */
  readonly taken: readonly ChainModel[]
  /** The last entries of a split ring's used ring. */
  readonly used: readonly { readonly index: number; readonly id: number; readonly length: number }[]
  readonly problems: readonly string[]
  /** Oldest first. */
  readonly history: readonly CompletedChainModel[]
  /** Completed since the queue was made, as far as is remembered. */
  readonly remembered: number
}

export interface ChainModel {
  /** Index of the first descriptor; of a taken chain of a packed ring it is not known. */
  readonly head?: number
  readonly id: number
  /** Entry of the available ring. */
  readonly entry?: number
  /** `read, sector 2048, 4096 bytes`. */
  readonly summary: string
  readonly fields: ChainDescription['fields']
  readonly descriptors: readonly DescriptorModel[]
  readonly omitted: number
  readonly problem?: string
}

export interface ChainStep {
  readonly step: 'posted' | 'kicked' | 'taken' | 'used' | 'interrupt'
  /** Instructions that the machine had retired. */
  readonly instructions: number
  /** Since the step before: instructions, and virtual nanoseconds where both are known. */
  readonly after?: number
  readonly nanoseconds?: number
}

export interface CompletedChainModel {
  /** Counts the chains of the queue. */
  readonly number: number
  readonly id: number
  readonly summary: string
  readonly fields: ChainDescription['fields']
  readonly buffers: readonly {
    readonly address: bigint
    readonly length: number
    readonly direction: 'read' | 'write'
  }[]
  /** Buffers that were not remembered. */
  readonly omitted: number
  /** Bytes that the device said it wrote. */
  readonly written: number
  readonly steps: readonly ChainStep[]
}

/** When the driver posted a chain, for a queue that is traced. */
export type PostedAt = (device: string, queue: number, chain: { id: number; taken: number }) => number | undefined

export interface VirtqueueLook {
  readonly device?: string
  readonly queue?: number
  /** Pending chains of each queue. */
  readonly chains: ChainWindow
  /** Completed chains of each queue: the last. */
  readonly history: number
  readonly postedAt?: PostedAt
}

export function virtqueues(machine: MachineView, look: VirtqueueLook): VirtioDeviceModel[] {
  return machine.virtio
    .filter(({ core }) => look.device === undefined || core.device.name === look.device)
    .map(device => {
      const { place, transport, core } = device
      const queues = core.queues.filter(({ index }) => look.queue === undefined || index === look.queue)
      return {
        ...{ name: core.device.name, place, transport, status: statusNames(core.status) },
        features: featureNames(core.features, core.device.featureNames),
        ...(core.brokenReason === undefined ? {} : { broken: core.brokenReason }),
        queues: queues.map(queue => queueModel(machine, device, queue, look)),
      }
    })
}

function queueModel(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  { chains, history, postedAt }: VirtqueueLook,
): VirtqueueModel {
  const { index, name, enabled, size, maximumSize, completed } = queue
  const packed = queue.format?.packed ?? false
  const ring = enabled ? (packed ? readPackedRing : readSplitRing)(machine, queue, chains) : undefined
  return {
    ...{ index, name, enabled, size, maximumSize, areas: areasOf(queue, packed) },
    ...(ring === undefined ? {} : { format: ring.format }),
    fields: ring?.fields ?? [],
    pending: ring?.pending ?? 0,
    chains: (ring?.chains ?? []).map(chain => chainModel(machine, device, queue, chain)),
    taken: queue.taken
      .slice(chains.start, chains.start + chains.count)
      .map(chain => takenModel(machine, device, queue, chain.id, chain.buffers)),
    used: ring?.used ?? [],
    problems: ring?.problems ?? [],
    history: (history === 0 ? [] : completed.slice(-history)).map(entry =>
      completedModel(device, queue, entry, postedAt?.(device.core.device.name, index, entryOf(entry))),
    ),
    remembered: completed.length,
  }
}

const entryOf = ({ id, times }: HistoryEntry) => ({ id, taken: times.taken })

function areasOf(queue: VirtqueueView, packed: boolean): VirtqueueModel['areas'] {
  const names = packed
    ? ['descriptor ring', 'driver event suppression', 'device event suppression']
    : ['descriptor table', 'available ring', 'used ring']
  return (['descriptors', 'driver', 'device'] as const).map((area, i) => ({
    ...{ name: names[i], address: BigInt(queue.address(area)) },
  }))
}

export function chainModel(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  chain: ReadChain,
): ChainModel {
  const { buffers, descriptors, culprit: _culprit, ...rest } = chain
  const content = new MemoryChain(machine, buffers)
  const description = describe(device, queue.index, content)
  return { ...rest, ...description, descriptors: withParts(descriptors, ownerOf(device, queue), description) }
}

/** Of a split ring what its descriptors say now; of a packed one, where they are overwritten, the device's copy. */
export function takenModel(
  machine: MachineView,
  device: VirtioView,
  queue: VirtqueueView,
  id: number,
  buffers: readonly ChainBuffer[],
): ChainModel {
  const now = queue.format?.packed ? undefined : readSplitChain(machine, queue, id)
  const copied = buffers.slice(0, MOST_COPIED).map(({ gpa, length, writable }, index) => ({
    ...{ index, address: BigInt(gpa), length, flags: 0, flagNames: [] },
    direction: writable ? ('write' as const) : ('read' as const),
  }))
  const chain = now ?? { head: id, id, descriptors: copied, omitted: buffers.length - copied.length, buffers }
  const { head, ...model } = chainModel(machine, device, queue, chain)
  const changed = now !== undefined && !sameBuffers(now.buffers, buffers)
  return {
    ...model,
    ...(now === undefined ? {} : { head }),
    ...(changed ? { problem: `${now.problem ?? 'its descriptors'}: changed since the device took the chain` } : {}),
  }
}

/** Buffers of the device's copy that are shown. */
const MOST_COPIED = 256

const sameBuffers = (a: readonly ChainBuffer[], b: readonly ChainBuffer[]): boolean =>
  a.length === b.length &&
  a.every(({ gpa, length, writable }, i) => gpa === b[i].gpa && length === b[i].length && writable === b[i].writable)

function completedModel(
  device: VirtioView,
  queue: VirtqueueView,
  entry: HistoryEntry,
  posted: number | undefined,
): CompletedChainModel {
  const { number, id, buffers, bufferCount, written } = entry
  return {
    ...{ number, id, written, ...describe(device, queue.index, entry) },
    buffers: buffers.map(({ gpa, length, writable }) => ({
      ...{ address: BigInt(gpa), length, direction: writable ? ('write' as const) : ('read' as const) },
    })),
    omitted: bufferCount - buffers.length,
    steps: stepsOf(entry, posted),
  }
}

function stepsOf({ times, clock }: HistoryEntry, posted: number | undefined): ChainStep[] {
  const moments = [
    { step: 'posted', instructions: posted, time: undefined },
    { step: 'kicked', instructions: times.kicked, time: clock.kicked },
    { step: 'taken', instructions: times.taken, time: clock.taken },
    { step: 'used', instructions: times.used, time: clock.used },
    { step: 'interrupt', instructions: times.interrupted, time: clock.interrupted },
  ] as const
  // A chain that was posted after the last kick was found without one of its own.
  const known = moments
    .flatMap(({ instructions, ...rest }) => (instructions === undefined ? [] : [{ ...rest, instructions }]))
    .sort((a, b) => a.instructions - b.instructions)
  return known.map(({ step, instructions, time }, i) => {
    const before = i === 0 ? undefined : known[i - 1]
    const nanoseconds = before?.time === undefined || time === undefined ? undefined : time - before.time
    return {
      ...{ step, instructions },
      ...(before === undefined ? {} : { after: instructions - before.instructions }),
      ...(nanoseconds === undefined ? {} : { nanoseconds }),
    }
  })
}

function describe({ core }: VirtioView, queue: number, chain: ChainContent): ChainDescription {
  return core.device.describe(queue, chain)
}

const ownerOf = ({ core }: VirtioView, { name }: VirtqueueView): ChainOwner => ({
  ...{ type: core.device.type, features: core.features, name },
})
