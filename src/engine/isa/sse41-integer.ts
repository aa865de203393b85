/** SSE4.1's and SSE4.2's integer arithmetic and comparisons, and PTEST (SDM vol. 2). */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { lowVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS } from './vector-form.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineImmediate,
  defineUnary,
  type ImmediateOperation,
  type OperationTable,
  setVectorFlags,
  type UnaryOperation,
} from './vector-operation.ts'

const direct =
  (operation: SimdOperation): BinaryOperation =>
  (_scope, a, b) =>
    simd('v128', operation, [a, b])

/** The even doublewords, in the low half. */
const EVEN_DOUBLEWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]

const multiplySigned: BinaryOperation = (_scope, a, b) => {
  const evenOf = (v: Vector): Vector => simd('v128', 'i8x16.shuffle', [v, v], EVEN_DOUBLEWORDS)
  return simd('v128', 'i64x2.extmul_low_i32x4_s', [evenOf(a), evenOf(b)])
}

export const SSE41_INTEGER_OPERATIONS: OperationTable<BinaryOperation> = {
  Pmuldq: multiplySigned,
  Pmulld: direct('i32x4.mul'),
  Pcmpeqq: direct('i64x2.eq'),
  Pcmpgtq: direct('i64x2.gt_s'),
  Packusdw: direct('i16x8.narrow_i32x4_u'),
  Pminsb: direct('i8x16.min_s'),
  Pmaxsb: direct('i8x16.max_s'),
  Pminuw: direct('i16x8.min_u'),
  Pmaxuw: direct('i16x8.max_u'),
  Pminsd: direct('i32x4.min_s'),
  Pmaxsd: direct('i32x4.max_s'),
  Pminud: direct('i32x4.min_u'),
  Pmaxud: direct('i32x4.max_u'),
}

/** Words with their index below them, as doublewords whose minimum is the first of the smallest words. */
const smallestWord: UnaryOperation = (scope, source) => {
  const { f } = scope
  const indexed = (extend: SimdOperation, indices: readonly number[]): Vector =>
    simd('v128', 'v128.or', [
      simd('v128', 'i32x4.shl', [simd('v128', extend, [source]), i32(16)]),
      simd(
        'v128',
        'v128.const',
        [],
        indices.flatMap(index => [index, 0, 0, 0]),
      ),
    ])
  const least = (a: Vector, b: Vector): Vector => f.let(simd<'v128'>('v128', 'i32x4.min_u', [a, b]))
  const rotated = (v: Vector, bytes: number): Vector =>
    simd(
      'v128',
      'i8x16.shuffle',
      [v, v],
      Array.from({ length: 16 }, (_, i) => (i + bytes) % 16),
    )
  const four = least(
    indexed('i32x4.extend_low_i16x8_u', [0, 1, 2, 3]),
    indexed('i32x4.extend_high_i16x8_u', [4, 5, 6, 7]),
  )
  const two = least(four, rotated(four, 8))
  const key = f.let(simd<'i32'>('i32', 'i32x4.extract_lane', [least(two, rotated(two, 4))], [0]))
  return lowVector(key.rotl(i32(16)).extendU())
}

/** PHMINPOSUW: the smallest word, and its index above it. */
export const PHMINPOSUW: OperationTable<UnaryOperation> = { Phminposuw: smallestWord }

/** Sums of |differences| of four neighbouring bytes of `a`, from each of eight places on, and one group of `b`. */
const sumsOfDifferences: ImmediateOperation = (scope, a, b, immediate) => {
  const { f } = scope
  const at = (bytes: readonly number[], start: Value<'i32'>): Vector =>
    simd('v128', 'i8x16.add', [simd('v128', 'v128.const', [], bytes), simd('v128', 'i8x16.splat', [start])])
  const swizzle = (v: Vector, indices: Vector): Vector => simd('v128', 'i8x16.swizzle', [v, indices])
  const difference = (byte: number): Vector => {
    const window = Array.from({ length: 16 }, (_, i) => byte + Math.min(i, 7))
    const ofA = f.let(swizzle(a, at(window, immediate.and(4))))
    const ofB = f.let(swizzle(b, at(new Array(16).fill(byte), immediate.and(3).shl(2))))
    const absolute: Vector = simd('v128', 'v128.or', [
      simd('v128', 'i8x16.sub_sat_u', [ofA, ofB]),
      simd('v128', 'i8x16.sub_sat_u', [ofB, ofA]),
    ])
    return simd('v128', 'i16x8.extend_low_i8x16_u', [absolute])
  }
  return [1, 2, 3].reduce<Vector>((sum, byte) => simd('v128', 'i16x8.add', [sum, difference(byte)]), difference(0))
}

export const SUM_OPERATIONS: OperationTable<ImmediateOperation> = { Mpsadbw: sumsOfDifferences }

/** Does any bit of the vectors, taken together, differ from zero? */
const anyBit = (vectors: readonly Vector[]): Value<'i32'> =>
  simd('i32', 'v128.any_true', [vectors.reduce((all, each) => simd('v128', 'v128.or', [all, each]))])

/**
 * PTEST of `a` (destination) and `b`, in pieces of 128 bits: ZF unless they share a bit, CF unless `b` has one that
 * `a` lacks. Only the bits of `mask` count, where it is given: VTESTPS and VTESTPD look at signs.
 */
export function testBits(
  scope: InstructionScope,
  pieces: readonly { readonly a: Vector; readonly b: Vector }[],
  mask?: Vector,
): void {
  const counted = (v: Vector): Vector => (mask === undefined ? v : simd('v128', 'v128.and', [v, mask]))
  const shared = anyBit(pieces.map(({ a, b }) => counted(simd('v128', 'v128.and', [a, b]))))
  const missing = anyBit(pieces.map(({ a, b }) => counted(simd('v128', 'v128.andnot', [b, a]))))
  setVectorFlags(scope, { zero: shared.eqz(), carry: missing.eqz(), sign: i32(0), overflow: i32(0) })
}

export function defineSse41Integer(table: DefinitionTable): void {
  defineBinary(table, SSE41_INTEGER_OPERATIONS)
  defineUnary(table, PHMINPOSUW)
  defineImmediate(table, SUM_OPERATIONS)
  for (const form of FORMS)
    form.define(table, { mnemonics: 'Ptest', sources: 1 }, scope => {
      const b = form.load(scope, 1)
      const a = form.loadRegister(scope, 0)
      testBits(
        scope,
        b.map((half, i) => ({ a: a[i], b: half })),
      )
    })
}
