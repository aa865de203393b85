/** The custom request by which views set stops of their own, beside the breakpoints that the client knows. */

import type { Address } from '../inspect/address.ts'
import { parseAddress } from './address.ts'
import { Fields } from './fields.ts'

/** Replaces the stops of views; those of `setBreakpoints` and its like stay as they are. */
export const SET_VIEW_STOPS = 'ringside/setViewStops'

export const MOST_VIEW_STOPS = 1000
/** Bytes of one stop at a change. */
export const MOST_CHANGE_BYTES = 4096
const LONGEST_TEXT = 500

export type ViewStop =
  /** An exception filter of the adapter with its condition: `exit` with `hlt`, `exception` with `14`. */
  | { readonly kind: 'event'; readonly filterId: string; readonly condition: string }
  /** After an instruction of the guest, or the hypervisor for it, has written another value there. */
  | {
      readonly kind: 'change'
      /** `memoryReference` of DAP. */
      readonly memory: string
      /** Bytes. */
      readonly length: number
      /** What it is, for the reason of the stop: `PT[3] at phys:0x1018`. */
      readonly name: string
    }
  /** Before the instruction at a linear address. */
  | { readonly kind: 'code'; readonly address: string; readonly name: string }

export interface SetViewStopsArguments {
  readonly stops: readonly ViewStop[]
}

/** One for each stop that was wanted, in this order. */
export interface SetViewStopsBody {
  readonly stops: readonly {
    /** As `hitBreakpointIds` of a `stopped` event has it. */
    readonly id: number
    readonly verified: boolean
    /** Why not. */
    readonly message?: string
  }[]
}

export type ParsedViewStop =
  | Extract<ViewStop, { readonly kind: 'event' }>
  | { readonly kind: 'change'; readonly address: Address; readonly length: number; readonly name: string }
  | { readonly kind: 'code'; readonly address: Address; readonly name: string }

/** Throws `ArgumentError`. */
export function parseSetViewStopsArguments(value: unknown): readonly ParsedViewStop[] {
  const fields = new Fields(SET_VIEW_STOPS, value)
  const items = fields.list('stops')
  if (items.length > MOST_VIEW_STOPS) throw fields.wrong('stops', `a list of at most ${MOST_VIEW_STOPS}`)
  return items.map(parseStop)
}

function parseStop(item: Fields): ParsedViewStop {
  const kind = item.oneOf('kind', ['event', 'change', 'code'], 'event')
  if (kind === 'event') return { kind, filterId: text(item, 'filterId'), condition: text(item, 'condition') }
  if (kind === 'code') return { kind, address: parseAddress(item.string('address')), name: text(item, 'name') }
  return {
    kind,
    address: parseAddress(item.string('memory')),
    length: item.integer('length', { least: 1, most: MOST_CHANGE_BYTES }),
    name: text(item, 'name'),
  }
}

function text(item: Fields, name: string): string {
  const value = item.string(name)
  if (value.length > LONGEST_TEXT) throw item.wrong(name, `at most ${LONGEST_TEXT} characters`)
  return value
}
