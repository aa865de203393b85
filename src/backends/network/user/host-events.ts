/**
 * What comes from the host's sockets waits here until the guest stands still between two slices: the only place where
 * something that is not derived from the guest reaches it. Each delivery is noted with the instruction count.
 */

import type { TraceClock } from '../packet-trace.ts'

/** Deliveries that are remembered. */
const MOST_NOTES = 1024

export interface HostDelivery {
  /** Retired instructions when it was delivered, and virtual nanoseconds. */
  readonly count: number
  readonly time: number
  /** `tcp 10.0.2.15:40000 > 10.0.2.2:80: 1448 bytes`. */
  readonly what: string
}

interface HostEvent {
  readonly what: string
  readonly act: () => void
}

export class HostEvents {
  /** Called when something arrives, so that who waits in idle time goes on. */
  onArrival: (() => void) | undefined
  readonly #clock: TraceClock
  #waiting: HostEvent[] = []
  readonly #notes: HostDelivery[] = []
  #delivered = 0

  constructor(clock: TraceClock) {
    this.#clock = clock
  }

  post(what: string, act: () => void): void {
    this.#waiting.push({ what, act })
    this.onArrival?.()
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Events that were delivered since the beginning: 0 says that the run depended on nothing but the guest. */
  get delivered(): number {
    return this.#delivered
  }

  /** The newest deliveries, oldest first. */
  get notes(): readonly HostDelivery[] {
    return this.#notes
  }

  /** Hands over what waits; between slices only. What arrives meanwhile waits for the next time. */
  deliver(): void {
    const events = this.#waiting
    this.#waiting = []
    for (const { what, act } of events) {
      this.#delivered++
      if (this.#notes.length >= MOST_NOTES) this.#notes.shift()
      this.#notes.push({ count: this.#clock.count, time: this.#clock.now, what })
      act()
    }
  }

  /** Forgets what waits: its receivers are gone. */
  clear(): void {
    this.#waiting = []
  }
}
