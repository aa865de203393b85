/** Comparison, and minimum and maximum as SSE defines them. */

import { FLAG_INVALID, type FloatEnvironment } from './environment.ts'
import { isNan, leadingExponent, type Unpacked } from './format.ts'
import { noteDenormal, operand } from './operands.ts'

export type Ordering = 'less' | 'equal' | 'greater' | 'unordered'

/**
 * How `a` lies to `b`. A signalling NaN or an unsupported encoding is invalid; a quiet NaN is only for
 * `signalling` comparisons.
 */
export function compare(env: FloatEnvironment, a: Unpacked, b: Unpacked, signalling: boolean): Ordering {
  a = operand(a, env)
  b = operand(b, env)
  if (a.kind === 'unsupported' || b.kind === 'unsupported') {
    env.flags |= FLAG_INVALID
    return 'unordered'
  }
  if (isNan(a) || isNan(b)) {
    if (signalling || a.kind === 'signalling-nan' || b.kind === 'signalling-nan') env.flags |= FLAG_INVALID
    return 'unordered'
  }
  noteDenormal(env, a, b)
  return order(a, b)
}

/** Order of two numbers; the zeros are equal. */
function order(a: Unpacked, b: Unpacked): Ordering {
  if (a.kind === 'zero' && b.kind === 'zero') return 'equal'
  if (a.kind === 'zero') return b.negative ? 'greater' : 'less'
  if (b.kind === 'zero' || a.negative !== b.negative) return a.negative ? 'less' : 'greater'
  const magnitude = compareMagnitude(a, b)
  if (magnitude === 0) return 'equal'
  return magnitude < 0 !== a.negative ? 'less' : 'greater'
}

/** Negative, zero or positive as |a| is less than, equal to or greater than |b|; neither is zero or NaN. */
function compareMagnitude(a: Unpacked, b: Unpacked): number {
  if (a.kind === 'infinity' || b.kind === 'infinity')
    return (a.kind === 'infinity' ? 1 : 0) - (b.kind === 'infinity' ? 1 : 0)
  const leading = leadingExponent(a) - leadingExponent(b)
  if (leading !== 0) return leading
  const shift = a.exponent - b.exponent
  const left = shift > 0 ? a.significand << BigInt(shift) : a.significand
  const right = shift < 0 ? b.significand << BigInt(-shift) : b.significand
  return left < right ? -1 : left > right ? 1 : 0
}

/**
 * MINSS and its like: the second operand unless the first is strictly less (or greater, for `maximum`).
 * SDM vol. 2, MINSS: NaNs of either kind are invalid, and the second operand is returned unchanged.
 */
export function minMax(env: FloatEnvironment, a: Unpacked, b: Unpacked, maximum: boolean): Unpacked {
  const first = operand(a, env)
  const second = operand(b, env)
  const ordering = compare(env, first, second, true)
  return ordering === (maximum ? 'greater' : 'less') ? first : second
}
