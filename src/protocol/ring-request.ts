/** The custom request for one virtqueue as a picture: its slots by state, its indexes, a chain, and its history. */

import type { RingDetailModel } from '../inspect/virtio/ring-detail.ts'
import type { SlotRing, SlotState } from '../inspect/virtio/slot-states.ts'
import type { VirtioDeviceModel } from '../inspect/virtio/virtqueues.ts'
import { MOST_HISTORY, USUAL_HISTORY } from './device-requests.ts'
import { Fields } from './fields.ts'
import type { OnWire } from './on-wire.ts'

/** One queue, bounded whatever its size: slots in segments, descriptors of a window, one chain in full. */
export const RING = 'ringside/ring'

export const MOST_SLOTS = 32_768
export const SLOT_STATES = ['free', 'available', 'taken', 'used'] as const satisfies readonly SlotState[]
export const SLOT_RINGS = [
  ...(['available ring', 'used ring'] as const),
  ...(['descriptor table', 'descriptor ring'] as const),
] as const satisfies readonly SlotRing[]

export interface RingArguments {
  /** `virtio-blk0`; the first with a queue that is enabled if absent. */
  readonly device?: string
  /** The first that is enabled if absent. */
  readonly queue?: number
  /** Slots to show; the whole ring if absent. */
  readonly window?: { readonly first: number; readonly count: number }
  /** A slot whose chain is wanted. */
  readonly selected?: { readonly ring: SlotRing; readonly slot: number }
  /** Completed chains, the last; default {@link USUAL_HISTORY}, at most {@link MOST_HISTORY}. */
  readonly history: number
}

/** What there is to choose from. */
export interface RingChoice {
  readonly device: string
  readonly broken: boolean
  readonly queues: readonly { readonly index: number; readonly name: string; readonly enabled: boolean }[]
}

export interface RingBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly choices: readonly RingChoice[]
  /** With the one queue, without its chains; absent where the machine has no virtio device. */
  readonly device?: OnWire<VirtioDeviceModel>
  /** Absent while the queue has no ring. */
  readonly ring?: OnWire<RingDetailModel>
  /** Is it noted when chains are posted? */
  readonly traced: boolean
}

/** Throws `ArgumentError`. */
export function parseRingArguments(value: unknown): RingArguments {
  const fields = new Fields(RING, value ?? {})
  const device = fields.optionalString('device')
  const queue = fields.optionalInteger('queue', { least: 0, most: 65_535 })
  const window = part(fields, 'window')
  const selected = part(fields, 'selected')
  return {
    ...(device === undefined ? {} : { device }),
    ...(queue === undefined ? {} : { queue }),
    ...(window === undefined
      ? {}
      : {
          window: {
            first: window.integer('first', { least: 0, most: MOST_SLOTS - 1 }),
            count: window.integer('count', { least: 1, most: MOST_SLOTS }),
          },
        }),
    ...(selected === undefined
      ? {}
      : {
          selected: {
            ring: selected.oneOf('ring', SLOT_RINGS, 'descriptor table'),
            slot: selected.integer('slot', { least: 0, most: MOST_SLOTS - 1 }),
          },
        }),
    history: fields.optionalInteger('history', { least: 0, most: MOST_HISTORY }) ?? USUAL_HISTORY,
  }
}

function part(fields: Fields, name: string): Fields | undefined {
  const value = fields.raw(name)
  return value === undefined ? undefined : new Fields(`${RING}: "${name}"`, value)
}
