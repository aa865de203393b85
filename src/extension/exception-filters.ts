/** Arguments of `setExceptionBreakpoints`: those of VS Code, and the stops that views have set. */

import { members } from './session-messages.ts'

/** A stop by a filter of the adapter's: `exit` with `hlt`, `virtqueue` with `kick virtio-blk0 0`. */
export interface EventStop {
  readonly filterId: string
  readonly condition: string
}

export interface ExceptionFilters {
  readonly filters: readonly unknown[]
  readonly filterOptions: readonly unknown[]
  /** Tells our own requests from VS Code's; adapters do not look at it. */
  readonly ofViews: true
}

/** @param theirs arguments of the request that VS Code has sent */
export function withStops(theirs: unknown, stops: readonly EventStop[]): ExceptionFilters {
  const { filters, filterOptions } = members(theirs)
  const options: readonly unknown[] = Array.isArray(filterOptions) ? filterOptions : []
  return {
    filters: Array.isArray(filters) ? filters : [],
    filterOptions: [...options, ...stops],
    ofViews: true,
  }
}

export const isOurs = (args: unknown): boolean => members(args).ofViews === true
