/**
 * One lane of an SSE floating-point instruction, on raw bits. An instruction builds one environment from MXCSR,
 * runs its lanes in it, and asks {@link sseOutcome} what to do with MXCSR and whether to raise #XM.
 */

import { add, divide, multiply, squareRoot, subtract } from './arithmetic.ts'
import { compare, minMax } from './compare.ts'
import { convert, fromInteger, roundToIntegral, toInteger } from './convert.ts'
import {
  FLAG_PRECISION,
  FLAGS_ALL,
  FLAGS_PRE_COMPUTATION,
  type FloatEnvironment,
  Rounding,
  roundingMode,
} from './environment.ts'
import {
  BINARY16,
  BINARY32,
  BINARY64,
  type FloatFormat,
  pack16,
  pack32,
  pack64,
  type Unpacked,
  unpack16,
  unpack32,
  unpack64,
} from './format.ts'
import { multiplyAdd } from './fused.ts'

/** MXCSR fields. SDM vol. 1, figure 10-3. */
export const MXCSR_DAZ = 1 << 6
export const MXCSR_MASKS_SHIFT = 7
export const MXCSR_ROUNDING_SHIFT = 13
export const MXCSR_FTZ = 1 << 15
/** Bits that may be set: what FXSAVE reports as MXCSR_MASK. */
export const MXCSR_MASK = 0xffff
/** After reset and in a new process: everything masked. */
export const MXCSR_DEFAULT = 0x1f80

export type SseArithmetic = 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'min' | 'max'

/** The environment that MXCSR asks for; its flags start empty. */
export function sseEnvironment(mxcsr: number): FloatEnvironment {
  return {
    rounding: roundingMode(mxcsr >> MXCSR_ROUNDING_SHIFT),
    precision: 64,
    masks: (mxcsr >> MXCSR_MASKS_SHIFT) & FLAGS_ALL,
    flushToZero: (mxcsr & MXCSR_FTZ) !== 0,
    denormalsAreZero: (mxcsr & MXCSR_DAZ) !== 0,
    nanRule: 'sse',
    flags: 0,
    roundedUp: false,
  }
}

/** What an SSE instruction does after its lanes: `mxcsr` is the new value; with `fault` #XM instead of a result. */
export interface SseOutcome {
  readonly mxcsr: number
  readonly fault: boolean
}

/**
 * Unmasked exceptions found on the operands of any lane stop the instruction before it computes, so that flags of
 * the computation stay as they were. SDM vol. 1, 11.5.3 and 4.9.2.
 */
export function sseOutcome(mxcsr: number, env: FloatEnvironment): SseOutcome {
  const unmasked = env.flags & ~env.masks
  const flags = unmasked & FLAGS_PRE_COMPUTATION ? env.flags & FLAGS_PRE_COMPUTATION : env.flags
  return { mxcsr: mxcsr | flags, fault: unmasked !== 0 }
}

function arithmetic(
  operation: SseArithmetic,
  format: FloatFormat,
  env: FloatEnvironment,
  a: Unpacked,
  b: Unpacked,
): Unpacked {
  switch (operation) {
    case 'add':
      return add(format, env, a, b)
    case 'sub':
      return subtract(format, env, a, b)
    case 'mul':
      return multiply(format, env, a, b)
    case 'div':
      return divide(format, env, a, b)
    case 'sqrt':
      return squareRoot(format, env, b)
    case 'min':
      return minMax(env, a, b, false)
    case 'max':
      return minMax(env, a, b, true)
  }
}

/** `a` is the destination operand, `b` the source; `sqrt` uses `b` only. Bits are unsigned. */
export function sseArithmetic32(operation: SseArithmetic, a: number, b: number, env: FloatEnvironment): number {
  return pack32(arithmetic(operation, BINARY32, env, unpack32(a), unpack32(b)))
}

/** As {@link sseArithmetic32}, for binary64 bits. */
export function sseArithmetic64(operation: SseArithmetic, a: bigint, b: bigint, env: FloatEnvironment): bigint {
  return pack64(arithmetic(operation, BINARY64, env, unpack64(a), unpack64(b)))
}

/**
 * Does CMPPS and its like hold for immediate `predicate` (bits 4:0)? Bit 2 negates; bit 3 inverts the answer for
 * unordered operands, bit 4 whether they are invalid when quiet. SDM vol. 2, CMPPD, table 3-1.
 */
function predicateHolds(env: FloatEnvironment, predicate: number, a: Unpacked, b: Unpacked): boolean {
  const kind = predicate & 3
  const negated = (predicate & 4) !== 0
  // LT and LE, negated or not, are invalid for quiet NaNs as well.
  const signalling = (kind === 1 || kind === 2) !== ((predicate & 16) !== 0)
  const ordering = compare(env, a, b, signalling)
  const holds = conditionHolds(kind, ordering) !== negated
  return ordering === 'unordered' && (predicate & 8) !== 0 ? !holds : holds
}

function conditionHolds(kind: number, ordering: ReturnType<typeof compare>): boolean {
  switch (kind) {
    case 0:
      return ordering === 'equal'
    case 1:
      return ordering === 'less'
    case 2:
      return ordering === 'less' || ordering === 'equal'
    default:
      return ordering === 'unordered'
  }
}

export function sseCompare32(predicate: number, a: number, b: number, env: FloatEnvironment): boolean {
  return predicateHolds(env, predicate, unpack32(a), unpack32(b))
}

export function sseCompare64(predicate: number, a: bigint, b: bigint, env: FloatEnvironment): boolean {
  return predicateHolds(env, predicate, unpack64(a), unpack64(b))
}

/** ZF, PF and CF as (U)COMISS, FCOMI and their like leave them, at their places in RFLAGS; OF, SF and AF are cleared. */
export const COMPARE_FLAGS = { greater: 0, less: 0x01, equal: 0x40, unordered: 0x45 } as const

/** COMISS (`signalling`) and UCOMISS: the arithmetic bits of RFLAGS. */
export function sseCompareFlags32(a: number, b: number, signalling: boolean, env: FloatEnvironment): number {
  return COMPARE_FLAGS[compare(env, unpack32(a), unpack32(b), signalling)]
}

export function sseCompareFlags64(a: bigint, b: bigint, signalling: boolean, env: FloatEnvironment): number {
  return COMPARE_FLAGS[compare(env, unpack64(a), unpack64(b), signalling)]
}

/** CVTSS2SI and CVTTSS2SI (`truncate`): a signed integer of `bits` bits. */
export function sseToInteger32(a: number, bits: 32 | 64, truncate: boolean, env: FloatEnvironment): bigint {
  return toInteger(env, unpack32(a), bits, truncate ? Rounding.ZERO : env.rounding)
}

export function sseToInteger64(a: bigint, bits: 32 | 64, truncate: boolean, env: FloatEnvironment): bigint {
  return toInteger(env, unpack64(a), bits, truncate ? Rounding.ZERO : env.rounding)
}

/** CVTSI2SS, CVTDQ2PS, CVTPI2PS: `value` is signed. */
export function sseFromInteger32(value: bigint, env: FloatEnvironment): number {
  return pack32(fromInteger(BINARY32, env, value))
}

/** CVTSI2SD, CVTDQ2PD, CVTPI2PD: `value` is signed. */
export function sseFromInteger64(value: bigint, env: FloatEnvironment): bigint {
  return pack64(fromInteger(BINARY64, env, value))
}

/** CVTSS2SD, CVTPS2PD. */
export function sse32To64(a: number, env: FloatEnvironment): bigint {
  return pack64(convert(BINARY64, env, unpack32(a)))
}

/** CVTSD2SS, CVTPD2PS. */
export function sse64To32(a: bigint, env: FloatEnvironment): number {
  return pack32(convert(BINARY32, env, unpack64(a)))
}

function roundLane(a: Unpacked, immediate: number, env: FloatEnvironment): Unpacked {
  const before = env.flags
  const rounding = immediate & 4 ? env.rounding : roundingMode(immediate)
  const result = roundToIntegral(env, a, rounding)
  // SDM vol. 2, ROUNDSS: immediate bit 3 suppresses the precision exception.
  if (immediate & 8) env.flags = (env.flags & ~FLAG_PRECISION) | (before & FLAG_PRECISION)
  return result
}

/** ROUNDSS, ROUNDPS (SSE4.1). */
export function sseRound32(a: number, immediate: number, env: FloatEnvironment): number {
  return pack32(roundLane(unpack32(a), immediate, env))
}

/** ROUNDSD, ROUNDPD (SSE4.1). */
export function sseRound64(a: bigint, immediate: number, env: FloatEnvironment): bigint {
  return pack64(roundLane(unpack64(a), immediate, env))
}

/** How FMA's signs go: `product` and `addend` say which are negated. */
export interface FusedSigns {
  readonly product: boolean
  readonly addend: boolean
}

/** VFMADD and its like: a * b + c. */
export function sseMultiplyAdd32(a: number, b: number, c: number, signs: FusedSigns, env: FloatEnvironment): number {
  const factors = [unpack32(a), unpack32(b)] as const
  return pack32(multiplyAdd(BINARY32, env, factors, unpack32(c), signs.product, signs.addend))
}

export function sseMultiplyAdd64(a: bigint, b: bigint, c: bigint, signs: FusedSigns, env: FloatEnvironment): bigint {
  const factors = [unpack64(a), unpack64(b)] as const
  return pack64(multiplyAdd(BINARY64, env, factors, unpack64(c), signs.product, signs.addend))
}

/** VCVTPS2PH: `immediate` is the rounding mode, or bit 2 for that of MXCSR. FTZ has no say (SDM vol. 2). */
export function sseToHalf(a: number, immediate: number, env: FloatEnvironment): number {
  const { rounding, flushToZero } = env
  env.flushToZero = false
  if ((immediate & 4) === 0) env.rounding = roundingMode(immediate)
  const result = pack16(convert(BINARY16, env, unpack32(a)))
  env.rounding = rounding
  env.flushToZero = flushToZero
  return result
}

/** VCVTPH2PS: DAZ has no say, and a denormal raises nothing (SDM vol. 2). */
export function sseFromHalf(a: number, env: FloatEnvironment): number {
  const half = unpack16(a)
  return pack32(half.kind === 'denormal' ? { ...half, kind: 'normal' } : convert(BINARY32, env, half))
}
