/** Fused multiplication and addition: the exact product and the addend, rounded once (SDM vol. 1, 14.5). */

import { type Exact, roundedSum } from './arithmetic.ts'
import { FLAG_INVALID, type FloatEnvironment, Rounding } from './environment.ts'
import { type FloatFormat, infinity, isNan, type Unpacked, zero } from './format.ts'
import { invalid, noteDenormal, operand, quieted } from './operands.ts'

/** As in a sum, but a product has twice as many bits. */
const FAR = 280

/** a * b + c, with the product or the addend negated where that is asked for; NaNs keep their signs. */
export function multiplyAdd(
  format: FloatFormat,
  env: FloatEnvironment,
  factors: readonly [Unpacked, Unpacked],
  addend: Unpacked,
  negateProduct: boolean,
  negateAddend: boolean,
): Unpacked {
  const [a, b] = [operand(factors[0], env), operand(factors[1], env)]
  const c = operand(addend, env)
  const indeterminate = (a.kind === 'infinity' && b.kind === 'zero') || (a.kind === 'zero' && b.kind === 'infinity')
  const nan = [a, b, c].find(isNan)
  if (nan !== undefined) {
    if ([a, b, c].some(each => each.kind === 'signalling-nan')) env.flags |= FLAG_INVALID
    return quieted(nan)
  }
  if (indeterminate) return invalid(env)
  const negativeProduct = (a.negative !== b.negative) !== negateProduct
  const negativeAddend = c.negative !== negateAddend
  if (a.kind === 'infinity' || b.kind === 'infinity') {
    if (c.kind === 'infinity' && negativeAddend !== negativeProduct) return invalid(env)
    noteDenormal(env, a, b)
    noteDenormal(env, c)
    return infinity(negativeProduct)
  }
  noteDenormal(env, a, b)
  noteDenormal(env, c)
  if (c.kind === 'infinity') return infinity(negativeAddend)
  const product = signed(negativeProduct, a.significand * b.significand, a.exponent + b.exponent)
  if (product.significand === 0n && c.kind === 'zero')
    return zero(negativeProduct === negativeAddend ? negativeProduct : env.rounding === Rounding.DOWN)
  return roundedSum(format, env, product, signed(negativeAddend, c.significand, c.exponent), FAR)
}

const signed = (negative: boolean, significand: bigint, exponent: number): Exact => ({
  significand: negative ? -significand : significand,
  exponent,
})
