/** The breakpoints that the user wants, each with the places that it has found so far. */

import type { Address } from '../inspect/address.ts'
import type { StopEvent } from './stop-request.ts'

/** An event that a breakpoint waits for, other than code and data. */
export type BreakpointEvent = Exclude<StopEvent, { readonly kind: 'code' | 'data' }>

export type BreakpointPlace =
  /** A function's name, or an expression such as `vfs_read + 4`. */
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'address'; readonly address: Address }
  /** @see SymbolBook.breakpointsAt */
  | { readonly kind: 'line'; readonly path: string; readonly line: number }
  | {
      readonly kind: 'data'
      readonly address: Address
      /** Bytes. */
      readonly length: number
      readonly access: 'read' | 'write' | 'access' | 'change'
    }
  | { readonly kind: 'event'; readonly event: BreakpointEvent }

export interface BreakpointWish {
  readonly place: BreakpointPlace
  /** What whoever wants it calls it: told when it stops. */
  readonly name?: string
  /** An expression; stops only where it is not zero. */
  readonly condition?: string
  /** Which of the hits count: `5`, `>= 5`, `% 100`. */
  readonly hitCondition?: string
  /** Said instead of stopping; `{expression}` is replaced. */
  readonly logMessage?: string
  /** Only at this privilege. */
  readonly cpl?: number
}

export interface Breakpoint {
  readonly id: number
  readonly wish: BreakpointWish
  /** Is there something to stop at? */
  readonly resolved: boolean
  /** Linear addresses of code; empty while there are none, and for other kinds. */
  readonly addresses: readonly bigint[]
  /** The line that has code, where that is another than was asked for. */
  readonly line?: number
  /** Why nothing was found, or what is wrong. */
  readonly message?: string
}

/** Where a breakpoint stops, or why nowhere (yet). */
export type Resolution =
  | { readonly addresses: readonly bigint[]; readonly line?: number }
  /** Nothing to look for: data and events. */
  | { readonly immediate: true }
  | { readonly message: string }

export type Resolver = (wish: BreakpointWish) => Resolution

export class BreakpointBook {
  readonly #groups = new Map<string, readonly Breakpoint[]>()
  #nextId = 1

  get all(): readonly Breakpoint[] {
    return [...this.#groups.values()].flat()
  }

  /** Replaces all breakpoints of a group, such as those of one source file. One that was there before keeps its id. */
  replace(group: string, wishes: readonly BreakpointWish[], resolve: Resolver): readonly Breakpoint[] {
    const known = new Map((this.#groups.get(group) ?? []).map(({ wish, id }) => [keyOf(wish), id]))
    const breakpoints = wishes.map(wish => {
      const key = keyOf(wish)
      const id = known.get(key) ?? this.#nextId++
      known.delete(key)
      return resolved(id, wish, resolve)
    })
    this.#groups.set(group, breakpoints)
    return breakpoints
  }

  /** Takes over the breakpoints of another book, with their ids. */
  adopt(other: BreakpointBook): void {
    for (const [group, breakpoints] of other.#groups) this.#groups.set(group, breakpoints)
    this.#nextId = other.#nextId
  }

  /** Tries all again: names may have come, gone or moved. Returns those that have changed. */
  retry(resolve: Resolver): Breakpoint[] {
    const changed: Breakpoint[] = []
    for (const [group, breakpoints] of this.#groups)
      this.#groups.set(
        group,
        breakpoints.map(breakpoint => {
          const next = resolved(breakpoint.id, breakpoint.wish, resolve)
          if (isSame(next, breakpoint)) return breakpoint
          changed.push(next)
          return next
        }),
      )
    return changed
  }

  wishOf(id: number): BreakpointWish | undefined {
    return this.all.find(breakpoint => breakpoint.id === id)?.wish
  }

  /** Ids of the breakpoints at a linear address. */
  at(address: bigint): number[] {
    return this.all.filter(({ addresses }) => addresses.includes(address)).map(({ id }) => id)
  }
}

function resolved(id: number, wish: BreakpointWish, resolve: Resolver): Breakpoint {
  const outcome = resolve(wish)
  if ('message' in outcome) return { id, wish, resolved: false, addresses: [], message: outcome.message }
  if ('immediate' in outcome) return { id, wish, resolved: true, addresses: [] }
  return { id, wish, resolved: true, ...outcome }
}

const isSame = (a: Breakpoint, b: Breakpoint): boolean =>
  a.resolved === b.resolved && a.addresses.join() === b.addresses.join()

const keyOf = (wish: BreakpointWish): string =>
  JSON.stringify(wish, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
