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
import { FORMS, type Halves, type VectorForm, XMM_FORMS } from './vector-form.ts'

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
 * selects, zeros elsewhere. Neighbours are added first. The products, and each step of the sum, are rounded and raise
 * exceptions of their own.
 */
function dotProduct(
  scope: InstructionScope,
  format: FloatLanes,
  a: Halves,
  b: Halves,
  immediate: Value<'i32'>,
): Halves {
  const { f } = scope
  const lanes = format.lane === 32 ? 'i32x4' : 'i64x2'
  const selected = f.let(immediateMask(lanes, immediate.shrU(4)))
  const of = (v: Vector) => f.let(and(v, selected))
  let sums = computeHalves(scope, b.length, i => floatArithmetic(scope, format, 'Mul', of(a[i]), of(b[i])))
  for (let bytes = format.lane / 8; bytes < 16; bytes *= 2) {
    const terms = sums
    const sumOf = (v: Vector) => floatArithmetic(scope, format, 'Add', f.let(lower(v, bytes)), f.let(upper(v, bytes)))
    sums = computeHalves(scope, b.length, i => sumOf(terms[i]))
  }
  return sums.map(sum => and(sum, immediateMask(lanes, immediate)))
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

function defineDotProduct(table: DefinitionTable, form: VectorForm, format: FloatLanes): void {
  form.define(table, { mnemonics: `Dp${format.suffix}`, sources: 2, immediate: true }, scope => {
    const b = form.load(scope, form.second)
    const a = form.loadRegister(scope, form.first)
    form.store(scope, dotProduct(scope, format, a, b, scope.f.let(byteImmediate(scope))))
  })
}

export function defineSse41Float(table: DefinitionTable): void {
  for (const form of FORMS) defineDotProduct(table, form, SINGLE)
  for (const form of XMM_FORMS) defineDotProduct(table, form, DOUBLE)
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
