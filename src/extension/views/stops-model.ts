/** The view of stops that were set from views, and what a stop of the guest says of them. */

import type { ViewStop } from '../../protocol/view-stops.ts'
import { members } from '../session-messages.ts'
import type { ViewNode } from './view-node.ts'

export interface SetStop {
  readonly stop: ViewStop
  /** As the adapter names it. */
  readonly id: number
  /** The guest stands still because of it. */
  readonly hit?: boolean
  /** What was said when it was hit last. */
  readonly said?: string
}

/** The same for stops that are the same. */
export function stopKey(stop: ViewStop): string {
  switch (stop.kind) {
    case 'event':
      return `event ${stop.filterId} ${stop.condition}`
    case 'change':
      return `change ${stop.memory} ${stop.length}`
    case 'code':
      return `code ${stop.address}`
  }
}

/** undefined for what is none: a command may be called with anything. */
export function asViewStop(value: unknown): ViewStop | undefined {
  const { kind, filterId, condition, memory, length, address, name } = members(value)
  const texts = (...values: unknown[]): boolean => values.every(each => typeof each === 'string')
  if (kind === 'event' && texts(filterId, condition))
    return { kind, filterId: String(filterId), condition: String(condition) }
  if (kind === 'change' && texts(memory, name) && typeof length === 'number')
    return { kind, memory: String(memory), length, name: String(name) }
  if (kind === 'code' && texts(address, name)) return { kind, address: String(address), name: String(name) }
  return undefined
}

export const stopKeys = (stops: readonly SetStop[]): ReadonlySet<string> =>
  new Set(stops.map(({ stop }) => stopKey(stop)))

/** @param body of a `stopped` event */
export function withHits(stops: readonly SetStop[], body: unknown): readonly SetStop[] {
  const { hitBreakpointIds, text } = members(body)
  const ids: readonly unknown[] = Array.isArray(hitBreakpointIds) ? hitBreakpointIds : []
  return stops.map(({ hit: _before, ...stop }) => {
    if (!ids.includes(stop.id)) return stop
    return { ...stop, hit: true, ...(typeof text === 'string' ? { said: text } : {}) }
  })
}

export function stopName(stop: ViewStop): string {
  if (stop.kind !== 'event') return stop.name
  return stop.condition === '' ? stop.filterId : `${stop.filterId}: ${stop.condition}`
}

const KINDS: Readonly<Record<ViewStop['kind'], { icon: string; when: string }>> = {
  event: { icon: 'debug-breakpoint', when: 'at each' },
  change: { icon: 'debug-breakpoint-data', when: 'when it changes' },
  code: { icon: 'debug-breakpoint-function', when: 'before it runs' },
}

export function stopNodes(stops: readonly SetStop[]): readonly ViewNode[] {
  return stops.map(({ stop, hit = false, said }) => {
    const { icon, when } = KINDS[stop.kind]
    return {
      id: stopKey(stop),
      label: stopName(stop),
      description: `${hit ? 'stopped here: ' : ''}${said ?? when}`,
      icon: hit ? 'debug-stackframe' : icon,
      subject: { stop, ...placeOf(stop) },
    }
  })
}

function placeOf(stop: ViewStop): { readonly memory?: string; readonly code?: string } {
  if (stop.kind === 'change') return { memory: stop.memory }
  return stop.kind === 'code' ? { code: stop.address } : {}
}
