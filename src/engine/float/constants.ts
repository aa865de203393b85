/** The irrational constants of the x87, as fixed-point integers computed when first needed by series. */

/** Fraction bits of the constants. */
export const CONSTANT_BITS = 512
const GUARD_BITS = 32
const ONE = 1n << BigInt(CONSTANT_BITS + GUARD_BITS)

/** Sum of sign ** k / ((2k + 1) * n ** (2k + 1)): atanh(1/n) for sign 1, atan(1/n) for sign -1. */
function inverseSeries(n: bigint, sign: 1n | -1n): bigint {
  let power = ONE / n
  let sum = 0n
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k
    power = (power * sign) / (n * n)
  }
  return sum
}

const ln2 = 2n * inverseSeries(3n, 1n)
// 10 = 2 ** 3 * 5/4, and 5/4 = (1 + 1/9) / (1 - 1/9).
const ln10 = 3n * ln2 + 2n * inverseSeries(9n, 1n)
// Machin's formula.
const pi = 4n * (4n * inverseSeries(5n, -1n) - inverseSeries(239n, -1n))

const withoutGuard = (value: bigint): bigint => value >> BigInt(GUARD_BITS)

export const PI: bigint = withoutGuard(pi)
export const LN2: bigint = withoutGuard(ln2)
/** log2(e). */
export const LOG2_E: bigint = withoutGuard((ONE * ONE) / ln2)
/** log2(10). */
export const LOG2_10: bigint = withoutGuard((ONE * ln10) / ln2)
/** log10(2). */
export const LG2: bigint = withoutGuard((ONE * ln2) / ln10)
