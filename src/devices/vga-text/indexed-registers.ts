/** A group of VGA registers behind an index. */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'

export class IndexedRegisters {
  readonly values: Uint8Array
  readonly #initial: readonly number[]
  readonly #indexMask: number
  index = 0

  /** @param count how many there are, a power of two; those that `initial` doesn't give start as 0. */
  constructor(count: number, initial: readonly number[]) {
    this.values = new Uint8Array(count)
    this.#initial = initial
    this.#indexMask = count - 1
    this.reset()
  }

  reset(): void {
    this.values.fill(0)
    this.values.set(this.#initial)
    this.index = 0
  }

  select(index: number): void {
    this.index = index & this.#indexMask
  }

  get value(): number {
    return this.values[this.index]
  }

  set value(value: number) {
    this.values[this.index] = value
  }

  save(): Json {
    return { index: this.index, values: [...this.values] }
  }

  restore(saved: SavedState): void {
    this.select(saved.number('index'))
    this.values.set(saved.numbers('values', this.values.length))
  }
}
