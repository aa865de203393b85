/**
 * Virtual time of one VM, derived from its count of retired instructions: a nanosecond an instruction, plus the time
 * it skipped while idle. Nothing the guest can observe depends on the host's clock.
 */

/** Virtual nanoseconds that one retired instruction takes: a 1 GHz processor with an IPC of 1. */
export const NANOSECONDS_PER_INSTRUCTION = 1

/** A one-shot alarm; its callback may arm it again. */
export interface Timer {
  readonly name: string
  /** Virtual time in nanoseconds when it fires, or undefined while it is not armed. */
  readonly at: number | undefined
  arm(at: number): void
  cancel(): void
}

export interface VirtualClockState {
  readonly count: number
  readonly skipped: number
  /** Armed timers by name. */
  readonly timers: Readonly<Record<string, number>>
}

class ClockTimer implements Timer {
  readonly name: string
  at: number | undefined
  readonly callback: () => void

  constructor(name: string, callback: () => void) {
    this.name = name
    this.callback = callback
  }

  arm(at: number): void {
    this.at = at
  }

  cancel(): void {
    this.at = undefined
  }
}

export class VirtualClock {
  /** Instructions retired by all vCPUs of the VM. */
  count = 0
  /** Nanoseconds skipped while every vCPU was idle. */
  skipped = 0

  readonly #timers = new Map<string, ClockTimer>()

  /** Virtual time in nanoseconds since power-on. */
  get now(): number {
    return this.count * NANOSECONDS_PER_INSTRUCTION + this.skipped
  }

  /** @param name unique in the VM; saved state refers to timers by it. */
  timer(name: string, callback: () => void): Timer {
    if (this.#timers.has(name)) throw new Error(`timer "${name}" exists already`)
    const timer = new ClockTimer(name, callback)
    this.#timers.set(name, timer)
    return timer
  }

  /** Earliest time at which a timer fires, or Infinity. */
  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const timer of this.#timers.values()) if (timer.at !== undefined && timer.at < earliest) earliest = timer.at
    return earliest
  }

  /** Instructions until the next timer is due; 0 when one is due now. */
  get instructionsToDeadline(): number {
    return Math.max(0, Math.ceil((this.deadline - this.now) / NANOSECONDS_PER_INSTRUCTION))
  }

  /** Fires every timer that is due, earliest first, in order of creation where they tie. */
  fireDue(): void {
    for (;;) {
      let due: ClockTimer | undefined
      for (const timer of this.#timers.values())
        if (timer.at !== undefined && timer.at <= this.now && (due?.at === undefined || timer.at < due.at)) due = timer
      if (due === undefined) return
      due.at = undefined
      due.callback()
    }
  }

  /** Lets an idle machine jump to `time`. */
  skipTo(time: number): void {
    if (time > this.now) this.skipped += time - this.now
  }

  save(): VirtualClockState {
    const timers: Record<string, number> = {}
    for (const timer of this.#timers.values()) if (timer.at !== undefined) timers[timer.name] = timer.at
    return { count: this.count, skipped: this.skipped, timers }
  }

  restore(state: VirtualClockState): void {
    this.count = state.count
    this.skipped = state.skipped
    for (const timer of this.#timers.values()) timer.at = state.timers[timer.name]
  }
}
