/**
 * Floating-point lanes: WebAssembly's arithmetic where its result and the flags of MXCSR are certainly the
 * processor's, software floating point otherwise.
 *
 * WebAssembly rounds to nearest, raises nothing and flushes nothing. So its result stands when no lane has a NaN or
 * a denormal (then DAZ, FTZ, the invalid, denormal and underflow exceptions have no part), none overflows, and the
 * one exception left, precision, can't be seen: MXCSR has it masked and its flag set already.
 * Scalars are computed as vectors that repeat them in every lane.
 */

import * as S from '../state.ts'
import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, simd, type Value, v128 } from '../wasm/value.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { COLLECT, encodeOperation, type LaneBits, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import type { Halves } from './vector-form.ts'
import type { Bits } from './word.ts'

const MXCSR_PRECISION_FLAG = 1 << 5
const MXCSR_PRECISION_MASK = 1 << 12
const MXCSR_ROUNDING = 3 << 13
const PRECISION_UNSEEN = MXCSR_PRECISION_FLAG | MXCSR_PRECISION_MASK

/** Precision exceptions make no difference, and MXCSR rounds to nearest. */
export function roundsNatively(scope: InstructionScope): Value<'i32'> {
  return scope
    .state32(S.MXCSR)
    .and(PRECISION_UNSEEN | MXCSR_ROUNDING)
    .eq(PRECISION_UNSEEN)
}

/** Whatever becomes of precision exceptions. */
export function roundsToNearest(scope: InstructionScope): Value<'i32'> {
  return scope.state32(S.MXCSR).and(MXCSR_ROUNDING).eqz()
}

/** Precision exceptions make no difference; for operations that truncate whatever MXCSR says. */
export function truncatesNatively(scope: InstructionScope): Value<'i32'> {
  return scope.state32(S.MXCSR).and(PRECISION_UNSEEN).eq(PRECISION_UNSEEN)
}

/** 1 to a vector of ones, 0 to zeros. */
export function fillMask(condition: Value<'i32'>): Vector {
  return simd('v128', 'i32x4.splat', [i32(0).sub(condition)])
}

export const anyLane = (mask: Vector): Value<'i32'> => simd('i32', 'v128.any_true', [mask])
export const and = (a: Vector, b: Vector): Vector => simd('v128', 'v128.and', [a, b])
export const or = (a: Vector, b: Vector): Vector => simd('v128', 'v128.or', [a, b])
export const not = (a: Vector): Vector => simd('v128', 'v128.not', [a])

type Integral = 'nearest' | 'floor' | 'ceil' | 'trunc'
type Arithmetic = 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'pmin' | 'pmax' | 'abs' | Integral
type Comparison = 'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge'

/** A format of lanes, and how many of them an instruction has. */
export class FloatLanes {
  readonly suffix: 'ps' | 'pd' | 'ss' | 'sd'
  readonly lane: LaneBits
  readonly lanes: 1 | 2 | 4
  readonly #shape: 'f32x4' | 'f64x2'

  constructor(suffix: 'ps' | 'pd' | 'ss' | 'sd') {
    this.suffix = suffix
    this.lane = suffix.endsWith('s') ? 32 : 64
    this.lanes = suffix.startsWith('s') ? 1 : suffix === 'ps' ? 4 : 2
    this.#shape = this.lane === 32 ? 'f32x4' : 'f64x2'
  }

  get packed(): boolean {
    return this.lanes !== 1
  }
  /** Size of the source operand in a form. */
  bitsIn(form: { readonly bits: 128 | 256 }): Bits {
    return this.packed ? form.bits : this.lane
  }
  operation(kind: SseKind): number {
    return encodeOperation(kind, this.lane, this.lanes)
  }

  compute(operation: Arithmetic, ...operands: Vector[]): Vector {
    const name: SimdOperation = `${this.#shape}.${operation}`
    return simd('v128', name, operands)
  }
  compare(operation: Comparison, a: Vector, b: Vector): Vector {
    const name: SimdOperation = `${this.#shape}.${operation}`
    return simd('v128', name, [a, b])
  }

  /** A vector with `bits32` or `bits64` in every lane, whichever the format has. */
  constant(bits32: number, bits64: bigint): Vector {
    const pair = this.lane === 64 ? bits64 : (BigInt(bits32) << 32n) | BigInt(bits32)
    return v128(pair, pair)
  }
  get zero(): Vector {
    return this.constant(0, 0n)
  }
  get infinity(): Vector {
    return this.constant(0x7f800000, 0x7ff0_0000_0000_0000n)
  }
  get smallestNormal(): Vector {
    return this.constant(0x00800000, 0x0010_0000_0000_0000n)
  }

  load(scope: InstructionScope, address: Value<'i32'>): Vector {
    return scope.f.let(this.packed ? scope.f.load('v128', address) : loadRepeated(this.lane, address))
  }

  isNan(a: Vector): Vector {
    return this.compare('ne', a, a)
  }
  isZero(a: Vector): Vector {
    return this.compare('eq', a, this.zero)
  }
  isDenormal(a: Vector): Vector {
    return and(this.compare('lt', this.compute('abs', a), this.smallestNormal), this.compare('ne', a, this.zero))
  }
  /** Neither infinite nor NaN. */
  isFinite(a: Vector): Vector {
    return this.compare('lt', this.compute('abs', a), this.infinity)
  }
  /**
   * Greater than the smallest normal number, and finite. The smallest itself may be the rounded image of a tiny
   * value, for which the processor reports underflow (tininess is detected after rounding, SDM vol. 1, 4.9.1.5).
   */
  isSafelyNormal(a: Vector): Vector {
    return and(this.compare('gt', this.compute('abs', a), this.smallestNormal), this.isFinite(a))
  }
}

export const FLOAT_LANES: readonly FloatLanes[] = [
  new FloatLanes('ps'),
  new FloatLanes('pd'),
  new FloatLanes('ss'),
  new FloatLanes('sd'),
]

/** 32 or 64 bits at `address` in every lane. */
export function loadRepeated(bits: LaneBits, address: Value<'i32'>): Vector {
  // The immediate bytes are alignment and offset.
  return simd('v128', bits === 32 ? 'v128.load32_splat' : 'v128.load64_splat', [address], [0, 0])
}

export function storeFirst(scope: InstructionScope, bits: LaneBits, address: Value<'i32'>, value: Vector): void {
  if (bits === 32) scope.f.store(address, simd('i32', 'i32x4.extract_lane', [value], [0]))
  else scope.f.store(address, simd('i64', 'i64x2.extract_lane', [value], [0]))
}

/** Runs an operation in software and gives its result. `operation` as {@link encodeOperation} makes it. */
export function software(
  scope: InstructionScope,
  operation: Value<'i32'>,
  b: Vector,
  a: Vector | undefined = undefined,
  c: Vector | undefined = undefined,
): Vector {
  const { f } = scope
  if (a !== undefined) f.store(i32(0), a, S.SSE_A)
  if (c !== undefined) f.store(i32(0), c, S.SSE_C)
  f.store(i32(0), b, S.SSE_B)
  if (scope.collectsExceptions) scope.hasCollected = true
  f.call(scope.runtime.sseSlow, scope.collectsExceptions ? operation.or(COLLECT) : operation, scope.record())
  return f.load('v128', i32(0), S.SSE_RESULT)
}

/** Computes the halves of a result; floating-point exceptions of both are raised before either is used. */
export function computeHalves(scope: InstructionScope, count: number, compute: (half: number) => Vector): Halves {
  const { f } = scope
  if (count === 1) return [compute(0)]
  scope.collectsExceptions = true
  const halves = [f.let(compute(0)), f.let(compute(1))]
  scope.collectsExceptions = false
  if (scope.hasCollected)
    f.if(scope.state32(S.SSE_PENDING), () =>
      f.call(scope.runtime.sseSlow, i32(encodeOperation(SseKind.settle, 32, 0)), scope.record()),
    )
  return halves
}
