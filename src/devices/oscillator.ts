/** A crystal: a fixed frequency derived from virtual time, exact for any time a run can reach. */

import type { VirtualClock } from '../util/virtual-clock.ts'

const NANOSECONDS_PER_SECOND = 1e9

/**
 * Whole seconds and the rest are converted apart: the products then stay below 2^53 for frequencies up to 9 MHz (or
 * divisors of 1 GHz), so that {@link ticks} and {@link timeOf} are exact inverses and a timer never fires early.
 */
export class Oscillator {
  readonly hertz: number
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock, hertz: number) {
    this.#clock = clock
    this.hertz = hertz
  }

  /** Ticks since power-on. */
  get ticks(): number {
    const now = Math.floor(this.#clock.now)
    const seconds = Math.floor(now / NANOSECONDS_PER_SECOND)
    const rest = now - seconds * NANOSECONDS_PER_SECOND
    return seconds * this.hertz + Math.floor((rest * this.hertz) / NANOSECONDS_PER_SECOND)
  }

  /** Earliest virtual time in nanoseconds at which {@link ticks} is at least `tick`. */
  timeOf(tick: number): number {
    const seconds = Math.floor(tick / this.hertz)
    const rest = tick - seconds * this.hertz
    return seconds * NANOSECONDS_PER_SECOND + Math.ceil((rest * NANOSECONDS_PER_SECOND) / this.hertz)
  }
}
