/** FADD, FSUB, FMUL, FDIV in all their forms, and FSQRT, FRNDINT, FSCALE, FPREM, FXTRACT, FCHS, FABS. */

import type { Assist } from '../assist.ts'
import { add, divide, multiply, squareRoot, subtract } from '../float/arithmetic.ts'
import { roundToIntegral } from '../float/convert.ts'
import type { FloatEnvironment } from '../float/environment.ts'
import { DEFAULT_NAN, EXTENDED, type Unpacked } from '../float/format.ts'
import { noteDenormal } from '../float/operands.ts'
import { extract, remainder, scale } from '../float/remainder.ts'
import { loadForm, readFloat32, readFloat64, readInteger16, readInteger32, registerForm } from './forms.ts'
import { type Fpu, STATUS_C0, STATUS_C1, STATUS_C2, STATUS_C3 } from './fpu.ts'

type Binary = (env: FloatEnvironment, destination: Unpacked, source: Unpacked) => Unpacked

const binaries: Readonly<Record<string, Binary>> = {
  add: (env, a, b) => add(EXTENDED, env, a, b),
  mul: (env, a, b) => multiply(EXTENDED, env, a, b),
  sub: (env, a, b) => subtract(EXTENDED, env, a, b),
  subr: (env, a, b) => subtract(EXTENDED, env, b, a),
  div: (env, a, b) => divide(EXTENDED, env, a, b),
  divr: (env, a, b) => divide(EXTENDED, env, b, a),
}

/** ST(destination) = ST(destination) op source; false if it was left alone. */
function apply(fpu: Fpu, operation: Binary, destination: number, source: Unpacked | undefined): boolean {
  const value = fpu.st(destination)
  if (value === undefined || source === undefined) return fpu.underflow(destination)
  const env = fpu.arithmeticEnvironment()
  return fpu.deliver(destination, operation(env, value, source), env)
}

function binaryForms([name, operation]: [string, Binary]): [string, Assist][] {
  const memory = (fpu: Fpu, source: Unpacked) => {
    apply(fpu, operation, 0, source)
  }
  return [
    [`F${name}_m32fp`, loadForm(readFloat32, memory)],
    [`F${name}_m64fp`, loadForm(readFloat64, memory)],
    [`Fi${name}_m16int`, loadForm(readInteger16, memory)],
    [`Fi${name}_m32int`, loadForm(readInteger32, memory)],
    [`F${name}_st0_sti`, registerForm((fpu, { register1 }) => void apply(fpu, operation, 0, fpu.st(register1)))],
    [`F${name}_sti_st0`, registerForm((fpu, { register0 }) => void apply(fpu, operation, register0, fpu.st(0)))],
    [
      `F${name}p_sti_st0`,
      registerForm((fpu, { register0 }) => {
        if (apply(fpu, operation, register0, fpu.st(0))) fpu.pop()
      }),
    ],
  ]
}

/** ST(0) = f(ST(0)), with 64-bit precision unless `environment` says otherwise. */
function unary(
  operation: (env: FloatEnvironment, a: Unpacked) => Unpacked,
  environment: (fpu: Fpu) => FloatEnvironment = fpu => fpu.fullEnvironment(),
): Assist {
  return registerForm(fpu => {
    const value = fpu.st(0)
    if (value === undefined) {
      fpu.underflow(0)
      return
    }
    const env = environment(fpu)
    fpu.deliver(0, operation(env, value), env)
  })
}

/** Changes only the sign, of anything that is in ST(0). */
function signForm(change: (high: number) => number): Assist {
  return registerForm(fpu => {
    if (fpu.isEmpty(0)) {
      fpu.underflow(0)
      return
    }
    fpu.clearC1()
    const { low, high } = fpu.raw(0)
    fpu.setRaw(0, { low, high: change(high) })
  })
}

/** FRNDINT raises the denormal exception, unlike SSE's ROUNDSS. */
function roundInteger(env: FloatEnvironment, a: Unpacked): Unpacked {
  noteDenormal(env, a)
  return roundToIntegral(env, a, env.rounding)
}

const fscale = registerForm(fpu => {
  const value = fpu.st(0)
  const by = fpu.st(1)
  if (value === undefined || by === undefined) {
    fpu.underflow(0)
    return
  }
  const env = fpu.fullEnvironment()
  fpu.deliver(0, scale(env, value, by), env)
})

function remainderForm(nearest: boolean): Assist {
  return registerForm(fpu => {
    const dividend = fpu.st(0)
    const divisor = fpu.st(1)
    fpu.status &= ~STATUS_C2
    if (dividend === undefined || divisor === undefined) {
      fpu.underflow(0)
      return
    }
    const env = fpu.fullEnvironment()
    const { value, quotient, complete } = remainder(env, dividend, divisor, nearest)
    if (!fpu.deliver(0, value, env)) return
    if (quotient === undefined) return
    // SDM vol. 2, FPREM: the quotient's bits 2, 1 and 0 in C0, C3 and C1.
    fpu.setConditions(
      complete
        ? (quotient & 4 ? STATUS_C0 : 0) | (quotient & 2 ? STATUS_C3 : 0) | (quotient & 1 ? STATUS_C1 : 0)
        : STATUS_C2,
    )
  })
}

const fxtract = registerForm(fpu => {
  const value = fpu.st(0)
  if (value === undefined || !fpu.isEmpty(7)) {
    if (!fpu.stackFault(value !== undefined)) return
    fpu.setSt(0, DEFAULT_NAN)
    fpu.push(DEFAULT_NAN)
    return
  }
  const env = fpu.fullEnvironment()
  const { exponent, significand } = extract(env, value)
  if (!fpu.settle(env)) return
  fpu.setSt(0, exponent)
  fpu.push(significand)
})

export const arithmeticAssists: Readonly<Record<string, Assist>> = {
  ...Object.fromEntries(Object.entries(binaries).flatMap(binaryForms)),
  Fsqrt: unary(
    (env, a) => squareRoot(EXTENDED, env, a),
    fpu => fpu.arithmeticEnvironment(),
  ),
  Frndint: unary(roundInteger),
  Fchs: signForm(high => high ^ 0x8000),
  Fabs: signForm(high => high & 0x7fff),
  Fscale: fscale,
  Fprem: remainderForm(false),
  Fprem1: remainderForm(true),
  Fxtract: fxtract,
}
