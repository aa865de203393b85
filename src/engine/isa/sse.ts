/** SSE to SSE4.2, AES, PCLMULQDQ and SHA on XMM registers. */

import { defineAes } from './aes.ts'
import { defineCarrylessMultiply } from './carryless-multiply.ts'
import type { DefinitionTable } from './definition.ts'
import { defineSha } from './sha.ts'
import { defineSseApproximate } from './sse-approximate.ts'
import { defineSseCompare } from './sse-compare.ts'
import { defineSseControl } from './sse-control.ts'
import { defineSseConvert } from './sse-convert.ts'
import { defineSseFloat } from './sse-float.ts'
import { defineSseInteger } from './sse-integer.ts'
import { defineSseMove } from './sse-move.ts'
import { defineSseShuffle } from './sse-shuffle.ts'
import { defineSseString } from './sse-string.ts'
import { defineSse3 } from './sse3.ts'
import { defineSse41Blend } from './sse41-blend.ts'
import { defineSse41Extend } from './sse41-extend.ts'
import { defineSse41Float } from './sse41-float.ts'
import { defineSse41Integer } from './sse41-integer.ts'
import { defineSse41Lane } from './sse41-lane.ts'
import { defineSsse3 } from './ssse3.ts'

export function defineSse(table: DefinitionTable): void {
  defineSseMove(table)
  defineSseInteger(table)
  defineSseShuffle(table)
  defineSseFloat(table)
  defineSseApproximate(table)
  defineSseCompare(table)
  defineSseConvert(table)
  defineSseControl(table)
  defineSse3(table)
  defineSsse3(table)
  defineSse41Integer(table)
  defineSse41Extend(table)
  defineSse41Blend(table)
  defineSse41Lane(table)
  defineSse41Float(table)
  defineSseString(table)
  defineAes(table)
  defineCarrylessMultiply(table)
  defineSha(table)
}
