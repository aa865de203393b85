/**
 * What the VMs of one processor are to stop at, together: a processor has one set of breakpoints and watchpoints, which
 * it asks whosever code it runs. Here each is asked only about vCPUs of the VM that it is for.
 */

import type { CodeBreakpoint, CodeStops, Processor, StopView, Watchpoint } from '../engine/processor.ts'

/** One of the VMs. */
export interface StopOwner {
  /** Whether a view is of one of its vCPUs. */
  owns(view: StopView): boolean
}

const known = new WeakMap<Processor, ProcessorStops>()

export class ProcessorStops {
  readonly #processor: Processor
  readonly #code = new Map<StopOwner, CodeStops>()
  readonly #watchpoints = new Map<StopOwner, readonly Watchpoint[]>()
  /** The same objects all along: a change costs all decoded code. */
  readonly #int3 = { reached: (view: StopView) => this.#instructionReached('int3', view) }
  readonly #magic = { reached: (view: StopView) => this.#instructionReached('magic', view) }

  private constructor(processor: Processor) {
    this.#processor = processor
  }

  static of(processor: Processor): ProcessorStops {
    const stops = known.get(processor) ?? new ProcessorStops(processor)
    known.set(processor, stops)
    return stops
  }

  /** Replaces those of one VM. */
  setCode(owner: StopOwner, stops: CodeStops): void {
    const isEmpty = stops.breakpoints.length === 0 && stops.int3 === undefined && stops.magic === undefined
    if (isEmpty) this.#code.delete(owner)
    else this.#code.set(owner, stops)
    const all = [...this.#code]
    this.#processor.setCodeStops({
      breakpoints: all.flatMap(([each, { breakpoints }]) => breakpoints.map(breakpoint => only(each, breakpoint))),
      ...(all.some(([, { int3 }]) => int3 !== undefined) ? { int3: this.#int3 } : {}),
      ...(all.some(([, { magic }]) => magic !== undefined) ? { magic: this.#magic } : {}),
    })
  }

  /** Replaces those of one VM. */
  setWatchpoints(owner: StopOwner, watchpoints: readonly Watchpoint[]): void {
    if (watchpoints.length === 0) this.#watchpoints.delete(owner)
    else this.#watchpoints.set(owner, watchpoints)
    const all = [...this.#watchpoints]
    this.#processor.setWatchpoints(
      all.flatMap(([each, its]) =>
        its.map(watchpoint => ({
          ...watchpoint,
          met: (access, view) => each.owns(view) && (watchpoint.met?.(access, view) ?? true),
        })),
      ),
    )
  }

  #instructionReached(kind: 'int3' | 'magic', view: StopView): boolean {
    for (const [owner, stops] of this.#code) {
      const asked = stops[kind]
      if (asked !== undefined && owner.owns(view)) return asked.reached?.(view) ?? true
    }
    return false
  }
}

const only = (owner: StopOwner, breakpoint: CodeBreakpoint): CodeBreakpoint => ({
  ...breakpoint,
  reached: view => owner.owns(view) && (breakpoint.reached?.(view) ?? true),
})
