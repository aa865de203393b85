/** Conversions between formats, to and from integers, and rounding to an integral value. */

import { FLAG_INVALID, FLAG_PRECISION, type FloatEnvironment, type RoundingMode } from './environment.ts'
import { type FloatFormat, finite, type Unpacked, zero } from './format.ts'
import { nanOperand, noteDenormal, operand } from './operands.ts'
import { round, roundShift } from './round.ts'

/** `a` rounded to `format`: CVTSD2SS and its like. */
export function convert(format: FloatFormat, env: FloatEnvironment, a: Unpacked): Unpacked {
  a = operand(a, env)
  const special = nanOperand(env, a)
  if (special) return special
  noteDenormal(env, a)
  if (a.kind === 'zero' || a.kind === 'infinity') return a
  return round(format, env, a.negative, a.significand, a.exponent)
}

/** A signed integer rounded to `format`. Zero is +0. */
export function fromInteger(format: FloatFormat, env: FloatEnvironment, value: bigint): Unpacked {
  if (value === 0n) return zero(false)
  return round(format, env, value < 0n, value < 0n ? -value : value, 0)
}

/**
 * `a` as a signed integer of `bits` bits. Out of range, infinite and NaN are invalid and give the integer
 * indefinite, -(2 ** (bits - 1)) (SDM vol. 1, 4.8.3.5). Denormal operands raise no exception of their own.
 */
export function toInteger(env: FloatEnvironment, a: Unpacked, bits: number, rounding: RoundingMode): bigint {
  a = operand(a, env)
  const limit = 1n << BigInt(bits - 1)
  env.roundedUp = false
  if (a.kind === 'zero') return 0n
  // The exponent bound keeps the exact shift below small.
  if ((a.kind !== 'normal' && a.kind !== 'denormal') || a.exponent > bits) return indefinite(env, limit)
  const rounded = roundShift(a.significand, -a.exponent, a.negative, rounding)
  const value = a.negative ? -rounded.value : rounded.value
  if (value < -limit || value >= limit) return indefinite(env, limit)
  if (rounded.inexact) env.flags |= FLAG_PRECISION
  env.roundedUp = rounded.up
  return value
}

function indefinite(env: FloatEnvironment, limit: bigint): bigint {
  env.flags |= FLAG_INVALID
  return -limit
}

/** The integral value nearest to `a` in the direction of `rounding`, in the same format. */
export function roundToIntegral(env: FloatEnvironment, a: Unpacked, rounding: RoundingMode): Unpacked {
  a = operand(a, env)
  env.roundedUp = false
  const special = nanOperand(env, a)
  if (special) return special
  if (a.kind === 'zero' || a.kind === 'infinity' || (a.kind === 'normal' && a.exponent >= 0)) return a
  const rounded = roundShift(a.significand, -a.exponent, a.negative, rounding)
  if (rounded.inexact) env.flags |= FLAG_PRECISION
  env.roundedUp = rounded.up
  return finite(a.negative, rounded.value, 0)
}
