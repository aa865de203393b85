/** The guest's display, and the keyboard beside it. */

import type { TargetKeyboard } from '../../debugger/target.ts'
import type { KeyStroke } from '../../devices/i8042/key-codes.ts'
import { strokesFor } from '../../devices/i8042/us-layout.ts'
import { type ScreenModel, screenModel, screenVersion } from '../../inspect/screen.ts'
import {
  KEYBOARD_INPUT,
  type KeyArgument,
  type KeyboardInputBody,
  parseKeyboardInputArguments,
  parseScreenArguments,
  SCREEN,
  type ScreenBody,
} from '../../protocol/screen-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const screenRequests: RequestFamily = {
  [SCREEN](session, args): ScreenBody {
    const { since } = parseScreenArguments(args)
    const screen = screenOf(session)
    const version = screenVersion(screen)
    return version === since ? { kind: 'unchanged', version } : { ...screen, version }
  },

  [KEYBOARD_INPUT](session, args): KeyboardInputBody {
    const { keys = [], text = '' } = parseKeyboardInputArguments(args)
    const keyboard = keyboardOf(session)
    type(keyboard, [...keys.flatMap(strokesOf), ...[...text].flatMap(strokesOfCharacter)])
    const { waiting, deafness } = keyboard
    return { waiting, ...(deafness === undefined ? {} : { problem: deafness }) }
  },
}

/** Throws {@link RequestError}. */
export function screenOf(session: Session): ScreenModel {
  const screen = screenModel(session.debugger.target.machine)
  if (screen === undefined) throw new RequestError('this machine has no display')
  return screen
}

function keyboardOf({ debugger: { target } }: Session): TargetKeyboard {
  if (target.keyboard === undefined) throw new RequestError('this machine has no keyboard')
  if (target.state.kind === 'ended') throw new RequestError('the guest has ended: it takes no keys')
  return target.keyboard
}

function type(keyboard: TargetKeyboard, strokes: readonly KeyStroke[]): void {
  let taken: boolean
  try {
    taken = keyboard.type(strokes)
  } catch (error) {
    if (error instanceof RangeError) throw new RequestError(error.message)
    throw error
  }
  if (taken) return
  const why = keyboard.deafness ?? 'it stands still, or does not read its keyboard'
  throw new RequestError(`the guest has ${keyboard.waiting} keys waiting and gets no more: ${why}`)
}

const strokesOf = ({ code, action }: KeyArgument): KeyStroke[] =>
  (action === 'press' ? [true, false] : [action === 'down']).map(down => ({ code, down }))

function strokesOfCharacter(character: string): KeyStroke[] {
  const strokes = strokesFor(character)
  if (strokes === undefined) throw new RequestError(`a US keyboard has no key for ${JSON.stringify(character)}`)
  return strokes
}
