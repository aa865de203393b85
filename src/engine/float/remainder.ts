/** FPREM, FPREM1, FSCALE and FXTRACT: exact operations on extended values. */

import { FLAG_ZERO_DIVIDE, type FloatEnvironment } from './environment.ts'
import { bitLength, EXTENDED, finite, infinity, leadingExponent, type Unpacked, zero } from './format.ts'
import { invalid, nanOperand, noteDenormal } from './operands.ts'
import { round } from './round.ts'

export interface Remainder {
  readonly value: Unpacked
  /** Bits 2:0 of the quotient's magnitude; undefined if there is none, for a NaN or an invalid operation. */
  readonly quotient: number | undefined
  /** False for a partial remainder, to be reduced further. */
  readonly complete: boolean
}

/**
 * `dividend` reduced by `divisor`: FPREM, whose quotient is truncated, or with `nearest` FPREM1, whose quotient is
 * rounded to nearest even. Exponents 64 or more apart are reduced in part, by 32 to 63 bits (SDM vol. 2, FPREM).
 */
export function remainder(env: FloatEnvironment, dividend: Unpacked, divisor: Unpacked, nearest: boolean): Remainder {
  const special = nanOperand(env, dividend, divisor)
  if (special) return { value: special, quotient: undefined, complete: true }
  if (dividend.kind === 'infinity' || divisor.kind === 'zero')
    return { value: invalid(env), quotient: undefined, complete: true }
  const done = (value: Unpacked): Remainder => ({ value, quotient: 0, complete: true })
  noteDenormal(env, dividend, divisor)
  if (dividend.kind === 'zero') return done(dividend)
  if (divisor.kind === 'infinity') return done(exact(env, dividend))

  const distance = leadingExponent(dividend) - leadingExponent(divisor)
  if (distance < -1) return done(exact(env, dividend))
  const exponent = Math.min(dividend.exponent, divisor.exponent)
  const a = dividend.significand << BigInt(dividend.exponent - exponent)
  let b = divisor.significand << BigInt(divisor.exponent - exponent)
  if (distance >= 64) {
    b <<= BigInt(distance - ((distance & 31) | 32))
    const rest = exact(env, finite(dividend.negative, a % b, exponent))
    return { value: rest, quotient: 0, complete: false }
  }
  let quotient = a / b
  let rest = a - quotient * b
  let negative = dividend.negative
  if (nearest && (2n * rest > b || (2n * rest === b && (quotient & 1n) === 1n))) {
    quotient++
    rest = b - rest
    negative = !negative
  }
  const value = rest === 0n ? zero(dividend.negative) : exact(env, finite(negative, rest, exponent))
  return { value, quotient: Number(quotient & 7n), complete: true }
}

/** A value that needs no rounding, but may be tiny. */
function exact(env: FloatEnvironment, a: Unpacked): Unpacked {
  if (a.kind !== 'normal' && a.kind !== 'denormal') return a
  return round(EXTENDED, env, a.negative, a.significand, a.exponent)
}

/** Beyond any difference of two exponents: further scaling changes nothing. */
const SCALE_LIMIT = 0x10000

/** FSCALE: `a * 2 ** trunc(by)`. SDM vol. 2, FSCALE, table 3-29. */
export function scale(env: FloatEnvironment, a: Unpacked, by: Unpacked): Unpacked {
  const special = nanOperand(env, a, by)
  if (special) return special
  if (by.kind === 'infinity') {
    if (by.negative ? a.kind === 'infinity' : a.kind === 'zero') return invalid(env)
    noteDenormal(env, a)
    return by.negative ? zero(a.negative) : infinity(a.negative)
  }
  noteDenormal(env, a, by)
  if (a.kind === 'infinity' || a.kind === 'zero') return a
  return round(EXTENDED, env, a.negative, a.significand, a.exponent + truncated(by))
}

function truncated(by: Unpacked): number {
  if (by.kind === 'zero') return 0
  const leading = leadingExponent(by)
  if (leading < 0) return 0
  const magnitude = leading > 16 ? SCALE_LIMIT : Number(by.significand >> BigInt(-by.exponent))
  return by.negative ? -magnitude : magnitude
}

/** FXTRACT: the unbiased exponent as a value, and the significand with the sign and an exponent of zero. */
export function extract(env: FloatEnvironment, a: Unpacked): { exponent: Unpacked; significand: Unpacked } {
  const special = nanOperand(env, a)
  if (special) return { exponent: special, significand: special }
  if (a.kind === 'infinity') return { exponent: infinity(false), significand: a }
  if (a.kind === 'zero') {
    env.flags |= FLAG_ZERO_DIVIDE
    return { exponent: infinity(true), significand: a }
  }
  noteDenormal(env, a)
  const leading = leadingExponent(a)
  return {
    exponent: finite(leading < 0, BigInt(Math.abs(leading)), 0),
    significand: finite(a.negative, a.significand, 1 - bitLength(a.significand)),
  }
}
