/** Keys that the host has typed and the guest has not been given: they go in between slices, as all input does. */

import { KEY_NAMES, type KeyStroke } from '../devices/i8042/key-codes.ts'
import type { TargetKeyboard } from './target.ts'

/** The guest's end of it. */
export interface KeyReceiver {
  /** @returns false when there is no room for it, and nothing was taken. */
  typeKey(stroke: KeyStroke): boolean
  /** Why keys don't reach the guest now; undefined when they do. */
  readonly deafness: string | undefined
}

/** Keys going down or up: more than a thousand characters with Shift. */
const MOST_WAITING = 4096

export class KeyboardQueue implements TargetKeyboard {
  readonly #receiver: KeyReceiver
  readonly #onArrival: () => void
  #strokes: KeyStroke[] = []

  constructor(receiver: KeyReceiver, onArrival: () => void) {
    this.#receiver = receiver
    this.#onArrival = onArrival
  }

  get waiting(): number {
    return this.#strokes.length
  }

  get deafness(): string | undefined {
    return this.#receiver.deafness
  }

  type(strokes: readonly KeyStroke[]): boolean {
    const unknown = strokes.find(({ code }) => !KEY_NAMES.includes(code))
    if (unknown !== undefined) throw new RangeError(`there is no key "${unknown.code}"`)
    if (this.#strokes.length + strokes.length > MOST_WAITING) return false
    this.#strokes.push(...strokes)
    this.#onArrival()
    return true
  }

  /** Gives the guest what it has room for. */
  deliver(): void {
    let taken = 0
    while (taken < this.#strokes.length && this.#receiver.typeKey(this.#strokes[taken])) taken++
    this.#strokes.splice(0, taken)
  }

  clear(): void {
    this.#strokes = []
  }
}
