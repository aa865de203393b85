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
    const strokes = [...keys.flatMap(strokesOf), ...[...text].flatMap(strokesOfCharacter)]
    const taken = type(keyboard, strokes)
    const problem = keyboard.deafness ?? (taken ? undefined : UNREAD)
    return {
      waiting: keyboard.waiting,
      dropped: taken ? 0 : strokes.length,
      ...(problem === undefined ? {} : { problem }),
    }
  },
}

const UNREAD = 'the guest stands still, or does not read its keyboard, and too many keys wait already'

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

function type(keyboard: TargetKeyboard, strokes: readonly KeyStroke[]): boolean {
  try {
    return keyboard.type(strokes)
  } catch (error) {
    if (error instanceof RangeError) throw new RequestError(error.message)
    throw error
  }
}

const strokesOf = ({ code, action }: KeyArgument): KeyStroke[] =>
  (action === 'press' ? [true, false] : [action === 'down']).map(down => ({ code, down }))

function strokesOfCharacter(character: string): KeyStroke[] {
  const strokes = strokesFor(character)
  if (strokes === undefined) throw new RequestError(`a US keyboard has no key for ${JSON.stringify(character)}`)
  return strokes
}
