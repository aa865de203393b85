/** SSE and SSE2 instructions. */

import type { DefinitionTable } from './definition.ts'
import { defineSseApproximate } from './sse-approximate.ts'
import { defineSseCompare } from './sse-compare.ts'
import { defineSseControl } from './sse-control.ts'
import { defineSseConvert } from './sse-convert.ts'
import { defineSseFloat } from './sse-float.ts'
import { defineSseInteger } from './sse-integer.ts'
import { defineSseMove } from './sse-move.ts'
import { defineSseShuffle } from './sse-shuffle.ts'

export function defineSse(table: DefinitionTable): void {
  defineSseMove(table)
  defineSseInteger(table)
  defineSseShuffle(table)
  defineSseFloat(table)
  defineSseApproximate(table)
  defineSseCompare(table)
  defineSseConvert(table)
  defineSseControl(table)
}
