/** What only exists with a VEX prefix: AVX, AVX2, FMA and F16C, but for the forms of SSE's instructions. */

import { defineAvxLanes } from './avx-lanes.ts'
import type { DefinitionTable } from './definition.ts'
import { defineFusedMultiply } from './fused-multiply.ts'
import { defineHalfPrecision } from './half-precision.ts'

export function defineAvx(table: DefinitionTable): void {
  defineAvxLanes(table)
  defineFusedMultiply(table)
  defineHalfPrecision(table)
}
