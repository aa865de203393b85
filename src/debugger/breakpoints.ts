/** The breakpoints that the user wants, each with the addresses that it has found so far. */

export type BreakpointKind = 'function' | 'address'

export interface Breakpoint {
  readonly id: number
  readonly kind: BreakpointKind
  /** The function's name, or the address as it was given. */
  readonly wanted: string
  /** Linear addresses; empty while the name is not known. */
  readonly addresses: readonly bigint[]
  /** Why there is no address. */
  readonly message?: string
}

/** Addresses of what a breakpoint names, or why there are none (yet). */
export type Resolution = { readonly addresses: readonly bigint[] } | { readonly message: string }

export class BreakpointBook {
  readonly #breakpoints: Record<BreakpointKind, Breakpoint[]> = { function: [], address: [] }
  #nextId = 1

  get all(): readonly Breakpoint[] {
    return [...this.#breakpoints.function, ...this.#breakpoints.address]
  }

  /** Replaces all breakpoints of a kind. One that was there before keeps its id. */
  replace(kind: BreakpointKind, wanted: readonly string[], resolve: (wanted: string) => Resolution): Breakpoint[] {
    const known = new Map(this.#breakpoints[kind].map(breakpoint => [breakpoint.wanted, breakpoint.id]))
    this.#breakpoints[kind] = wanted.map(text => {
      const id = known.get(text) ?? this.#nextId++
      known.delete(text)
      return { id, kind, wanted: text, ...outcome(resolve(text)) }
    })
    return this.#breakpoints[kind]
  }

  /** Tries again what had no address; returns those that have one now. */
  retryPending(resolve: (wanted: string) => Resolution): Breakpoint[] {
    const found: Breakpoint[] = []
    this.#breakpoints.function = this.#breakpoints.function.map(breakpoint => {
      if (breakpoint.addresses.length > 0) return breakpoint
      const { id, kind, wanted } = breakpoint
      const next = { id, kind, wanted, ...outcome(resolve(wanted)) }
      if (next.addresses.length > 0) found.push(next)
      return next
    })
    return found
  }

  get addresses(): Set<bigint> {
    return new Set(this.all.flatMap(breakpoint => breakpoint.addresses))
  }

  /** Ids of the breakpoints at a linear address. */
  at(address: bigint): number[] {
    return this.all.filter(breakpoint => breakpoint.addresses.includes(address)).map(breakpoint => breakpoint.id)
  }
}

function outcome(resolution: Resolution): { addresses: readonly bigint[]; message?: string } {
  return 'addresses' in resolution
    ? { addresses: resolution.addresses }
    : { addresses: [], message: resolution.message }
}
