/** FCOM, FUCOM, FCOMI, FUCOMI and their popping forms, FTST, FXAM, FCMOVcc. */

import { RFLAGS_ARITHMETIC, RFLAGS_CF, RFLAGS_PF, RFLAGS_ZF } from '../../x86/rflags.ts'
import type { Assist } from '../assist.ts'
import { compare, type Ordering } from '../float/compare.ts'
import { type FloatKind, type Unpacked, unpack80, zero } from '../float/format.ts'
import { loadForm, readFloat32, readFloat64, readInteger16, readInteger32, registerForm } from './forms.ts'
import { type Fpu, STATUS_C0, STATUS_C1, STATUS_C2, STATUS_C3 } from './fpu.ts'

const CONDITIONS: Readonly<Record<Ordering, number>> = {
  greater: 0,
  less: STATUS_C0,
  equal: STATUS_C3,
  unordered: STATUS_C0 | STATUS_C2 | STATUS_C3,
}

const FLAGS: Readonly<Record<Ordering, number>> = {
  greater: 0,
  less: RFLAGS_CF,
  equal: RFLAGS_ZF,
  unordered: RFLAGS_CF | RFLAGS_PF | RFLAGS_ZF,
}

interface Comparison {
  readonly ordering: Ordering
  /** Did no unmasked exception occur? Then popping forms pop. */
  readonly complete: boolean
}

/** Orders ST(0) and `source`, and reports exceptions. The result is shown even if one is unmasked. */
function order(fpu: Fpu, source: Unpacked | undefined, signalling: boolean): Comparison {
  const value = fpu.st(0)
  if (value === undefined || source === undefined) return { ordering: 'unordered', complete: fpu.stackFault(false) }
  const env = fpu.fullEnvironment()
  const ordering = compare(env, value, source, signalling)
  return { ordering, complete: fpu.settle(env) }
}

function toConditions(fpu: Fpu, source: Unpacked | undefined, signalling: boolean, pops: number): void {
  const { ordering, complete } = order(fpu, source, signalling)
  fpu.setConditions(CONDITIONS[ordering])
  for (let i = 0; complete && i < pops; i++) fpu.pop()
}

function memoryForms(suffix: string, pops: number): Record<string, Assist> {
  const body = (fpu: Fpu, source: Unpacked) => toConditions(fpu, source, true, pops)
  return {
    [`Fcom${suffix}_m32fp`]: loadForm(readFloat32, body),
    [`Fcom${suffix}_m64fp`]: loadForm(readFloat64, body),
    [`Ficom${suffix}_m16int`]: loadForm(readInteger16, body),
    [`Ficom${suffix}_m32int`]: loadForm(readInteger32, body),
  }
}

const withRegister = (signalling: boolean, pops: number): Assist =>
  registerForm((fpu, { register1 }) => toConditions(fpu, fpu.st(register1), signalling, pops))

/** FCOMPP and FUCOMPP, whose operand is ST(1). */
const withSt1 = (signalling: boolean): Assist => registerForm(fpu => toConditions(fpu, fpu.st(1), signalling, 2))

function toFlags(signalling: boolean, pops: boolean): Assist {
  return registerForm((fpu, { register1 }) => {
    const { ordering, complete } = order(fpu, fpu.st(register1), signalling)
    fpu.state.rflags = (fpu.state.rflags & ~RFLAGS_ARITHMETIC) | FLAGS[ordering]
    if (complete && pops) fpu.pop()
  })
}

/** SDM vol. 2, FXAM, table 3-42; an empty register is told apart before its contents. */
const CLASSES: Readonly<Record<FloatKind, number>> = {
  unsupported: 0,
  'quiet-nan': STATUS_C0,
  'signalling-nan': STATUS_C0,
  normal: STATUS_C2,
  infinity: STATUS_C2 | STATUS_C0,
  zero: STATUS_C3,
  denormal: STATUS_C3 | STATUS_C2,
}
const CLASS_EMPTY = STATUS_C3 | STATUS_C0

const fxam = registerForm(fpu => {
  const raw = fpu.raw(0)
  const sign = raw.high & 0x8000 ? STATUS_C1 : 0
  fpu.setConditions(sign | (fpu.isEmpty(0) ? CLASS_EMPTY : CLASSES[unpack80(raw).kind]))
})

function moveForm(flags: number, wanted: boolean): Assist {
  return registerForm((fpu, { register1 }) => {
    if (fpu.isEmpty(0) || fpu.isEmpty(register1)) {
      fpu.underflow(0)
      return
    }
    if (((fpu.state.rflags & flags) !== 0) === wanted) fpu.setRaw(0, fpu.raw(register1))
  })
}

const fcomp = withRegister(true, 1)

export const compareAssists: Readonly<Record<string, Assist>> = {
  ...memoryForms('', 0),
  ...memoryForms('p', 1),
  Fcom_st0_sti: withRegister(true, 0),
  Fcom_st0_sti_DCD0: withRegister(true, 0),
  Fcomp_st0_sti: fcomp,
  Fcomp_st0_sti_DCD8: fcomp,
  Fcomp_st0_sti_DED0: fcomp,
  Fcompp: withSt1(true),
  Fucom_st0_sti: withRegister(false, 0),
  Fucomp_st0_sti: withRegister(false, 1),
  Fucompp: withSt1(false),
  Fcomi_st0_sti: toFlags(true, false),
  Fcomip_st0_sti: toFlags(true, true),
  Fucomi_st0_sti: toFlags(false, false),
  Fucomip_st0_sti: toFlags(false, true),
  Ftst: registerForm(fpu => toConditions(fpu, zero(false), true, 0)),
  Fxam: fxam,
  Fcmovb_st0_sti: moveForm(RFLAGS_CF, true),
  Fcmove_st0_sti: moveForm(RFLAGS_ZF, true),
  Fcmovbe_st0_sti: moveForm(RFLAGS_CF | RFLAGS_ZF, true),
  Fcmovu_st0_sti: moveForm(RFLAGS_PF, true),
  Fcmovnb_st0_sti: moveForm(RFLAGS_CF, false),
  Fcmovne_st0_sti: moveForm(RFLAGS_ZF, false),
  Fcmovnbe_st0_sti: moveForm(RFLAGS_CF | RFLAGS_ZF, false),
  Fcmovnu_st0_sti: moveForm(RFLAGS_PF, false),
}
