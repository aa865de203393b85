/** Which keys type a character, on a keyboard whose guest takes it for a US one. */

import type { KeyStroke } from './key-codes.ts'

/** Characters of a key without and with Shift. */
const KEYS: Readonly<Record<string, string>> = {
  ...{ Backquote: '`~', Digit1: '1!', Digit2: '2@', Digit3: '3#', Digit4: '4$', Digit5: '5%', Digit6: '6^' },
  ...{ Digit7: '7&', Digit8: '8*', Digit9: '9(', Digit0: '0)', Minus: '-_', Equal: '=+', BracketLeft: '[{' },
  ...{ BracketRight: ']}', Backslash: '\\|', Semicolon: ';:', Quote: '\'"', Comma: ',<', Period: '.>', Slash: '/?' },
  ...Object.fromEntries(
    [...'abcdefghijklmnopqrstuvwxyz'].map(key => [`Key${key.toUpperCase()}`, key + key.toUpperCase()]),
  ),
}

const PLAIN = new Map<string, string>([
  ...Object.entries(KEYS).map(([code, characters]): [string, string] => [characters[0], code]),
  [' ', 'Space'],
  ['\n', 'Enter'],
  ['\r', 'Enter'],
  ['\t', 'Tab'],
  ['\b', 'Backspace'],
  ['\x1b', 'Escape'],
])
const SHIFTED = new Map(Object.entries(KEYS).map(([code, characters]) => [characters[1], code]))

/** Keys down and up that type a character; undefined for what such a keyboard has no key for. */
export function strokesFor(character: string): KeyStroke[] | undefined {
  const press = (code: string): KeyStroke[] => [
    { code, down: true },
    { code, down: false },
  ]
  const plain = PLAIN.get(character)
  if (plain !== undefined) return press(plain)
  const shifted = SHIFTED.get(character)
  if (shifted === undefined) return undefined
  return [{ code: 'ShiftLeft', down: true }, ...press(shifted), { code: 'ShiftLeft', down: false }]
}
