/** Which keys of the browser are for the guest. */

/** Of a `KeyboardEvent`. */
export interface KeyPress {
  readonly code: string
  readonly ctrlKey: boolean
  readonly shiftKey: boolean
  readonly metaKey: boolean
  readonly isComposing: boolean
}

export type KeyUse = 'guest' | 'editor' | 'release'

/** Two Escapes within so many milliseconds give the keyboard back. */
const TWICE_MS = 600

/** Those of a PC's keyboard. What else a keyboard of today has, such as for the volume of sound, stays with the host. */
const OF_A_PC = new RegExp(
  `^(${[
    '(Key[A-Z]|Digit[0-9]|F[1-9]|F1[0-2]|Numpad[0-9]|Arrow(Up|Down|Left|Right)|Page(Up|Down)|Home|End|Insert|Delete)',
    '((Shift|Control|Alt|Meta|Bracket)(Left|Right)|Intl(Backslash|Ro|Yen)|(Non)?Convert|KanaMode|ContextMenu)',
    '(Numpad(Divide|Multiply|Subtract|Add|Enter|Decimal|Comma|Equal)|(Caps|Num|Scroll)Lock|PrintScreen|Pause)',
    '(Escape|Tab|Space|Enter|Backspace|Backquote|Minus|Equal|Backslash|Semicolon|Quote|Comma|Period|Slash)',
  ].join('|')})$`,
)

/** Notes what is held, so that nothing stays pressed in the guest when the keyboard is taken from it. */
export class Keys {
  readonly #held = new Set<string>()
  #escapeAt = Number.NEGATIVE_INFINITY

  /**
   * @param milliseconds of any clock
   * @param selected is there text to copy?
   */
  press(key: KeyPress, milliseconds: number, selected: boolean): KeyUse {
    if (key.isComposing || key.metaKey || !OF_A_PC.test(key.code) || isClipboard(key, selected)) return 'editor'
    if (key.code === 'Escape' && !this.#held.has('Escape')) {
      const twice = milliseconds - this.#escapeAt <= TWICE_MS
      this.#escapeAt = twice ? Number.NEGATIVE_INFINITY : milliseconds
      if (twice) return 'release'
    } else if (key.code !== 'Escape') this.#escapeAt = Number.NEGATIVE_INFINITY
    this.#held.add(key.code)
    return 'guest'
  }

  /** @returns whether the guest knows that it was down. */
  release(code: string): boolean {
    return this.#held.delete(code)
  }

  /** What the guest believes to be down, which it no longer is. */
  releaseAll(): string[] {
    const held = [...this.#held]
    this.#held.clear()
    return held
  }
}

/** Copying what is selected, and pasting, as terminals have it: Ctrl+V itself is the guest's. */
function isClipboard({ code, ctrlKey, shiftKey }: KeyPress, selected: boolean): boolean {
  if (code === 'KeyC' && ctrlKey) return selected
  return (code === 'KeyV' && ctrlKey && shiftKey) || (code === 'Insert' && shiftKey)
}
