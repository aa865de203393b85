/** Comparisons of floating-point numbers: CMPPS and its like to masks, COMISS and its like to flags (SDM vol. 2). */

import * as S from '../state.ts'
import { i32, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { unsafeOrder } from './sse-float.ts'
import { and, anyLane, computeHalves, FLOAT_LANES, type FloatLanes, fillMask, or, software } from './sse-lanes.ts'
import { byteImmediate } from './sse-operands.ts'
import { IMMEDIATE_SHIFT, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS, type VectorForm } from './vector-form.ts'

/** Predicates that the immediate can name: with a VEX prefix bits 3 and 4 choose what is made of NaNs. */
const [PREDICATES, VEX_PREDICATES] = [7, 31]

export function defineSseCompare(table: DefinitionTable): void {
  for (const form of FORMS)
    for (const format of FLOAT_LANES) {
      if (!format.packed && form.bits === 256) continue
      const instruction = { sourceBits: format.bitsIn(form), immediate: true }
      form.define(table, { ...instruction, mnemonics: `Cmp${format.suffix}`, sources: 2 }, scope =>
        emitMask(scope, form, format),
      )
      if (format.packed) continue
      for (const { name, kind } of [
        { name: 'Ucomi', kind: SseKind.unorderedCompare },
        { name: 'Comi', kind: SseKind.orderedCompare },
      ])
        form.define(table, { mnemonics: `${name}${format.suffix}`, sources: 1, sourceBits: format.lane }, scope =>
          emitFlags(scope, form, format, kind),
        )
    }
}

function emitMask(scope: InstructionScope, form: VectorForm, format: FloatLanes): void {
  const { f } = scope
  const predicate = f.let(byteImmediate(scope).and(form.vex ? VEX_PREDICATES : PREDICATES))
  if (format.packed) {
    const b = form.load(scope, form.second)
    const a = form.loadRegister(scope, form.first)
    form.store(
      scope,
      computeHalves(scope, form.halves, i => compareLanes(scope, format, a[i], b[i], predicate)),
    )
  } else {
    const b = format.load(scope, form.address(scope, form.second))
    const a = format.load(scope, scope.registerAddress(form.first))
    form.storeScalar(scope, format.lane, compareLanes(scope, format, a, b, predicate))
  }
}

function compareLanes(
  scope: InstructionScope,
  format: FloatLanes,
  a: Vector,
  b: Vector,
  predicate: Value<'i32'>,
): Vector {
  const { f } = scope
  const mask = f.variable(orderedMask(format, a, b, f.let(predicate.and(7))))
  f.if(anyLane(unsafeOrder(format, a, b)), () => {
    const operation = predicate.shl(IMMEDIATE_SHIFT).or(format.operation(SseKind.compare))
    f.set(mask, software(scope, operation, b, a))
  })
  return mask
}

/**
 * The mask for operands that are not NaN: predicates 0 to 3 are equal, less, less or equal, unordered (never);
 * 4 to 7 are their negations. Those from 8 on differ for NaNs alone.
 */
function orderedMask(format: FloatLanes, a: Vector, b: Vector, predicate: Value<'i32'>): Vector {
  const whenEqual = fillMask(predicate.and(1).xor(1))
  const whenLess = fillMask(predicate.xor(predicate.shrU(1)).and(1))
  const holds = or(and(format.compare('eq', a, b), whenEqual), and(format.compare('lt', a, b), whenLess))
  return simd('v128', 'v128.xor', [holds, fillMask(predicate.shrU(2))])
}

/** Bits of RFLAGS that tell the order: CF less, ZF equal, both and PF unordered. */
const [CF, PF_SHIFT, ZF_SHIFT] = [1, 2, 6]

function emitFlags(scope: InstructionScope, form: VectorForm, format: FloatLanes, kind: SseKind): void {
  const { f } = scope
  const b = format.load(scope, form.address(scope, 1))
  const a = format.load(scope, scope.registerAddress(0))
  const less = simd('i32', 'i32x4.extract_lane', [format.compare('lt', a, b)], [0])
  const equal = simd('i32', 'i32x4.extract_lane', [format.compare('eq', a, b)], [0])
  const flags = f.variable(less.and(CF).or(equal.and(1 << ZF_SHIFT)))
  f.if(anyLane(unsafeOrder(format, a, b)), () => {
    software(scope, i32(format.operation(kind)), b, a)
    f.set(flags, scope.state32(S.SSE_RESULT))
  })
  const zero = f.let(flags.shrU(ZF_SHIFT).and(1))
  const carry = f.let(flags.and(CF))
  // The result 0 stands for ZF and PF, 1 for neither; OF, SF and AF are clear (see FLAG_RESULT and its like).
  const result = f.let(zero.xor(1).extendU())
  const parityDiffers = flags.shrU(PF_SHIFT).and(1).xor(zero)
  scope.setFlags(result, result.xor(carry.extendU().shl(63)), carry.or(parityDiffers.shl(2)))
}
