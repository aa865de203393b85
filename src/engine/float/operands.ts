/** What every operation does with its operands first: denormals as zeros, unsupported encodings, NaNs. */

import { FLAG_DENORMAL, FLAG_INVALID, type FloatEnvironment } from './environment.ts'
import { DEFAULT_NAN, isNan, QUIET_BIT, type Unpacked, zero } from './format.ts'

/** The operand as the operation sees it: a denormal is a zero under DAZ (SDM vol. 1, 10.2.3.4). */
export function operand(a: Unpacked, env: FloatEnvironment): Unpacked {
  return env.denormalsAreZero && a.kind === 'denormal' ? zero(a.negative) : a
}

/** Raises the invalid-operation exception; the masked response is the default NaN. */
export function invalid(env: FloatEnvironment): Unpacked {
  env.flags |= FLAG_INVALID
  return DEFAULT_NAN
}

/** Raises the denormal-operand exception if one of the operands is denormal. */
export function noteDenormal(env: FloatEnvironment, a: Unpacked, b: Unpacked = a): void {
  if (a.kind === 'denormal' || b.kind === 'denormal') env.flags |= FLAG_DENORMAL
}

export function quieted(a: Unpacked): Unpacked {
  return { kind: 'quiet-nan', negative: a.negative, exponent: 0, significand: a.significand | QUIET_BIT }
}

/** The result if an operand is a NaN or unsupported; these come before every other exception (SDM vol. 1, 4.9.2). */
export function nanOperand(env: FloatEnvironment, a: Unpacked, b: Unpacked = a): Unpacked | undefined {
  if (a.kind === 'unsupported' || b.kind === 'unsupported') return invalid(env)
  if (!isNan(a) && !isNan(b)) return undefined
  if (a.kind === 'signalling-nan' || b.kind === 'signalling-nan') env.flags |= FLAG_INVALID
  if (!isNan(b)) return quieted(a)
  if (!isNan(a)) return quieted(b)
  return quieted(env.nanRule === 'sse' ? a : x87Choice(a, b))
}

/** SDM vol. 1, table 4-7: a quiet NaN before a signalling one, then the larger significand, then the positive one. */
function x87Choice(a: Unpacked, b: Unpacked): Unpacked {
  if (a.kind !== b.kind) return a.kind === 'quiet-nan' ? a : b
  if (a.significand !== b.significand) return a.significand > b.significand ? a : b
  return a.negative ? b : a
}
