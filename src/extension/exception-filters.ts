/** Arguments of `setExceptionBreakpoints`: those of VS Code, and stops at VM exits. */

import { members } from './session-messages.ts'

export interface ExceptionFilters {
  readonly filters: readonly unknown[]
  readonly filterOptions: readonly unknown[]
  /** Tells our own requests from VS Code's; adapters do not look at it. */
  readonly exitStops: true
}

/** @param theirs arguments of the request that VS Code has sent */
export function withExitStops(theirs: unknown, reasons: ReadonlySet<string>): ExceptionFilters {
  const { filters, filterOptions } = members(theirs)
  const options: readonly unknown[] = Array.isArray(filterOptions) ? filterOptions : []
  return {
    filters: Array.isArray(filters) ? filters : [],
    filterOptions:
      reasons.size === 0 ? options : [...options, { filterId: 'exit', condition: [...reasons].join(', ') }],
    exitStops: true,
  }
}
