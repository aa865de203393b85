/** Rounding: the only place where an exact result becomes one that a format holds, with its exceptions. */

import {
  FLAG_OVERFLOW,
  FLAG_PRECISION,
  FLAG_UNDERFLOW,
  type FloatEnvironment,
  Rounding,
  type RoundingMode,
} from './environment.ts'
import { bitLength, EXTENDED, type FloatFormat, finite, infinity, type Unpacked, zero } from './format.ts'

/** What unmasked overflow takes from the exponent of an x87 register result, and underflow adds to it. */
const EXPONENT_WRAP = 24576

/** An integer from which low bits were rounded away. */
export interface RoundedInteger {
  readonly value: bigint
  readonly inexact: boolean
  /** Was the magnitude increased? */
  readonly up: boolean
}

/** Rounds `significand / 2 ** shift` to an integer; a negative `shift` multiplies exactly. */
export function roundShift(
  significand: bigint,
  shift: number,
  negative: boolean,
  rounding: RoundingMode,
): RoundedInteger {
  if (shift <= 0) return { value: significand << BigInt(-shift), inexact: false, up: false }
  const kept = significand >> BigInt(shift)
  const rest = significand - (kept << BigInt(shift))
  if (rest === 0n) return { value: kept, inexact: false, up: false }
  const up = roundsUp(kept, rest, 1n << BigInt(shift - 1), negative, rounding)
  return { value: up ? kept + 1n : kept, inexact: true, up }
}

function roundsUp(kept: bigint, rest: bigint, half: bigint, negative: boolean, rounding: RoundingMode): boolean {
  switch (rounding) {
    case Rounding.NEAREST:
      return rest > half || (rest === half && (kept & 1n) === 1n)
    case Rounding.DOWN:
      return negative
    case Rounding.UP:
      return !negative
    case Rounding.ZERO:
      return false
  }
}

/**
 * Rounds the nonzero value `significand * 2 ** exponent` to `format` and raises overflow, underflow and precision.
 * A result that is not exact has its sticky bit (one set bit below every bit that decides) in `significand`.
 *
 * Tininess is detected after rounding (SDM vol. 1, 4.9.1.5): the result rounded as if the exponent were unbounded.
 * Unmasked overflow and underflow give the x87's wrapped exponent (SDM vol. 1, 8.5.4 and 8.5.5); destinations other
 * than x87 registers are then not written, so the value does not matter to them.
 */
export function round(
  format: FloatFormat,
  env: FloatEnvironment,
  negative: boolean,
  significand: bigint,
  exponent: number,
): Unpacked {
  const precision = format === EXTENDED ? env.precision : format.precision
  const leading = exponent + bitLength(significand) - 1
  const unbounded = roundShift(significand, leading - precision + 1 - exponent, negative, env.rounding)
  const carried = unbounded.value >> BigInt(precision) !== 0n
  const resultExponent = leading - precision + 1
  const resultLeading = carried ? leading + 1 : leading
  env.roundedUp = unbounded.up

  if (resultLeading > format.maxExponent) return overflow(format, env, negative, precision, unbounded, resultExponent)
  if (resultLeading >= format.minExponent) {
    if (unbounded.inexact) env.flags |= FLAG_PRECISION
    return finite(negative, unbounded.value, resultExponent)
  }

  if (!(env.masks & FLAG_UNDERFLOW)) {
    env.flags |= FLAG_UNDERFLOW
    if (unbounded.inexact) env.flags |= FLAG_PRECISION
    return wrapped(format, env, negative, unbounded.value, resultExponent, EXPONENT_WRAP)
  } else if (env.flushToZero) {
    // SDM vol. 1, 10.2.3.3: only with underflow masked; the result counts as inexact.
    env.flags |= FLAG_UNDERFLOW | FLAG_PRECISION
    env.roundedUp = false
    return zero(negative)
  }
  const quantum = format.minExponent - precision + 1
  const denormal = roundShift(significand, quantum - exponent, negative, env.rounding)
  env.roundedUp = denormal.up
  if (denormal.inexact) env.flags |= FLAG_UNDERFLOW | FLAG_PRECISION
  return finite(negative, denormal.value, quantum)
}

function overflow(
  format: FloatFormat,
  env: FloatEnvironment,
  negative: boolean,
  precision: number,
  rounded: RoundedInteger,
  exponent: number,
): Unpacked {
  env.flags |= FLAG_OVERFLOW
  if (!(env.masks & FLAG_OVERFLOW)) {
    if (rounded.inexact) env.flags |= FLAG_PRECISION
    return wrapped(format, env, negative, rounded.value, exponent, -EXPONENT_WRAP)
  }
  env.flags |= FLAG_PRECISION
  // SDM vol. 1, table 4-10: toward zero, and toward the infinity of the other sign, give the largest finite value.
  const toInfinity = env.rounding === Rounding.NEAREST || env.rounding === (negative ? Rounding.DOWN : Rounding.UP)
  env.roundedUp = toInfinity
  if (toInfinity) return infinity(negative)
  return finite(negative, (1n << BigInt(precision)) - 1n, format.maxExponent - precision + 1)
}

/**
 * What an x87 register gets on unmasked overflow or underflow: the exponent brought into range by `wrap`.
 * One too far out for that (FSCALE can be) is infinite or zero.
 */
function wrapped(
  format: FloatFormat,
  env: FloatEnvironment,
  negative: boolean,
  significand: bigint,
  exponent: number,
  wrap: number,
): Unpacked {
  const leading = exponent + wrap + bitLength(significand) - 1
  const representable = leading >= format.minExponent && leading <= format.maxExponent
  if (format === EXTENDED && representable) return finite(negative, significand, exponent + wrap)
  if (format === EXTENDED) {
    env.flags |= FLAG_PRECISION
    env.roundedUp = wrap < 0
  }
  return wrap < 0 ? infinity(negative) : zero(negative)
}
