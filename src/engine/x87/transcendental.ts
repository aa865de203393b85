/** F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS. */

import type { Assist } from '../assist.ts'
import type { FloatEnvironment } from '../float/environment.ts'
import { DEFAULT_NAN, finite, type Unpacked } from '../float/format.ts'
import { exp2Minus1, yLog2X, yLog2XPlus1 } from '../float/logarithm.ts'
import { arctangent, cosine, inTrigonometricRange, sine, tangent } from '../float/trigonometry.ts'
import { registerForm } from './forms.ts'
import { type Fpu, STATUS_C1, STATUS_C2 } from './fpu.ts'

const f2xm1 = registerForm(fpu => {
  const value = fpu.st(0)
  if (value === undefined) {
    fpu.underflow(0)
    return
  }
  const env = fpu.fullEnvironment()
  fpu.deliver(0, exp2Minus1(env, value), env)
})

/** ST(1) = f(ST(0), ST(1)), then pop. */
function binaryPopping(operation: (env: FloatEnvironment, st0: Unpacked, st1: Unpacked) => Unpacked): Assist {
  return registerForm(fpu => {
    const st0 = fpu.st(0)
    const st1 = fpu.st(1)
    if (st0 === undefined || st1 === undefined) {
      if (fpu.underflow(1)) fpu.pop()
      return
    }
    const env = fpu.fullEnvironment()
    if (fpu.deliver(1, operation(env, st0, st1), env)) fpu.pop()
  })
}

/** Sets C2 if ST(0) is out of range, where nothing else happens, and clears it otherwise. */
function inRange(fpu: Fpu, value: Unpacked | undefined): boolean {
  fpu.status &= ~STATUS_C2
  if (value === undefined || inTrigonometricRange(value)) return true
  fpu.status = (fpu.status & ~STATUS_C1) | STATUS_C2
  return false
}

function sineOrCosine(operation: (env: FloatEnvironment, a: Unpacked) => Unpacked): Assist {
  return registerForm(fpu => {
    const value = fpu.st(0)
    if (!inRange(fpu, value)) return
    if (value === undefined) {
      fpu.underflow(0)
      return
    }
    const env = fpu.fullEnvironment()
    fpu.deliver(0, operation(env, value), env)
  })
}

/** Replaces ST(0) and pushes another result: FPTAN and FSINCOS. */
function pushingPair(
  operation: (env: FloatEnvironment, a: Unpacked) => { replaced: Unpacked; pushed: Unpacked },
): Assist {
  return registerForm(fpu => {
    const value = fpu.st(0)
    const full = !fpu.isEmpty(7)
    if (!full && !inRange(fpu, value)) return
    if (value === undefined || full) {
      fpu.status &= ~STATUS_C2
      if (!fpu.stackFault(value !== undefined)) return
      fpu.setSt(0, DEFAULT_NAN)
      fpu.push(DEFAULT_NAN)
      return
    }
    const env = fpu.fullEnvironment()
    const { replaced, pushed } = operation(env, value)
    if (!fpu.settle(env)) return
    fpu.setSt(0, replaced)
    fpu.push(pushed)
  })
}

/** FPTAN pushes 1, for compatibility with the 8087's ratio; with a NaN, another NaN. */
function tangentAndOne(env: FloatEnvironment, a: Unpacked): { replaced: Unpacked; pushed: Unpacked } {
  const value = tangent(env, a)
  return { replaced: value, pushed: value.kind === 'quiet-nan' ? value : finite(false, 1n, 0) }
}

export const transcendentalAssists: Readonly<Record<string, Assist>> = {
  F2xm1: f2xm1,
  Fyl2x: binaryPopping((env, x, y) => yLog2X(env, x, y)),
  Fyl2xp1: binaryPopping((env, x, y) => yLog2XPlus1(env, x, y)),
  Fpatan: binaryPopping((env, x, y) => arctangent(env, y, x)),
  Fsin: sineOrCosine(sine),
  Fcos: sineOrCosine(cosine),
  Fptan: pushingPair(tangentAndOne),
  // C1 tells of the rounding of the last result.
  Fsincos: pushingPair((env, a) => ({ replaced: sine(env, a), pushed: cosine(env, a) })),
}
