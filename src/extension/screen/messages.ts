/** Messages between the screen's page and the extension: neither side believes the other unseen. */

import type { ScreenBody } from '../../protocol/screen-requests.ts'
import { isMachineMessage, type MachineMessage } from '../pages/machine-messages.ts'

export interface Stroke {
  /** `KeyboardEvent.code` */
  readonly code: string
  readonly down: boolean
}

/** From the page. */
export type PageMessage =
  /** It has been loaded, and can show something. */
  | { readonly type: 'ready' }
  /** @param since version of the screen that it shows */
  | { readonly type: 'look'; readonly since?: string }
  | { readonly type: 'keys'; readonly keys: readonly Stroke[] }
  | { readonly type: 'text'; readonly text: string }

/** A screen as it is drawn: what the adapter says when it is not the one that the page has. */
export type Screen = Exclude<ScreenBody, { readonly kind: 'unchanged' }>

/** To the page. */
export type HostMessage =
  | MachineMessage
  | { readonly type: 'screen'; readonly screen: Screen }
  | { readonly type: 'unchanged' }
  /** Keys were taken; what there is to say about it. */
  | { readonly type: 'typed'; readonly note: string }

/** Characters that are typed at once, and keys of one message: what the adapter takes. */
export const LONGEST_TEXT = 1000
const MOST_KEYS = 256
/** Names of keys are letters and digits; which of them a keyboard has, the adapter knows. */
const CODE = /^[A-Za-z0-9]{1,24}$/
const VERSION = /^[0-9a-f]{1,64}$/
const COLOR = /^#[0-9a-f]{6}$/
const MOST_COLUMNS = 256
const MOST_ROWS = 128

/** undefined for what is no message of the page's. */
export function parsePageMessage(value: unknown): PageMessage | undefined {
  const { type, since, keys, text } = fieldsOf(value)
  switch (type) {
    case 'ready':
      return { type }
    case 'look':
      if (since === undefined) return { type }
      return typeof since === 'string' && VERSION.test(since) ? { type, since } : undefined
    case 'keys': {
      if (!Array.isArray(keys) || keys.length === 0 || keys.length > MOST_KEYS) return undefined
      const strokes = keys.map(parseStroke).filter(stroke => stroke !== undefined)
      return strokes.length === keys.length ? { type, keys: strokes } : undefined
    }
    case 'text':
      return typeof text === 'string' && text !== '' && text.length <= LONGEST_TEXT ? { type, text } : undefined
    default:
      return undefined
  }
}

function parseStroke(value: unknown): Stroke | undefined {
  const { code, down } = fieldsOf(value)
  return typeof code === 'string' && CODE.test(code) && typeof down === 'boolean' ? { code, down } : undefined
}

/** Is it a message of the extension's? What else comes to a page is not for it. */
export function isHostMessage(value: unknown): value is HostMessage {
  if (isMachineMessage(value)) return true
  const { type, screen, note } = fieldsOf(value)
  switch (type) {
    case 'unchanged':
      return true
    case 'screen':
      return isScreen(screen)
    case 'typed':
      return typeof note === 'string'
    default:
      return false
  }
}

/** Is it a screen that can be drawn? Rows, attributes and colours fit each other. */
export function isScreen(value: unknown): value is Screen {
  const { kind, version, columns, rows, attributes, blinks, palette, height, cursor, off } = fieldsOf(value)
  if (typeof version !== 'string' || !VERSION.test(version)) return false
  if (kind === 'graphics') return true
  return (
    kind === 'text' &&
    isCount(columns, MOST_COLUMNS) &&
    isTexts(rows, columns) &&
    isTexts(attributes, 2 * columns) &&
    rows.length <= MOST_ROWS &&
    rows.length === attributes.length &&
    attributes.every(text => /^[0-9a-f]*$/.test(text)) &&
    Array.isArray(palette) &&
    palette.length === 16 &&
    palette.every(color => typeof color === 'string' && COLOR.test(color)) &&
    isCount(height, 32) &&
    typeof blinks === 'boolean' &&
    typeof off === 'boolean' &&
    (cursor === undefined || isCursor(cursor))
  )
}

/** What the page keeps over reloads; undefined when it is not that. */
export function parseState(value: unknown): { readonly fit: boolean } | undefined {
  const { fit } = fieldsOf(value)
  return typeof fit === 'boolean' ? { fit } : undefined
}

const isCount = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= most

const isTexts = (value: unknown, length: number): value is string[] =>
  Array.isArray(value) && value.every(item => typeof item === 'string' && item.length === length)

function isCursor(value: unknown): boolean {
  const { row, column, first, last } = fieldsOf(value)
  return [row, column, first, last].every(part => typeof part === 'number' && part >= 0 && part <= MOST_COLUMNS)
}

function fieldsOf(value: unknown): { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}
