/** FSIN, FCOS, FPTAN and FPATAN. */

import type { FloatEnvironment } from './environment.ts'
import {
  FIXED_BITS,
  FIXED_PI,
  fixedArctangent,
  fixedCosine,
  fixedDivide,
  fixedMultiply,
  fixedSine,
  toFixed,
} from './fixed-point.ts'
import { bitLength, finite, leadingExponent, type Unpacked, zero } from './format.ts'
import { roundIrrational } from './logarithm.ts'
import { invalid, nanOperand, noteDenormal } from './operands.ts'

/** The processor's own pi, of 66 bits, in units of 2 ** -66: what it reduces arguments with. SDM vol. 1, 8.3.8. */
const PI_66 = 0xc90fdaa22168c234cn
const PI_66_EXPONENT = -66

/** Below this exponent, sine and tangent differ from the argument by less than any rounding sees. */
const SMALL = -64

/** Is the argument of a trigonometric function in range? If not, C2 is set and nothing computed. SDM vol. 1, 8.3.8. */
export function inTrigonometricRange(a: Unpacked): boolean {
  return (a.kind !== 'normal' && a.kind !== 'denormal') || leadingExponent(a) < 63
}

/** An angle as quadrants of pi/2 (modulo 4) and a rest between -pi/4 and pi/4, in fixed point. */
interface Angle {
  readonly quadrant: number
  readonly negative: boolean
  readonly rest: bigint
}

/** Reduces a positive magnitude; exact, since the rest is on the grid of argument and pi. */
function reduce(a: Unpacked): Angle {
  // pi/2 and the argument in units of 2 ** exponent.
  const exponent = Math.min(a.exponent, PI_66_EXPONENT - 1)
  const half = PI_66 << BigInt(PI_66_EXPONENT - 1 - exponent)
  const argument = a.significand << BigInt(a.exponent - exponent)
  const quotient = (2n * argument + half) / (2n * half)
  const rest = argument - quotient * half
  return {
    quadrant: Number(quotient & 3n),
    negative: rest < 0n,
    rest: toFixed(rest < 0n ? -rest : rest, exponent),
  }
}

/** The value as it is, or as little smaller in magnitude as rounding can see. */
function justBelow(env: FloatEnvironment, a: Unpacked): Unpacked {
  return roundIrrational(env, a.negative, (a.significand << 130n) - 1n, a.exponent - 130)
}

function justAbove(env: FloatEnvironment, a: Unpacked): Unpacked {
  return roundIrrational(env, a.negative, a.significand << 130n, a.exponent - 130)
}

/** What the three functions do alike: NaNs, infinities and denormals. */
function special(env: FloatEnvironment, a: Unpacked): Unpacked | undefined {
  const nan = nanOperand(env, a)
  if (nan) return nan
  if (a.kind === 'infinity') return invalid(env)
  noteDenormal(env, a)
  return undefined
}

/** Sine of a value in range. */
export function sine(env: FloatEnvironment, a: Unpacked): Unpacked {
  const early = special(env, a)
  if (early) return early
  if (a.kind === 'zero') return a
  if (leadingExponent(a) < SMALL) return justBelow(env, a)
  const { quadrant, negative, rest } = reduce(a)
  // sin(q pi/2 + r): r, 1, -r, -1 as sine and cosine alternate.
  const usesSine = (quadrant & 1) === 0
  const magnitude = usesSine ? fixedSine(rest) : fixedCosine(rest)
  const flipped = ((quadrant & 2) !== 0) !== (usesSine && negative)
  return roundIrrational(env, a.negative !== flipped, magnitude, -FIXED_BITS)
}

/** Cosine of a value in range. */
export function cosine(env: FloatEnvironment, a: Unpacked): Unpacked {
  const early = special(env, a)
  if (early) return early
  const one = finite(false, 1n, 0)
  if (a.kind === 'zero') return one
  if (leadingExponent(a) < SMALL) return justBelow(env, one)
  const { quadrant, negative, rest } = reduce(a)
  const usesCosine = (quadrant & 1) === 0
  const magnitude = usesCosine ? fixedCosine(rest) : fixedSine(rest)
  const flipped = usesCosine ? quadrant === 2 : (quadrant === 1) !== negative
  return roundIrrational(env, flipped, magnitude, -FIXED_BITS)
}

/** Tangent of a value in range. */
export function tangent(env: FloatEnvironment, a: Unpacked): Unpacked {
  const early = special(env, a)
  if (early) return early
  if (a.kind === 'zero') return a
  if (leadingExponent(a) < SMALL) return justAbove(env, a)
  const { quadrant, negative, rest } = reduce(a)
  const [sin, cos] = [fixedSine(rest), fixedCosine(rest)]
  const odd = (quadrant & 1) !== 0
  const magnitude = odd ? fixedDivide(cos, sin) : fixedDivide(sin, cos)
  return roundIrrational(env, a.negative !== (odd !== negative), magnitude, -FIXED_BITS)
}

/** The angle of the point (x, y), from -pi to pi. SDM vol. 2, FPATAN, table 3-40. */
export function arctangent(env: FloatEnvironment, y: Unpacked, x: Unpacked): Unpacked {
  const nan = nanOperand(env, y, x)
  if (nan) return nan
  noteDenormal(env, y, x)
  const angle = (fixed: bigint): Unpacked => roundIrrational(env, y.negative, fixed, -FIXED_BITS)
  if (y.kind === 'infinity') {
    if (x.kind !== 'infinity') return angle(FIXED_PI / 2n)
    return angle(x.negative ? (3n * FIXED_PI) / 4n : FIXED_PI / 4n)
  }
  if (y.kind === 'zero' || x.kind === 'infinity') return x.negative ? angle(FIXED_PI) : zero(y.negative)
  if (x.kind === 'zero') return angle(FIXED_PI / 2n)

  const distance = leadingExponent(y) - leadingExponent(x)
  if (!x.negative && distance < SMALL) return smallArctangent(env, y, x)
  const steep = compareMagnitudes(y, x) > 0
  const ratio = steep ? magnitudeRatio(x, y) : magnitudeRatio(y, x)
  const acute = fixedArctangent(ratio)
  const first = steep ? FIXED_PI / 2n - acute : acute
  return angle(x.negative ? FIXED_PI - first : first)
}

function compareMagnitudes(a: Unpacked, b: Unpacked): number {
  const exponents = leadingExponent(a) - leadingExponent(b)
  if (exponents !== 0) return exponents
  const left = a.significand << BigInt(64 - bitLength(a.significand))
  const right = b.significand << BigInt(64 - bitLength(b.significand))
  return left < right ? -1 : left > right ? 1 : 0
}

/** |a| / |b| in fixed point, for |a| <= |b|. */
function magnitudeRatio(a: Unpacked, b: Unpacked): bigint {
  const shift = a.exponent - b.exponent + FIXED_BITS
  return shift >= 0
    ? (a.significand << BigInt(shift)) / b.significand
    : (a.significand >> BigInt(-shift)) / b.significand
}

/** atan(q) = q (1 - q**2/3 + ...) for a tiny q = y/x, which may be far below fixed point's resolution. */
function smallArctangent(env: FloatEnvironment, y: Unpacked, x: Unpacked): Unpacked {
  const quotient = (y.significand << BigInt(FIXED_BITS)) / x.significand
  const q = magnitudeRatio(y, x)
  const correction = fixedMultiply(quotient, fixedMultiply(q, q)) / 3n
  return roundIrrational(env, y.negative, quotient - correction - 1n, y.exponent - x.exponent - FIXED_BITS)
}
