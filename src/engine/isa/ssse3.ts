/**
 * SSSE3 (SDM vol. 2) on whole vectors. The MMX forms are made from the same operations (`ssse3-mmx.ts`), which work
 * lane by lane but for the horizontal ones, PSHUFB and PALIGNR.
 */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, select, simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { IDENTITY_BYTES, repeated, zeroVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineImmediate,
  defineUnary,
  type ImmediateOperation,
  type OperationTable,
  type UnaryOperation,
} from './vector-operation.ts'

/** PABSB and its like: the most negative number stays what it is, as an unsigned one. */
export const ABSOLUTE_OPERATIONS: OperationTable<UnaryOperation> = {
  Pabsb: (_scope, source) => simd('v128', 'i8x16.abs', [source]),
  Pabsw: (_scope, source) => simd('v128', 'i16x8.abs', [source]),
  Pabsd: (_scope, source) => simd('v128', 'i32x4.abs', [source]),
}

/** `a` negated where `b` is negative, cleared where `b` is zero. */
function sign(lanes: 'i8x16' | 'i16x8' | 'i32x4'): BinaryOperation {
  return (scope, a, b) => {
    const negative = scope.f.let(simd('v128', `${lanes}.gt_s`, [zeroVector(), b]))
    const negated = simd('v128', `${lanes}.sub`, [simd('v128', 'v128.xor', [a, negative]), negative])
    return simd('v128', 'v128.andnot', [negated, simd('v128', `${lanes}.eq`, [b, zeroVector()])])
  }
}

/** Unsigned bytes of `a` times signed ones of `b`, the pairs of products added with saturation. */
const multiplyAddBytes: BinaryOperation = (_scope, a, b) => {
  const evenA = simd('v128', 'v128.and', [a, repeated(0x00ff_00ff_00ff_00ffn)])
  const oddA = simd('v128', 'i16x8.shr_u', [a, i32(8)])
  const evenB = simd('v128', 'i16x8.shr_s', [simd('v128', 'i16x8.shl', [b, i32(8)]), i32(8)])
  const oddB = simd('v128', 'i16x8.shr_s', [b, i32(8)])
  return simd('v128', 'i16x8.add_sat_s', [
    simd('v128', 'i16x8.mul', [evenA, evenB]),
    simd('v128', 'i16x8.mul', [oddA, oddB]),
  ])
}

/** WebAssembly saturates -1 * -1 to the largest fraction, where x86 wraps to -1. */
const multiplyRoundScale: BinaryOperation = (_scope, a, b) => {
  const least = () => repeated(0x8000_8000_8000_8000n)
  const wraps = simd('v128', 'v128.and', [
    simd('v128', 'i16x8.eq', [a, least()]),
    simd('v128', 'i16x8.eq', [b, least()]),
  ])
  return simd('v128', 'v128.xor', [simd('v128', 'i16x8.q15mulr_sat_s', [a, b]), wraps])
}

/** Bytes of `a` selected by the low four bits of `b`, or zeros where its top bit is set. */
const shuffleBytes: BinaryOperation = (_scope, a, b) =>
  simd('v128', 'i8x16.swizzle', [a, simd('v128', 'v128.and', [b, repeated(0x8f8f_8f8f_8f8f_8f8fn)])])

export const SSSE3_OPERATIONS: OperationTable<BinaryOperation> = {
  Pshufb: shuffleBytes,
  Pmaddubsw: multiplyAddBytes,
  Pmulhrsw: multiplyRoundScale,
  Psignb: sign('i8x16'),
  Psignw: sign('i16x8'),
  Psignd: sign('i32x4'),
}

/** The pairs of neighbours of `a`, then those of `b`, combined: the even lane first. */
function horizontal(laneBytes: 2 | 4, operation: SimdOperation): BinaryOperation {
  const half = (first: number) =>
    Array.from({ length: 16 }, (_, i) => first + Math.floor(i / laneBytes) * 2 * laneBytes + (i % laneBytes))
  return (_scope, a, b) =>
    simd('v128', operation, [
      simd('v128', 'i8x16.shuffle', [a, b], half(0)),
      simd('v128', 'i8x16.shuffle', [a, b], half(laneBytes)),
    ])
}

export const HORIZONTAL_INTEGER_OPERATIONS: OperationTable<BinaryOperation> = {
  Phaddw: horizontal(2, 'i16x8.add'),
  Phaddd: horizontal(4, 'i32x4.add'),
  Phaddsw: horizontal(2, 'i16x8.add_sat_s'),
  Phsubw: horizontal(2, 'i16x8.sub'),
  Phsubd: horizontal(4, 'i32x4.sub'),
  Phsubsw: horizontal(2, 'i16x8.sub_sat_s'),
}

/** 16 bytes from byte `immediate` on of `b`, continued by `a` and then zeros. */
const alignRight: ImmediateOperation = (scope, a, b, immediate) => {
  const { f } = scope
  // `swizzle` gives zeros for indices outside 0 to 15, above and below alike.
  const count = f.let(select(immediate.gtU(32), i32(32), immediate))
  const indices = f.let(simd<'v128'>('v128', 'i8x16.add', [IDENTITY_BYTES, simd('v128', 'i8x16.splat', [count])]))
  const inA = simd('v128', 'i8x16.sub', [indices, repeated(0x1010_1010_1010_1010n)])
  return simd('v128', 'v128.or', [selectBytes(b, indices), selectBytes(a, inA)])
}

const selectBytes = (v: Vector, indices: Vector): Vector => simd('v128', 'i8x16.swizzle', [v, indices])

export const SSSE3_IMMEDIATE_OPERATIONS: OperationTable<ImmediateOperation> = { Palignr: alignRight }

export function defineSsse3(table: DefinitionTable): void {
  defineUnary(table, ABSOLUTE_OPERATIONS)
  defineBinary(table, SSSE3_OPERATIONS)
  defineBinary(table, HORIZONTAL_INTEGER_OPERATIONS)
  defineImmediate(table, SSSE3_IMMEDIATE_OPERATIONS)
}
