/** Messages between the translation's page and the extension: neither side believes the other unseen. */

import { isMachineMessage, isMemoryReference, type MachineMessage } from '../pages/machine-messages.ts'
import type { TranslationModel, Watched } from './translation-model.ts'

export const ACCESSES = ['read', 'write', 'execute'] as const
export type Access = (typeof ACCESSES)[number]

/** From the page. */
export type PageMessage =
  /** It has been loaded, and can show something. */
  | { readonly type: 'ready' }
  | { readonly type: 'translate'; readonly expression: string; readonly access: Access }
  | { readonly type: 'openMemory'; readonly memory: string }
  | { readonly type: 'openCode'; readonly address: string }
  /** To VS Code's own view of expressions that are watched. */
  | { readonly type: 'watch'; readonly memory: string; readonly length: 4 | 8 }
  /** Sets a stop at a change, or removes it. */
  | ({ readonly type: 'toggleStop' } & Watched)

/** To the page. */
export type HostMessage =
  | MachineMessage
  /** Something of which the user wants the translation: the page fills in its field. */
  | { readonly type: 'ask'; readonly expression: string; readonly access: Access }
  | { readonly type: 'translated'; readonly model: TranslationModel }
  /** What did not work leaves the translation as it is. */
  | { readonly type: 'refused'; readonly message: string }
  /** Stops at changes that are set, also for what this page does not show. */
  | { readonly type: 'stops'; readonly stops: readonly PageStop[] }

export interface PageStop extends Watched {
  /** The guest stands still because of it. */
  readonly hit: boolean
  /** What was said when it was hit last. */
  readonly said?: string
}

const LONGEST = 1000
const LONGEST_NAME = 200

/** undefined for what is no message of the page's. */
export function parsePageMessage(value: unknown): PageMessage | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined
  switch (value.type) {
    case 'ready':
      return { type: 'ready' }
    case 'translate': {
      const expression = 'expression' in value ? value.expression : undefined
      const access = ACCESSES.find(known => 'access' in value && known === value.access)
      if (typeof expression !== 'string' || expression.length > LONGEST || access === undefined) return undefined
      return { type: 'translate', expression, access }
    }
    case 'openMemory': {
      const memory = 'memory' in value ? value.memory : undefined
      return isMemoryReference(memory) ? { type: 'openMemory', memory } : undefined
    }
    case 'openCode': {
      const address = 'address' in value ? value.address : undefined
      return isMemoryReference(address) ? { type: 'openCode', address } : undefined
    }
    case 'watch': {
      const watched = parseWatched({ ...value, name: '' })
      return watched && { type: 'watch', memory: watched.memory, length: watched.length }
    }
    case 'toggleStop': {
      const watched = parseWatched(value)
      return watched && { type: 'toggleStop', ...watched }
    }
    default:
      return undefined
  }
}

function parseWatched(value: object): Watched | undefined {
  const memory = 'memory' in value ? value.memory : undefined
  const length = 'length' in value ? value.length : undefined
  const name = 'name' in value ? value.name : undefined
  if (!isMemoryReference(memory) || (length !== 4 && length !== 8)) return undefined
  return typeof name === 'string' && name.length <= LONGEST_NAME ? { memory, length, name } : undefined
}

/** Is it a message of the extension's? What else comes to a page is not for it. */
export function isHostMessage(value: unknown): value is HostMessage {
  if (isMachineMessage(value)) return true
  if (typeof value !== 'object' || value === null || !('type' in value)) return false
  switch (value.type) {
    case 'ask':
      return (
        'expression' in value && typeof value.expression === 'string' && 'access' in value && isAccess(value.access)
      )
    case 'stops':
      return 'stops' in value && Array.isArray(value.stops) && value.stops.every(isPageStop)
    case 'failed':
    case 'refused':
      return 'message' in value && typeof value.message === 'string'
    case 'translated':
      return 'model' in value && isModel(value.model)
    default:
      return false
  }
}

/** What the page keeps over reloads; undefined when it is not that. */
export function parseState(value: unknown): { expression: string; access: Access } | undefined {
  const message = parsePageMessage(
    typeof value === 'object' && value !== null ? { ...value, type: 'translate' } : value,
  )
  return message?.type === 'translate' ? { expression: message.expression, access: message.access } : undefined
}

const isAccess = (value: unknown): value is Access => ACCESSES.some(access => access === value)

const isPageStop = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  parseWatched(value) !== undefined &&
  'hit' in value &&
  typeof value.hit === 'boolean' &&
  (!('said' in value) || typeof value.said === 'string')

const isModel = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'steps' in value &&
  Array.isArray(value.steps) &&
  'end' in value &&
  typeof value.end === 'object' &&
  'text' in value &&
  typeof value.text === 'string'
