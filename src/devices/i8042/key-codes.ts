/**
 * Keys by their place, and what a keyboard sends for them (PS/2 Hardware Interface Technical Reference, keyboard, scan
 * codes; USB HID to PS/2 Scan Code Translation Table). Names are those of `KeyboardEvent.code` (W3C UI Events
 * KeyboardEvent code Values, 3.1), which say where a key is and not what stands on it.
 */

import { RELEASE_PREFIX, RELEASED, translateToSet1 } from './scancode-translation.ts'

/** A key that goes down, or up again; down once more while it is held is what a keyboard repeats. */
export interface KeyStroke {
  readonly code: string
  readonly down: boolean
}

/** Announces a key that the first PC's keyboard had not. */
const EXTENDED = 0xe0

/** Code in set 2; 0xe0 in front where it goes before the code on the wire. */
const SET_2: Readonly<Record<string, number>> = {
  ...{ Escape: 0x76, F1: 0x05, F2: 0x06, F3: 0x04, F4: 0x0c, F5: 0x03, F6: 0x0b, F7: 0x83, F8: 0x0a, F9: 0x01 },
  ...{ F10: 0x09, F11: 0x78, F12: 0x07, ScrollLock: 0x7e },
  ...{ Backquote: 0x0e, Digit1: 0x16, Digit2: 0x1e, Digit3: 0x26, Digit4: 0x25, Digit5: 0x2e, Digit6: 0x36 },
  ...{ Digit7: 0x3d, Digit8: 0x3e, Digit9: 0x46, Digit0: 0x45, Minus: 0x4e, Equal: 0x55, Backspace: 0x66 },
  ...{ Tab: 0x0d, KeyQ: 0x15, KeyW: 0x1d, KeyE: 0x24, KeyR: 0x2d, KeyT: 0x2c, KeyY: 0x35, KeyU: 0x3c, KeyI: 0x43 },
  ...{ KeyO: 0x44, KeyP: 0x4d, BracketLeft: 0x54, BracketRight: 0x5b, Backslash: 0x5d, Enter: 0x5a },
  ...{ CapsLock: 0x58, KeyA: 0x1c, KeyS: 0x1b, KeyD: 0x23, KeyF: 0x2b, KeyG: 0x34, KeyH: 0x33, KeyJ: 0x3b },
  ...{ KeyK: 0x42, KeyL: 0x4b, Semicolon: 0x4c, Quote: 0x52 },
  ...{ ShiftLeft: 0x12, IntlBackslash: 0x61, KeyZ: 0x1a, KeyX: 0x22, KeyC: 0x21, KeyV: 0x2a, KeyB: 0x32 },
  ...{ KeyN: 0x31, KeyM: 0x3a, Comma: 0x41, Period: 0x49, Slash: 0x4a, IntlRo: 0x51, IntlYen: 0x6a, ShiftRight: 0x59 },
  ...{ ControlLeft: 0x14, MetaLeft: 0xe01f, AltLeft: 0x11, Space: 0x29, AltRight: 0xe011, MetaRight: 0xe027 },
  ...{ ContextMenu: 0xe02f, ControlRight: 0xe014, Convert: 0x64, NonConvert: 0x67, KanaMode: 0x13 },
  ...{ Insert: 0xe070, Delete: 0xe071, Home: 0xe06c, End: 0xe069, PageUp: 0xe07d, PageDown: 0xe07a },
  ...{ ArrowUp: 0xe075, ArrowLeft: 0xe06b, ArrowDown: 0xe072, ArrowRight: 0xe074 },
  ...{ NumLock: 0x77, NumpadDivide: 0xe04a, NumpadMultiply: 0x7c, NumpadSubtract: 0x7b, NumpadAdd: 0x79 },
  ...{ NumpadEnter: 0xe05a, NumpadDecimal: 0x71, NumpadComma: 0x6d, NumpadEqual: 0x0f, Numpad0: 0x70, Numpad1: 0x69 },
  ...{ Numpad2: 0x72, Numpad3: 0x7a, Numpad4: 0x6b, Numpad5: 0x73, Numpad6: 0x74, Numpad7: 0x6c, Numpad8: 0x75 },
  ...{ Numpad9: 0x7d },
}

/** Keys that send more than a code. Pause sends all when it goes down, and nothing afterwards. */
const SEQUENCES: Readonly<Record<string, { readonly down: readonly number[]; readonly up: readonly number[] }>> = {
  PrintScreen: {
    down: [EXTENDED, 0x12, EXTENDED, 0x7c],
    up: [EXTENDED, RELEASE_PREFIX, 0x7c, EXTENDED, RELEASE_PREFIX, 0x12],
  },
  Pause: { down: [0xe1, 0x14, 0x77, 0xe1, RELEASE_PREFIX, 0x14, RELEASE_PREFIX, 0x77], up: [] },
}

export const KEY_NAMES: readonly string[] = [...Object.keys(SET_2), ...Object.keys(SEQUENCES)]

/** What the keyboard sends for it in scan code set 1 or 2. Throws RangeError for a key that it hasn't. */
export function scancodes({ code, down }: KeyStroke, set: 1 | 2): number[] {
  const bytes = inSet2(code, down)
  return set === 2 ? bytes : inSet1(bytes)
}

function inSet2(name: string, down: boolean): number[] {
  if (Object.hasOwn(SEQUENCES, name)) return [...SEQUENCES[name][down ? 'down' : 'up']]
  if (!Object.hasOwn(SET_2, name)) throw new RangeError(`there is no key "${name}"`)
  const prefix = SET_2[name] > 0xff ? [EXTENDED] : []
  return [...prefix, ...(down ? [] : [RELEASE_PREFIX]), SET_2[name] & 0xff]
}

function inSet1(bytes: readonly number[]): number[] {
  const translated: number[] = []
  let released = 0
  for (const byte of bytes)
    if (byte === RELEASE_PREFIX) released = RELEASED
    else {
      translated.push(translateToSet1(byte) | released)
      released = 0
    }
  return translated
}
