/** The local APIC's timer: one-shot, periodic and TSC-deadline (SDM vol. 3, 11.5.4). Its bus ticks once a nanosecond. */

import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'

export type TimerMode = 'one-shot' | 'periodic' | 'tsc-deadline'

export interface ApicTimerState {
  readonly mode: TimerMode
  readonly initial: number
  readonly divide: number
  /** TSC deadline, hexadecimal; `0` when none. */
  readonly deadline: string
  /** Virtual time of the next expiry, or null. */
  readonly due: number | null
}

export interface ApicTimerOptions {
  readonly name: string
  readonly clock: VirtualClock
  /** Exact virtual time in nanoseconds. */
  now(): number
  /** Time-stamp counter now; it ticks once a nanosecond. */
  tsc(): bigint
  expired(): void
}

export class ApicTimer {
  mode: TimerMode = 'one-shot'
  initial = 0
  /** Bus ticks of one count. */
  divisor = 2
  readonly #options: ApicTimerOptions
  readonly #timer: Timer
  /** The divide configuration register as written. */
  #divide = 0
  #deadline = 0n
  /** Virtual time of the next expiry. The clock forgets it before it calls. */
  #due: number | undefined

  constructor(options: ApicTimerOptions) {
    this.#options = options
    this.#timer = options.clock.timer(options.name, () => this.#fire())
  }

  reset(): void {
    this.mode = 'one-shot'
    this.initial = 0
    this.#divide = 0
    this.divisor = 2
    this.#stop()
  }

  /** A change to or from TSC-deadline mode disarms the timer. */
  setMode(mode: TimerMode): void {
    if (mode === this.mode) return
    const disarm = mode === 'tsc-deadline' || this.mode === 'tsc-deadline'
    this.mode = mode
    if (!disarm) return
    this.initial = 0
    this.#stop()
  }

  /** Starts counting down from `count`; 0 stops. Ignored in TSC-deadline mode. */
  start(count: number): void {
    if (this.mode === 'tsc-deadline') return
    this.initial = count
    if (count === 0) this.#stop()
    else this.#arm(this.#options.now() + count * this.divisor)
  }

  get current(): number {
    if (this.#due === undefined || this.mode === 'tsc-deadline') return 0
    return Math.max(0, Math.ceil((this.#due - this.#options.now()) / this.divisor))
  }

  get divide(): number {
    return this.#divide
  }

  /** Divide configuration register: bits 3, 1 and 0 encode 2, 4, 8, 16, 32, 64, 128, 1. */
  set divide(value: number) {
    const left = this.current
    this.#divide = value & 0xb
    const code = (value & 3) | ((value >> 1) & 4)
    this.divisor = code === 7 ? 1 : 2 << code
    if (left > 0) this.#arm(this.#options.now() + left * this.divisor)
  }

  /** IA32_TSC_DEADLINE: reads 0 once it fired, and in the other modes. */
  get deadline(): bigint {
    return this.#deadline
  }

  set deadline(value: bigint) {
    if (this.mode !== 'tsc-deadline') return
    this.#deadline = value
    if (value === 0n) this.#stop()
    else this.#armDeadline()
  }

  #armDeadline(): void {
    const { now, tsc } = this.#options
    const wait = this.#deadline - tsc()
    this.#arm(now() + (wait > 0n ? Number(wait) : 0))
  }

  #arm(due: number): void {
    this.#due = due
    this.#timer.arm(due)
  }

  #stop(): void {
    this.#deadline = 0n
    if (this.#due === undefined) return
    this.#due = undefined
    this.#timer.cancel()
  }

  #fire(): void {
    const { now, tsc, expired } = this.#options
    if (this.mode === 'tsc-deadline') {
      // The counter was set back since the deadline was armed.
      if (tsc() < this.#deadline) {
        this.#armDeadline()
        return
      }
      this.#deadline = 0n
      this.#due = undefined
    } else if (this.mode === 'periodic' && this.#due !== undefined && this.initial > 0) {
      // Periods that passed unseen collapse into one interrupt, as its bit in the IRR does.
      const period = this.initial * this.divisor
      const missed = Math.max(0, Math.floor((now() - this.#due) / period))
      this.#arm(this.#due + (missed + 1) * period)
    } else this.#due = undefined
    expired()
  }

  save(): ApicTimerState {
    return {
      mode: this.mode,
      initial: this.initial,
      divide: this.#divide,
      deadline: this.#deadline.toString(16),
      due: this.#due ?? null,
    }
  }

  /** The clock restores what is armed; this only what the timer knows about it. */
  restore(state: ApicTimerState): void {
    this.#due = undefined
    this.mode = state.mode
    this.initial = state.initial
    this.divide = state.divide
    this.#deadline = BigInt(`0x${state.deadline}`)
    this.#due = state.due ?? undefined
  }
}
