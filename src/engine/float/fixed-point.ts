/**
 * Elementary functions on fixed-point integers of {@link FIXED_BITS} fraction bits. Arguments are reduced already;
 * absolute errors are a few units of the last place, which leaves over 180 good bits of any result down to 2 ** -64.
 */

import { integerSquareRoot } from './arithmetic.ts'
import { CONSTANT_BITS, LN2, LOG2_E, PI } from './constants.ts'
import type { Unpacked } from './format.ts'

export const FIXED_BITS = 256
const BITS = BigInt(FIXED_BITS)
export const FIXED_ONE = 1n << BITS

const shorten = (constant: bigint): bigint => constant >> BigInt(CONSTANT_BITS - FIXED_BITS)
export const FIXED_PI = shorten(PI)
export const FIXED_LN2 = shorten(LN2)
export const FIXED_LOG2_E = shorten(LOG2_E)

export const fixedMultiply = (a: bigint, b: bigint): bigint => (a * b) >> BITS
export const fixedDivide = (a: bigint, b: bigint): bigint => (a << BITS) / b

/** `significand * 2 ** exponent` in fixed point; bits below the last are dropped. */
export function toFixed(significand: bigint, exponent: number): bigint {
  const shift = exponent + FIXED_BITS
  return shift >= 0 ? significand << BigInt(shift) : significand >> BigInt(-shift)
}

/** Magnitude of a finite value. */
export const fixedMagnitude = (a: Unpacked): bigint => toFixed(a.significand, a.exponent)

/** Sum of the alternating series of sine (`first` is the argument) or cosine (`first` is one), for arguments below 1. */
function alternating(argument: bigint, first: bigint, firstDivisor: bigint): bigint {
  const square = fixedMultiply(argument, argument)
  let term = first
  let sum = 0n
  for (let n = firstDivisor; term !== 0n; n += 2n) {
    sum += term
    term = -(fixedMultiply(term < 0n ? -term : term, square) / (n * (n + 1n))) * (term < 0n ? -1n : 1n)
  }
  return sum
}

/** @param argument from 0 to 1 */
export const fixedSine = (argument: bigint): bigint => alternating(argument, argument, 2n)
/** @param argument from 0 to 1 */
export const fixedCosine = (argument: bigint): bigint => alternating(argument, FIXED_ONE, 1n)

/** e ** argument - 1. @param argument from -1 to 1 */
export function fixedExpMinus1(argument: bigint): bigint {
  let term = argument
  let sum = 0n
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    sum += term
    term = fixedMultiply(term, argument) / n
  }
  return sum
}

/** ln((1 + t) / (1 - t)). @param t from -1/2 to 1/2 */
export function fixedLogRatio(t: bigint): bigint {
  const square = fixedMultiply(t, t)
  let power = t
  let sum = 0n
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n
    power = fixedMultiply(power, square)
  }
  return 2n * sum
}

/** Halvings of the angle before the series, each worth about two bits a term. */
const HALVINGS = 3

/** @param tangent from 0 to 1 */
export function fixedArctangent(tangent: bigint): bigint {
  let reduced = tangent
  for (let i = 0; i < HALVINGS; i++) {
    const hypotenuse = integerSquareRoot((FIXED_ONE << BITS) + reduced * reduced)
    reduced = fixedDivide(reduced, FIXED_ONE + hypotenuse)
  }
  const square = fixedMultiply(reduced, reduced)
  let power = reduced
  let sum = 0n
  for (let n = 1n; power !== 0n; n += 4n) {
    sum += power / n
    power = fixedMultiply(power, square)
    sum -= power / (n + 2n)
    power = fixedMultiply(power, square)
  }
  return sum << BigInt(HALVINGS)
}
