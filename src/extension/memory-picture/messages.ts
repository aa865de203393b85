/** Messages between the memory picture's page and the extension: neither side believes the other unseen. */

import type { MappingsBody } from '../../protocol/custom-requests.ts'
import type { AreaBody } from '../../protocol/memory-requests.ts'
import { isMachineMessage, isMemoryReference, type MachineMessage } from '../pages/machine-messages.ts'
import type { DifferencesBody } from './difference-text.ts'

/** What the page shows, and against what: kept over reloads. */
export interface Wish {
  /** CR3 or an expression of one; empty: the current address space of the vCPU that stopped. */
  readonly space: string
  /** {@link Choice.value} of a base; empty: nothing. */
  readonly base: string
  /** Portions of ranges, at least 1. */
  readonly portions: number
}

/** From the page. */
export type PageMessage =
  /** It has been loaded, and can show something. */
  | { readonly type: 'ready' }
  | ({ readonly type: 'show' } & Wish)
  /** Keeps the map that is shown, to be compared with later ones. */
  | { readonly type: 'remember' }
  /** Evaluates an expression: which range is it in? */
  | { readonly type: 'find'; readonly expression: string }
  | { readonly type: 'openMemory' | 'openCode' | 'translate'; readonly reference: string }

/** Something to choose from a list. */
export interface Choice {
  readonly value: string
  readonly label: string
}

export interface PictureBody {
  readonly cr3: string
  /** Is it the current address space of the vCPU that stopped? Its addresses need no CR3 then. */
  readonly current: boolean
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly guest: MappingsBody
  /** Absent without EPT. */
  readonly ept?: MappingsBody
  readonly areas: readonly AreaBody[]
  readonly spaces: readonly Choice[]
  readonly bases: readonly Choice[]
  /** Absent when nothing was to be compared with. */
  readonly differences?: DifferencesBody
}

/** To the page. */
export type HostMessage =
  | MachineMessage
  | { readonly type: 'picture'; readonly picture: PictureBody }
  /** `base` is to be compared with from now on. */
  | { readonly type: 'remembered'; readonly base: string }
  | { readonly type: 'found'; readonly expression: string; readonly address: string }

export const MOST_PORTIONS = 16
const LONGEST = 1000

/** undefined for what is no message of the page's. */
export function parsePageMessage(value: unknown): PageMessage | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined
  switch (value.type) {
    case 'ready':
    case 'remember':
      return { type: value.type }
    case 'show': {
      const wish = parseWish(value)
      return wish === undefined ? undefined : { type: 'show', ...wish }
    }
    case 'find': {
      const expression = 'expression' in value ? value.expression : undefined
      return isShort(expression) ? { type: 'find', expression } : undefined
    }
    case 'openMemory':
    case 'openCode':
    case 'translate': {
      const reference = 'reference' in value ? value.reference : undefined
      return isMemoryReference(reference) ? { type: value.type, reference } : undefined
    }
    default:
      return undefined
  }
}

function parseWish(value: object): Wish | undefined {
  const { space, base, portions }: { space?: unknown; base?: unknown; portions?: unknown } = value
  if (!isShort(space) || !isShort(base)) return undefined
  if (typeof portions !== 'number' || !Number.isInteger(portions) || portions < 1 || portions > MOST_PORTIONS)
    return undefined
  return { space, base, portions }
}

/** Is it a message of the extension's? What else comes to a page is not for it. */
export function isHostMessage(value: unknown): value is HostMessage {
  if (isMachineMessage(value)) return true
  if (typeof value !== 'object' || value === null || !('type' in value)) return false
  switch (value.type) {
    case 'remembered':
      return 'base' in value && typeof value.base === 'string'
    case 'found':
      return (
        'expression' in value &&
        typeof value.expression === 'string' &&
        'address' in value &&
        typeof value.address === 'string'
      )
    case 'picture':
      return 'picture' in value && isPicture(value.picture)
    default:
      return false
  }
}

/** What the page keeps over reloads. */
export interface PageState extends Wish {
  readonly filter: string
}

/** undefined when it is not that. */
export function parseState(value: unknown): PageState | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const wish = parseWish(value)
  const filter = 'filter' in value ? value.filter : undefined
  return wish !== undefined && isShort(filter) ? { ...wish, filter } : undefined
}

const isShort = (value: unknown): value is string => typeof value === 'string' && value.length <= LONGEST

const isPicture = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'guest' in value &&
  hasRanges(value.guest) &&
  'areas' in value &&
  Array.isArray(value.areas) &&
  'spaces' in value &&
  Array.isArray(value.spaces) &&
  'bases' in value &&
  Array.isArray(value.bases)

const hasRanges = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'ranges' in value && Array.isArray(value.ranges)
