/** SSE4.1's floating point: rounding to integral values, and dot products (SDM vol. 2). */

import * as S from '../state.ts'
import { select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { floatArithmetic } from './sse-float.ts'
import {
  and,
  anyLane,
  computeHalves,
  FLOAT_LANES,
  FloatLanes,
  fillMask,
  not,
  or,
  software,
  truncatesNatively,
} from './sse-lanes.ts'
import { byteImmediate } from './sse-operands.ts'
import { IMMEDIATE_SHIFT, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { immediateMask } from './sse41-blend.ts'
import { FORMS } from './vector-form.ts'
import { defineImmediate, type ImmediateOperation, type OperationTable } from './vector-operation.ts'

/** ROUNDPS and its like: immediate bits 1:0 are the rounding mode, bit 2 takes that of MXCSR instead. */
const MODE_OF_MXCSR = 4
/** Immediate bit 3: no precision exception. */
const PRECISION_SUPPRESSED_SHIFT = 3
const MXCSR_ROUNDING_SHIFT = 13

/** Lanes of `source` rounded as the immediate says; a scalar's stand repeated in every lane. */
export function roundLanes(
  scope: InstructionScope,
  format: FloatLanes,
  source: Vector,
  immediate: Value<'i32'>,
): Vector {
  const { f } = scope
  const result = f.variable(roundNatively(scope, format, source, roundingOf(scope, immediate)))
  // DAZ makes zeros of denormals.
  const special = or(format.isNan(source), format.isDenormal(source))
  const precise = immediate.shrU(PRECISION_SUPPRESSED_SHIFT).and(1).or(truncatesNatively(scope))
  const safe = or(format.compare('eq', result, source), fillMask(precise))
  f.if(anyLane(or(special, not(safe))), () => {
    const operation = immediate.and(15).shl(IMMEDIATE_SHIFT).or(format.operation(SseKind.roundToIntegral))
    f.set(result, software(scope, operation, source))
  })
  return result
}

/** Nearest 0, down 1, up 2, toward zero 3. */
function roundingOf(scope: InstructionScope, immediate: Value<'i32'>): Value<'i32'> {
  const ofMxcsr = () => scope.state32(S.MXCSR).shrU(MXCSR_ROUNDING_SHIFT).and(3)
  const constant = immediate.constant
  if (constant !== undefined) return scope.f.let(Number(constant) & MODE_OF_MXCSR ? ofMxcsr() : immediate.and(3))
  return scope.f.let(select(immediate.and(MODE_OF_MXCSR), ofMxcsr(), immediate.and(3)))
}

/** Rounds by the mode, which a compiled region may know. */
function roundNatively({ f }: InstructionScope, format: FloatLanes, source: Vector, mode: Value<'i32'>): Vector {
  const byMode = (['nearest', 'floor', 'ceil', 'trunc'] as const).map(name => () => format.compute(name, source))
  const [nearest, floor, ceil, trunc] = byMode
  if (mode.constant !== undefined) return byMode[Number(mode.constant)]()
  return f.choose(
    mode.gtU(1),
    () => f.choose(mode.and(1), trunc, ceil, 'v128'),
    () => f.choose(mode, floor, nearest, 'v128'),
    'v128',
  )
}

const SINGLE = new FloatLanes('ps')
const DOUBLE = new FloatLanes('pd')

/**
 * Products of the lanes that the upper half of the immediate selects, their sum in the lanes that the lower half
 * selects, zeros elsewhere. Each product and sum is rounded and has exceptions of its own; neighbours are added first.
 */
const dotProduct =
  (format: FloatLanes, lanes: 'i32x4' | 'i64x2', distances: readonly number[]): ImmediateOperation =>
  (scope, a, b, immediate) => {
    const { f } = scope
    const selected = f.let(immediateMask(lanes, immediate.shrU(4)))
    let sum = floatArithmetic(scope, format, 'Mul', f.let(and(a, selected)), f.let(and(b, selected)))
    for (const bytes of distances)
      sum = floatArithmetic(scope, format, 'Add', f.let(lower(sum, bytes)), f.let(upper(sum, bytes)))
    return and(sum, immediateMask(lanes, immediate))
  }

/** Of two neighbouring groups of `bytes` bytes the lower, or the upper, in the place of both. */
const lower = (v: Vector, bytes: number): Vector => bytesOf(v, i => i & ~bytes)
const upper = (v: Vector, bytes: number): Vector => bytesOf(v, i => i | bytes)

const bytesOf = (v: Vector, index: (i: number) => number): Vector =>
  simd(
    'v128',
    'i8x16.shuffle',
    [v, v],
    Array.from({ length: 16 }, (_, i) => index(i)),
  )

export const DOT_PRODUCT_OPERATIONS: OperationTable<ImmediateOperation> = {
  Dpps: dotProduct(SINGLE, 'i32x4', [4, 8]),
  Dppd: dotProduct(DOUBLE, 'i64x2', [8]),
}

export function defineSse41Float(table: DefinitionTable): void {
  defineImmediate(table, DOT_PRODUCT_OPERATIONS)
  for (const form of FORMS)
    for (const format of FLOAT_LANES) {
      const instruction = { mnemonics: `Round${format.suffix}`, sourceBits: format.bitsIn(form), immediate: true }
      const round = (scope: InstructionScope, source: Vector) =>
        roundLanes(scope, format, source, scope.f.let(byteImmediate(scope)))
      if (format.packed)
        form.define(table, { ...instruction, sources: 1 }, scope => {
          const source = form.load(scope, 1)
          form.store(
            scope,
            computeHalves(scope, form.halves, i => round(scope, source[i])),
          )
        })
      else if (form.bits === 128)
        form.define(table, { ...instruction, sources: 2 }, scope =>
          form.storeScalar(scope, format.lane, round(scope, format.load(scope, form.address(scope, form.second)))),
        )
    }
}
