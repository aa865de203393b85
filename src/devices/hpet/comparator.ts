/** One timer of the HPET: when it matches the main counter next (HPET 1.0a, 2.3.8 and 2.3.9). */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'
import * as r from './registers.ts'

const MASK_32 = 0xffffffffn

export class Comparator {
  /** Writable bits of the configuration register. */
  configuration = 0
  #value = 0xffffffffffffffffn
  #period = 0n
  /** VAL_SET was used for the lower half; the upper half of the same 64-bit write is still to come. */
  #upperHalfFollows = false

  reset(): void {
    this.configuration = 0
    this.#value = 0xffffffffffffffffn
    this.#period = 0n
    this.#upperHalfFollows = false
  }

  has(bit: number): boolean {
    return (this.configuration & bit) !== 0
  }

  /** Input of the I/O APIC that it is routed to. */
  get route(): number {
    return (this.configuration & r.TIMER_ROUTE) >>> r.TIMER_ROUTE_SHIFT
  }

  get value(): bigint {
    return this.#value
  }

  get #mask(): bigint {
    return this.has(r.TIMER_32_BIT) ? MASK_32 : 0xffffffffffffffffn
  }

  configure(value: number): void {
    this.configuration = value & r.TIMER_WRITABLE
    if (this.has(r.TIMER_32_BIT)) {
      this.#value &= MASK_32
      this.#period &= MASK_32
    }
    this.#upperHalfFollows = false
  }

  /**
   * A write to one half of the comparator register. In periodic mode it sets the period, and with VAL_SET, which
   * lasts for one write, the comparator too.
   */
  write(upper: boolean, half: number): void {
    const insert = (old: bigint): bigint => {
      const bits = BigInt(half)
      return (upper ? (old & MASK_32) | (bits << 32n) : (old & ~MASK_32) | bits) & this.#mask
    }
    const setValue = this.has(r.TIMER_VALUE_SET) || (upper && this.#upperHalfFollows)
    if (!this.has(r.TIMER_PERIODIC) || setValue) this.#value = insert(this.#value)
    if (this.has(r.TIMER_PERIODIC)) this.#period = insert(this.#period)
    this.#upperHalfFollows = setValue && !upper
    this.configuration &= ~r.TIMER_VALUE_SET
  }

  /** Ticks until the next match, at least one: a comparator equal to the counter has matched already. */
  ticksToMatch(counter: bigint): bigint {
    const distance = (this.#value - counter) & this.#mask
    return distance === 0n ? this.#mask + 1n : distance
  }

  /** A match has happened: in periodic mode the comparator goes on to the first value after `counter`. */
  advance(counter: bigint): void {
    if (!this.has(r.TIMER_PERIODIC) || this.#period === 0n) return
    const behind = (counter - this.#value) & this.#mask
    this.#value = (this.#value + (behind / this.#period + 1n) * this.#period) & this.#mask
  }

  save(): Json {
    return {
      configuration: this.configuration,
      value: this.#value.toString(),
      period: this.#period.toString(),
      upperHalfFollows: this.#upperHalfFollows,
    }
  }

  restore(saved: SavedState): void {
    this.configuration = saved.number('configuration')
    this.#value = saved.bigint('value')
    this.#period = saved.bigint('period')
    this.#upperHalfFollows = saved.boolean('upperHalfFollows')
  }
}
