/**
 * Whose turn it is: vCPUs run one after another for a fixed quantum of instructions, ended early by HLT.
 * The position is part of the machine's state, so that the order of everything is the same however a run is sliced.
 */

import type { Vcpu } from '../engine/processor.ts'

/** Instructions of one turn. */
export const QUANTUM = 20_000

export interface TurnState {
  readonly current: number
  /** Instructions left of the turn. */
  readonly remaining: number
}

export class Turns {
  #current = 0
  #remaining = QUANTUM

  get remaining(): number {
    return this.#remaining
  }

  /**
   * The vCPU to run now, or undefined when none can run.
   * @param runnable a function of the machine's state only, so that the choice is too.
   */
  select(vcpus: readonly Vcpu[], runnable: (vcpu: Vcpu) => boolean): Vcpu | undefined {
    if (this.#remaining <= 0 || !runnable(vcpus[this.#current])) this.#pass(vcpus, runnable)
    const vcpu = vcpus[this.#current]
    return runnable(vcpu) ? vcpu : undefined
  }

  spend(instructions: number): void {
    this.#remaining -= instructions
  }

  /** The current vCPU gives the rest of its turn away. */
  end(): void {
    this.#remaining = 0
  }

  reset(): void {
    this.#current = 0
    this.#remaining = QUANTUM
  }

  save(): TurnState {
    return { current: this.#current, remaining: this.#remaining }
  }

  restore(state: TurnState): void {
    this.#current = state.current
    this.#remaining = state.remaining
  }

  /** The turn goes to the next vCPU that can run, the current one last; it stays where it is if none can. */
  #pass(vcpus: readonly Vcpu[], runnable: (vcpu: Vcpu) => boolean): void {
    for (let step = 1; step <= vcpus.length; step++) {
      const candidate = (this.#current + step) % vcpus.length
      if (!runnable(vcpus[candidate])) continue
      this.#current = candidate
      this.#remaining = QUANTUM
      return
    }
  }
}
