/**
 * Fused multiplication and addition from WebAssembly's arithmetic, which has none that it defines to the bit: the exact
 * product and the rounding errors of sums are kept apart, what is beyond reach is gathered by rounding to odd, and so
 * one rounding to nearest remains (S. Boldo and G. Melquiond, Emulation of a FMA and Correctly Rounded Sums: Proved
 * Algorithms Using Rounding to Odd, IEEE Transactions on Computers 57(4), 2008).
 */

import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { i32, simd } from '../wasm/value.ts'
import { and, FloatLanes, not, or } from './sse-lanes.ts'
import { repeated } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'

const SINGLE = new FloatLanes('ps')
const DOUBLE = new FloatLanes('pd')

export interface FusedResult {
  readonly result: Vector
  /** Lanes that must be computed in software. */
  readonly unsafe: Vector
  /** Lanes in which nothing was rounded, provided that they are not unsafe. */
  readonly exact: Vector
}

interface Sum {
  readonly sum: Vector
  /** What rounding took from it. */
  readonly error: Vector
}

const add = (a: Vector, b: Vector): Vector => DOUBLE.compute('add', a, b)
const sub = (a: Vector, b: Vector): Vector => DOUBLE.compute('sub', a, b)
const mul = (a: Vector, b: Vector): Vector => DOUBLE.compute('mul', a, b)

/** Knuth's TwoSum. */
function exactSum(f: FunctionBuilder, a: Vector, b: Vector): Sum {
  const sum = f.let(add(a, b))
  const ofB = f.let(sub(sum, a))
  return { sum, error: f.let(add(sub(a, sub(sum, ofB)), sub(b, ofB))) }
}

/**
 * The sum rounded to odd: where it is not exact, the one of its neighbours whose last bit is set. The sum to nearest
 * is that already, or lies one step from it on the side that the error tells.
 */
function toOdd({ sum, error }: Sum): Vector {
  const isEven: Vector = simd('v128', 'i64x2.eq', [and(sum, repeated(1n)), repeated(0n)])
  const moves = and(isEven, DOUBLE.compare('ne', error, DOUBLE.zero))
  const sameSign: Vector = simd('v128', 'i64x2.shr_s', [simd('v128', 'v128.xor', [sum, error]), i32(63)])
  // One step away from zero, or one towards it where the signs differ.
  const step = or(sameSign, repeated(1n))
  return simd('v128', 'i64x2.add', [sum, and(step, moves)])
}

/** Veltkamp's and Dekker's product, exact while neither it nor its parts leave the range of normal numbers. */
function exactProduct(f: FunctionBuilder, a: Vector, b: Vector): Sum {
  const split = (v: Vector) => {
    // 2^27 + 1
    const scaled = f.let(mul(v, DOUBLE.constant(0, 0x41a0_0000_0200_0000n)))
    const high = f.let(sub(scaled, sub(scaled, v)))
    return { high, low: f.let(sub(v, high)) }
  }
  const [ofA, ofB] = [split(a), split(b)]
  const sum = f.let(mul(a, b))
  const first = sub(mul(ofA.high, ofB.high), sum)
  const error = add(add(add(first, mul(ofA.high, ofB.low)), mul(ofA.low, ofB.high)), mul(ofA.low, ofB.low))
  return { sum, error: f.let(error) }
}

/** 2^-485 and 2^485: factors between them have exact products, and 2^1000 is far enough from overflow. */
const SMALLEST_FACTOR = 0x21a0_0000_0000_0000n
const LARGEST_FACTOR = 0x5e40_0000_0000_0000n
const LARGEST_ADDEND = 0x7e70_0000_0000_0000n

export function fusedDoubles(f: FunctionBuilder, a: Vector, b: Vector, c: Vector): FusedResult {
  const product = exactProduct(f, a, b)
  const lower = exactSum(f, c, product.error)
  const upper = exactSum(f, product.sum, lower.sum)
  const rest = exactSum(f, lower.error, upper.error)
  const odd = f.let(toOdd(rest))
  const final = exactSum(f, upper.sum, odd)
  // The sign of a zero is that of the plain sum, which is exact then.
  const isZero = f.let(DOUBLE.isZero(final.sum))
  const result = f.let(simd<'v128'>('v128', 'v128.bitselect', [add(product.sum, c), final.sum, isZero]))
  const isFactor = (v: Vector) => {
    const size = f.let(DOUBLE.compute('abs', v))
    const inRange = and(
      DOUBLE.compare('ge', size, DOUBLE.constant(0, SMALLEST_FACTOR)),
      DOUBLE.compare('le', size, DOUBLE.constant(0, LARGEST_FACTOR)),
    )
    return or(inRange, DOUBLE.isZero(v))
  }
  const isAddend = and(
    DOUBLE.compare('le', DOUBLE.compute('abs', c), DOUBLE.constant(0, LARGEST_ADDEND)),
    not(DOUBLE.isDenormal(c)),
  )
  const safe = and(and(isFactor(a), isFactor(b)), and(isAddend, or(DOUBLE.isSafelyNormal(result), isZero)))
  const exact = and(DOUBLE.isZero(rest.error), DOUBLE.isZero(final.error))
  return { result, unsafe: not(safe), exact }
}

/** Two lanes: products of binary32 numbers are exact in binary64, and narrowing what was rounded to odd rounds once. */
function fusedPair(f: FunctionBuilder, a: Vector, b: Vector, c: Vector) {
  const wide = (v: Vector): Vector => simd('v128', 'f64x2.promote_low_f32x4', [v])
  const total = exactSum(f, f.let(mul(wide(a), wide(b))), f.let(wide(c)))
  const odd = f.let(toOdd(total))
  const result = f.let(simd<'v128'>('v128', 'f32x4.demote_f64x2_zero', [odd]))
  return {
    result,
    isZero: DOUBLE.isZero(odd),
    exact: and(DOUBLE.isZero(total.error), DOUBLE.compare('eq', wide(result), odd)),
  }
}

const highPair = (v: Vector): Vector =>
  simd('v128', 'i8x16.shuffle', [v, v], [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])

/** Masks of four 64-bit lanes as one of 32-bit lanes. */
const narrowMasks = (low: Vector, high: Vector): Vector =>
  simd('v128', 'i8x16.shuffle', [low, high], [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27])

export function fusedSingles(f: FunctionBuilder, a: Vector, b: Vector, c: Vector): FusedResult {
  const low = fusedPair(f, a, b, c)
  const high = fusedPair(f, f.let(highPair(a)), f.let(highPair(b)), f.let(highPair(c)))
  const bytes = Array.from({ length: 16 }, (_, i) => (i < 8 ? i : i + 8))
  const result = f.let(simd<'v128'>('v128', 'i8x16.shuffle', [low.result, high.result], bytes))
  const isZero = narrowMasks(low.isZero, high.isZero)
  const hasDenormal = [a, b, c].map(v => SINGLE.isDenormal(v)).reduce(or)
  const unsafe = or(not(or(SINGLE.isSafelyNormal(result), isZero)), hasDenormal)
  return { result, unsafe, exact: narrowMasks(low.exact, high.exact) }
}
