/** Custom requests about the guest's display and keyboard; both also while the guest runs. */

import type { ScreenModel } from '../inspect/screen.ts'
import { ArgumentError, Fields } from './fields.ts'

/** What is on the guest's display. */
export const SCREEN = 'ringside/screen'
/** Keys for the guest's keyboard. */
export const KEYBOARD_INPUT = 'ringside/keyboardInput'

export interface ScreenArguments {
  /** Version of the screen that the client has: if it is still the same, nothing more is said. */
  readonly since?: string
}

/** `version` is the same for the same screen, also of another guest or session. */
export type ScreenBody = (ScreenModel | { readonly kind: 'unchanged' }) & { readonly version: string }

/** A key by the name that `KeyboardEvent.code` of browsers has for its place, such as `KeyA` or `ArrowUp`. */
export interface KeyArgument {
  readonly code: string
  /** `press` is `down` and `up`; `down` of a key that is held repeats it. Default `press`. */
  readonly action: 'down' | 'up' | 'press'
}

/** One of the two is there. */
export interface KeyboardInputArguments {
  /** At most {@link MOST_KEYS}. */
  readonly keys?: readonly KeyArgument[]
  /** Typed as on a US keyboard; at most {@link LONGEST_TYPED} characters. */
  readonly text?: string
}

export interface KeyboardInputBody {
  /** Keys going down or up that the guest has not been given yet: it stands still, or does not read them. */
  readonly waiting: number
  /** Those of this request that were not taken, because too many wait: all of them or none. */
  readonly dropped: number
  /** Why they were dropped, or why the guest does not hear keys now; absent when it does. */
  readonly problem?: string
}

export const MOST_KEYS = 256
export const LONGEST_TYPED = 1000
const ACTIONS = ['down', 'up', 'press'] as const

export function parseScreenArguments(value: unknown): ScreenArguments {
  const since = new Fields(SCREEN, value ?? {}).optionalString('since')
  return since === undefined ? {} : { since }
}

export function parseKeyboardInputArguments(value: unknown): KeyboardInputArguments {
  const fields = new Fields(KEYBOARD_INPUT, value)
  const text = fields.optionalString('text')
  if ((text === undefined) === (fields.raw('keys') === undefined))
    throw new ArgumentError(`${KEYBOARD_INPUT}: either "keys" or "text" is wanted`)
  if (text !== undefined) {
    if (text.length > LONGEST_TYPED) throw new ArgumentError(`at most ${LONGEST_TYPED} characters are typed at once`)
    return { text }
  }
  const keys = fields.list('keys')
  if (keys.length > MOST_KEYS) throw new ArgumentError(`at most ${MOST_KEYS} keys at once`)
  return { keys: keys.map(key => ({ code: key.string('code'), action: key.oneOf('action', ACTIONS, 'press') })) }
}
