/** What a split and a packed ring have in common, as the device's side sees them. */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import type { SavedState } from '../../saved-state.ts'
import type { DescriptorChain } from './chain.ts'
import type { QueueMemory } from './queue-memory.ts'

/** Where the three parts of a ring are (Virtio 1.2, 2.6), and its entries. */
export interface RingAreas {
  readonly size: number
  /** Descriptor table, or descriptor ring. */
  readonly descriptors: number
  /** Available ring, or driver event suppression. */
  readonly driver: number
  /** Used ring, or device event suppression. */
  readonly device: number
}

export interface RingFeatures {
  /** VIRTIO_F_INDIRECT_DESC. */
  readonly indirect: boolean
  /** VIRTIO_F_EVENT_IDX. */
  readonly eventIndex: boolean
}

/** The driver broke the ring; the device needs a reset. The reason names the descriptor. */
export class RingFault {
  readonly reason: string
  /** Index of the offending descriptor, in the ring; undefined if it is not a descriptor's fault. */
  readonly descriptor: number | undefined

  constructor(reason: string, descriptor?: number) {
    this.reason = reason
    this.descriptor = descriptor
  }
}

/**
 * Where the device is in the ring, which memory does not say. Split: free-running indexes of 16 bits. Packed: the slot,
 * plus the size of the ring while the wrap counter is 0.
 */
export interface RingPlace {
  /** What it looks at next. */
  readonly available: number
  /** What it writes next. */
  readonly used: number
}

export interface Ring {
  readonly areas: RingAreas
  /** For the inspector. */
  readonly place: RingPlace
  /** The next available chain, copied and checked; undefined if there is none. */
  take(): DescriptorChain | RingFault | undefined
  /** Makes the chain available again that was taken last. */
  putBack(chain: DescriptorChain): void
  /** @param written bytes. */
  complete(chain: DescriptorChain, written: number): void
  /** Does the driver want an interrupt for what was completed since the last call? */
  takeInterrupt(): boolean
  /** Lets the driver know whether it shall notify of what it makes available from now on (2.7.10, 2.8.10). */
  setNotifications(wanted: boolean): void
  /** Chains that are available, in order, without taking them; at most `limit`. The last may be a fault. */
  peek(limit: number): readonly (DescriptorChain | RingFault)[]
  registers(): readonly RegisterView[]
  save(): Json
  restore(saved: SavedState): void
}

/** The error, in words, of areas that can't be a ring; undefined if they can. */
export type AreaProblem = string | undefined

/** The first of the parts that is not aligned as it must be, or not in RAM. */
export function firstProblem(
  memory: QueueMemory,
  parts: readonly { name: string; at: number; length: number; alignment: number }[],
): AreaProblem {
  for (const { name, at, length, alignment } of parts) {
    if (at % alignment !== 0) return `its ${name} at ${hex(at)}, which is not a multiple of ${alignment}`
    if (!memory.contains(at, length)) return `its ${name} at ${hex(at)}: ${length} bytes are not all RAM`
  }
  return undefined
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`
}
