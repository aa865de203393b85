/** F2XM1, FYL2X and FYL2XP1. Results are rounded from far more than 64 bits, so nearly always correctly. */

import { multiply } from './arithmetic.ts'
import { CONSTANT_BITS, LN2, LOG2_E } from './constants.ts'
import { FLAG_PRECISION, FLAG_UNDERFLOW, FLAG_ZERO_DIVIDE, type FloatEnvironment } from './environment.ts'
import {
  FIXED_BITS,
  FIXED_LN2,
  FIXED_LOG2_E,
  FIXED_ONE,
  fixedDivide,
  fixedExpMinus1,
  fixedLogRatio,
  fixedMagnitude,
  fixedMultiply,
  toFixed,
} from './fixed-point.ts'
import { bitLength, EXTENDED, finite, infinity, leadingExponent, type Unpacked, zero } from './format.ts'
import { invalid, nanOperand, noteDenormal } from './operands.ts'
import { round } from './round.ts'

/** Below this exponent a function is computed as its argument times a short polynomial, which keeps all its bits. */
const SMALL = -60

/** Rounds an irrational value: whatever bits are known, more follow. */
export function roundIrrational(
  env: FloatEnvironment,
  negative: boolean,
  significand: bigint,
  exponent: number,
): Unpacked {
  return round(EXTENDED, env, negative, (significand << 1n) | 1n, exponent - 1)
}

/** Magnitude of the argument with its sign, in fixed point. */
const signedFixed = (a: Unpacked): bigint => (a.negative ? -fixedMagnitude(a) : fixedMagnitude(a))

/**
 * 2 ** a - 1 for -1 <= a <= 1. Outside, where the SDM leaves the result undefined, a value is returned unchanged
 * and the infinities give their limits.
 */
export function exp2Minus1(env: FloatEnvironment, a: Unpacked): Unpacked {
  const special = nanOperand(env, a)
  if (special) return special
  if (a.kind === 'infinity') return a.negative ? finite(true, 1n, 0) : a
  if (a.kind === 'zero') return a
  noteDenormal(env, a)
  const leading = leadingExponent(a)
  if (leading >= 0) {
    // The processor reports any result from here on as inexact.
    env.flags |= FLAG_PRECISION
    const isOne = leading === 0 && 1n << BigInt(-a.exponent) === a.significand
    return isOne && a.negative ? finite(true, 1n, -1) : a
  }
  if (leading < SMALL) {
    // 2 ** a - 1 = z (1 + z/2 + z**2/6 + ...) with z = a ln 2.
    const z = fixedMultiply(signedFixed(a), FIXED_LN2)
    const factor = FIXED_ONE + z / 2n + fixedMultiply(z, z) / 6n
    return roundIrrational(env, a.negative, a.significand * LN2 * factor, a.exponent - CONSTANT_BITS - FIXED_BITS)
  }
  const result = fixedExpMinus1(fixedMultiply(signedFixed(a), FIXED_LN2))
  return roundIrrational(env, result < 0n, result < 0n ? -result : result, -FIXED_BITS)
}

/** y * log2(x). SDM vol. 2, FYL2X, table 3-51. */
export function yLog2X(env: FloatEnvironment, x: Unpacked, y: Unpacked): Unpacked {
  const special = nanOperand(env, x, y)
  if (special) return special
  if (x.kind === 'zero') {
    if (y.kind === 'zero') return invalid(env)
    if (y.kind !== 'infinity') env.flags |= FLAG_ZERO_DIVIDE
    return infinity(!y.negative)
  }
  if (x.negative) return invalid(env)
  if (x.kind === 'infinity') {
    if (y.kind === 'zero') return invalid(env)
    noteDenormal(env, y)
    return infinity(y.negative)
  }
  const exponent = leadingExponent(x)
  const power = x.significand === 1n << BigInt(bitLength(x.significand) - 1)
  if (power && exponent === 0 && y.kind === 'infinity') return invalid(env)
  noteDenormal(env, x, y)
  if (y.kind === 'infinity') return infinity(y.negative !== exponent < 0)
  if (y.kind === 'zero') return zero(y.negative !== exponent < 0)
  if (!power) return timesLogarithm(env, y, log2(x.significand, exponent))
  return timesWhole(env, y, exponent)
}

/**
 * y times a whole logarithm. The product may be exact, but the processor reports it as inexact unless it is zero,
 * and with that an underflow if it is tiny.
 */
function timesWhole(env: FloatEnvironment, y: Unpacked, logarithm: number): Unpacked {
  const product = multiply(EXTENDED, env, exponentValue(logarithm), withoutDenormal(y))
  if (logarithm !== 0) env.flags |= FLAG_PRECISION
  if (product.kind === 'normal' && leadingExponent(product) < EXTENDED.minExponent) env.flags |= FLAG_UNDERFLOW
  return product
}

/** An exponent as a value; exact. */
function exponentValue(exponent: number): Unpacked {
  return exponent < 0 ? finite(true, BigInt(-exponent), 0) : finite(false, BigInt(exponent), 0)
}

/** A value whose denormal exception has been dealt with. */
function withoutDenormal(a: Unpacked): Unpacked {
  return finite(a.negative, a.significand, a.exponent)
}

/** log2 of a number with leading bit 2 ** exponent, in fixed point. */
function log2(significand: bigint, exponent: number): bigint {
  // A mantissa from 3/4 to 3/2 keeps the two parts from cancelling.
  let mantissa = toFixed(significand, 1 - bitLength(significand))
  let whole = BigInt(exponent)
  if (mantissa > FIXED_ONE + FIXED_ONE / 2n) {
    mantissa /= 2n
    whole++
  }
  const ratio = fixedDivide(mantissa - FIXED_ONE, mantissa + FIXED_ONE)
  return whole * FIXED_ONE + fixedMultiply(fixedLogRatio(ratio), FIXED_LOG2_E)
}

function timesLogarithm(env: FloatEnvironment, y: Unpacked, logarithm: bigint): Unpacked {
  const magnitude = logarithm < 0n ? -logarithm : logarithm
  return roundIrrational(env, y.negative !== logarithm < 0n, y.significand * magnitude, y.exponent - FIXED_BITS)
}

/**
 * y * log2(x + 1). The SDM defines it for |x| < 1 - sqrt(1/2) (vol. 2, FYL2XP1, table 3-52); beyond, it is computed
 * all the same, and x below -1 is invalid.
 */
export function yLog2XPlus1(env: FloatEnvironment, x: Unpacked, y: Unpacked): Unpacked {
  const special = nanOperand(env, x, y)
  if (special) return special
  if (x.kind === 'infinity') {
    if (x.negative || y.kind === 'zero') return invalid(env)
    noteDenormal(env, y)
    return infinity(y.negative)
  }
  if (x.kind === 'zero') {
    if (y.kind === 'infinity') return invalid(env)
    noteDenormal(env, y)
    return zero(x.negative !== y.negative)
  }
  const leading = leadingExponent(x)
  if (x.negative && leading >= 0) return minusOneOrLess(env, x, y)
  noteDenormal(env, x, y)
  if (y.kind === 'infinity') return infinity(x.negative !== y.negative)
  if (y.kind === 'zero') return zero(x.negative !== y.negative)
  if (leading < SMALL) {
    // log2(1 + x) = x (1 - x/2 + x**2/3 - ...) log2(e).
    const fixed = signedFixed(x)
    const factor = FIXED_ONE - fixed / 2n + fixedMultiply(fixed, fixed) / 3n
    const significand = x.significand * y.significand * LOG2_E * factor
    const exponent = x.exponent + y.exponent - CONSTANT_BITS - FIXED_BITS
    return roundIrrational(env, x.negative !== y.negative, significand, exponent)
  }
  const shift = Math.min(x.exponent, 0)
  const one = 1n << BigInt(-shift)
  const scaled = x.significand << BigInt(x.exponent - shift)
  const sum = x.negative ? one - scaled : one + scaled
  const exponent = shift + bitLength(sum) - 1
  if (sum === 1n << BigInt(bitLength(sum) - 1)) return timesWhole(env, y, exponent)
  return timesLogarithm(env, y, log2(sum, exponent))
}

function minusOneOrLess(env: FloatEnvironment, x: Unpacked, y: Unpacked): Unpacked {
  const isMinusOne = leadingExponent(x) === 0 && 1n << BigInt(-x.exponent) === x.significand
  if (!isMinusOne || y.kind === 'zero') return invalid(env)
  if (y.kind !== 'infinity') env.flags |= FLAG_ZERO_DIVIDE
  return infinity(!y.negative)
}
