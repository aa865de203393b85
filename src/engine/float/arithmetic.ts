/** Addition, subtraction, multiplication, division and square root: exact on integers, rounded once. */

import { FLAG_ZERO_DIVIDE, type FloatEnvironment, Rounding } from './environment.ts'
import { bitLength, type FloatFormat, infinity, type Unpacked, zero } from './format.ts'
import { invalid, nanOperand, noteDenormal, operand } from './operands.ts'
import { round } from './round.ts'

/** Beyond this many binary places a smaller addend only matters as a sticky bit: two significands and some. */
const FAR = 140

export function add(format: FloatFormat, env: FloatEnvironment, a: Unpacked, b: Unpacked): Unpacked {
  return sum(format, env, operand(a, env), operand(b, env), false)
}

/** a - b. */
export function subtract(format: FloatFormat, env: FloatEnvironment, a: Unpacked, b: Unpacked): Unpacked {
  return sum(format, env, operand(a, env), operand(b, env), true)
}

function sum(format: FloatFormat, env: FloatEnvironment, a: Unpacked, b: Unpacked, negateB: boolean): Unpacked {
  const special = nanOperand(env, a, b)
  if (special) return special
  const negativeB = b.negative !== negateB
  if (a.kind === 'infinity') {
    if (b.kind === 'infinity' && a.negative !== negativeB) return invalid(env)
    noteDenormal(env, b)
    return a
  }
  noteDenormal(env, a, b)
  if (b.kind === 'infinity') return infinity(negativeB)
  if (a.kind === 'zero' && b.kind === 'zero' && a.negative === negativeB) return a

  return roundedSum(
    format,
    env,
    { significand: a.negative ? -a.significand : a.significand, exponent: a.exponent },
    { significand: negativeB ? -b.significand : b.significand, exponent: b.exponent },
    FAR,
  )
}

/** A number with its sign. */
export interface Exact {
  readonly significand: bigint
  readonly exponent: number
}

/** a + b. @param far binary places beyond which the smaller one only matters as a sticky bit */
export function roundedSum(format: FloatFormat, env: FloatEnvironment, a: Exact, b: Exact, far: number): Unpacked {
  const aIsLarge = b.significand === 0n || (a.significand !== 0n && a.exponent >= b.exponent)
  const { significand: largeSignificand, exponent: largeExponent } = aIsLarge ? a : b
  let { significand: smallSignificand, exponent: smallExponent } = aIsLarge ? b : a
  if (smallSignificand === 0n) smallExponent = largeExponent
  if (largeExponent - smallExponent > far) {
    smallSignificand = smallSignificand < 0n ? -1n : 1n
    smallExponent = largeExponent - far
  }
  const total = (largeSignificand << BigInt(largeExponent - smallExponent)) + smallSignificand
  // SDM vol. 1, 4.8.3.1: an exact zero of unlike signs is +0, or -0 when rounding down.
  if (total === 0n) return zero(env.rounding === Rounding.DOWN)
  return round(format, env, total < 0n, total < 0n ? -total : total, smallExponent)
}

export function multiply(format: FloatFormat, env: FloatEnvironment, a: Unpacked, b: Unpacked): Unpacked {
  a = operand(a, env)
  b = operand(b, env)
  const special = nanOperand(env, a, b)
  if (special) return special
  const negative = a.negative !== b.negative
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    if (a.kind === 'zero' || b.kind === 'zero') return invalid(env)
    noteDenormal(env, a, b)
    return infinity(negative)
  }
  noteDenormal(env, a, b)
  if (a.kind === 'zero' || b.kind === 'zero') return zero(negative)
  return round(format, env, negative, a.significand * b.significand, a.exponent + b.exponent)
}

/** a / b. */
export function divide(format: FloatFormat, env: FloatEnvironment, a: Unpacked, b: Unpacked): Unpacked {
  a = operand(a, env)
  b = operand(b, env)
  const special = nanOperand(env, a, b)
  if (special) return special
  const negative = a.negative !== b.negative
  if (a.kind === 'infinity') {
    if (b.kind === 'infinity') return invalid(env)
    noteDenormal(env, b)
    return infinity(negative)
  }
  if (b.kind === 'zero') {
    if (a.kind === 'zero') return invalid(env)
    env.flags |= FLAG_ZERO_DIVIDE
    return infinity(negative)
  }
  noteDenormal(env, a, b)
  if (b.kind === 'infinity' || a.kind === 'zero') return zero(negative)
  // A quotient of more than 64 + 2 bits, and the remainder as its sticky bit.
  const shift = Math.max(0, 68 + bitLength(b.significand) - bitLength(a.significand))
  const dividend = a.significand << BigInt(shift)
  const quotient = dividend / b.significand
  const sticky = quotient * b.significand === dividend ? 0n : 1n
  return round(format, env, negative, (quotient << 1n) | sticky, a.exponent - shift - b.exponent - 1)
}

export function squareRoot(format: FloatFormat, env: FloatEnvironment, a: Unpacked): Unpacked {
  a = operand(a, env)
  const special = nanOperand(env, a)
  if (special) return special
  if (a.kind === 'zero') return a
  if (a.negative) return invalid(env)
  noteDenormal(env, a)
  if (a.kind === 'infinity') return a
  // An even exponent, and a radicand long enough for a root of 64 + 2 bits.
  let shift = Math.max(0, 136 - bitLength(a.significand))
  if ((a.exponent - shift) & 1) shift++
  const radicand = a.significand << BigInt(shift)
  const root = integerSquareRoot(radicand)
  const sticky = root * root === radicand ? 0n : 1n
  return round(format, env, false, (root << 1n) | sticky, (a.exponent - shift) / 2 - 1)
}

/** The largest integer whose square is at most `value`, by Newton's iteration from above. */
export function integerSquareRoot(value: bigint): bigint {
  if (value < 2n) return value
  let root = 1n << BigInt((bitLength(value) + 1) >> 1)
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}
