/** Conversions between floating-point formats and integers (SDM vol. 2: CVT...). */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, i64, prefixed, simd, unary, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { checkPendingX87, enterMmx, writeMmx } from './mmx-operands.ts'
import {
  and,
  anyLane,
  computeHalves,
  FloatLanes,
  fillMask,
  loadRepeated,
  not,
  or,
  roundsNatively,
  software,
  storeFirst,
  truncatesNatively,
} from './sse-lanes.ts'
import { lowHalf, sourceAddress } from './sse-operands.ts'
import { encodeOperation, type LaneBits, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS, type Halves, LEGACY, type VectorForm, XMM_FORMS } from './vector-form.ts'

/** Formats as they lie in vectors, whatever number of lanes an instruction takes from them. */
const SINGLE = new FloatLanes('ps')
const DOUBLE = new FloatLanes('pd')
const format = (lane: LaneBits) => (lane === 32 ? SINGLE : DOUBLE)

export function defineSseConvert(table: DefinitionTable): void {
  for (const form of FORMS) {
    definePackedWidening(table, form)
    definePackedNarrowing(table, form)
    defineToPackedIntegers(table, form)
    defineFromPackedIntegers(table, form)
  }
  for (const form of XMM_FORMS) {
    defineScalarConversions(table, form)
    defineToGeneralRegister(table, form)
    defineFromGeneralRegister(table, form)
  }
  defineToMmx(table)
  defineFromMmx(table)
}

/** `native` unless `unsafe`, where software floating point computes. */
function guarded(scope: InstructionScope, native: Vector, unsafe: Value<'i32'>, operation: number, b: Vector): Vector {
  const result = scope.f.variable(native)
  scope.f.if(unsafe, () => scope.f.set(result, software(scope, i32(operation), b)))
  return result
}

/** Widening is exact: only NaNs and denormals matter. All lanes of `b` are looked at, `lanes` of them converted. */
function widen(scope: InstructionScope, b: Vector, lanes: 1 | 2): Vector {
  const unsafe = anyLane(or(SINGLE.isNan(b), SINGLE.isDenormal(b)))
  const wide = simd<'v128'>('v128', 'f64x2.promote_low_f32x4', [b])
  return guarded(scope, wide, unsafe, encodeOperation(SseKind.convert, 32, lanes), b)
}

/** A source of half the form's bits, as one vector a half of the result, which repeats 64 bits. */
function loadQuadwords(scope: InstructionScope, form: VectorForm): Halves {
  const address = form.address(scope, 1)
  const at = (half: number) => scope.f.let(loadRepeated(64, half === 0 ? address : address.add(8)))
  return form.halves === 2 ? [at(0), at(1)] : [at(0)]
}

function definePackedWidening(table: DefinitionTable, form: VectorForm): void {
  const sourceBits = form.bits === 256 ? 128 : 64
  form.define(table, { mnemonics: 'Cvtps2pd', sources: 1, sourceBits }, scope => {
    const b = loadQuadwords(scope, form)
    form.store(
      scope,
      computeHalves(scope, form.halves, i => widen(scope, b[i], 2)),
    )
  })
  // Every 32-bit integer has an exact binary64 value.
  form.define(table, { mnemonics: 'Cvtdq2pd', sources: 1, sourceBits }, scope =>
    form.store(
      scope,
      loadQuadwords(scope, form).map(half => simd('v128', 'f64x2.convert_low_i32x4_s', [half])),
    ),
  )
}

function narrow(scope: InstructionScope, b: Vector, lanes: 1 | 2): Vector {
  const result = scope.f.let(simd<'v128'>('v128', 'f32x4.demote_f64x2_zero', [b]))
  const unsafe = anyLane(not(narrowsSafely(scope, b, result)))
  return guarded(scope, result, unsafe, encodeOperation(SseKind.convert, 64, lanes), b)
}

/** From lanes of 64 bits to lanes of 32 in an XMM register, of which a source of 128 bits fills the lower half. */
function defineHalving(
  table: DefinitionTable,
  form: VectorForm,
  name: string,
  convert: (scope: InstructionScope, half: Vector) => Vector,
): void {
  table.define(
    `${form.mnemonic(name)}_xmm_${form.registerOrMemory}`,
    form.definition(name, [128, form.bits], scope => {
      const b = form.load(scope, 1)
      const [low, high] = computeHalves(scope, form.halves, i => convert(scope, b[i]))
      form.store(scope, [high === undefined ? low : lowHalves(low, high)])
    }),
  )
}

/** The low half of `a`, and that of `b` above it. */
function lowHalves(a: Vector, b: Vector): Vector {
  const bytes = Array.from({ length: 16 }, (_, i) => (i < 8 ? i : i + 8))
  return simd('v128', 'i8x16.shuffle', [a, b], bytes)
}

function definePackedNarrowing(table: DefinitionTable, form: VectorForm): void {
  defineHalving(table, form, 'Cvtpd2ps', (scope, half) => narrow(scope, half, 2))
}

/** CVTSS2SD and CVTSD2SS; the rest of the destination is the first source's. */
function defineScalarConversions(table: DefinitionTable, form: VectorForm): void {
  form.define(table, { mnemonics: 'Cvtss2sd', sources: 2, sourceBits: 32 }, scope => {
    const b = scope.f.let(loadRepeated(32, form.address(scope, form.second)))
    form.storeScalar(scope, 64, widen(scope, b, 1))
  })
  form.define(table, { mnemonics: 'Cvtsd2ss', sources: 2, sourceBits: 64 }, scope => {
    const b = scope.f.let(loadRepeated(64, form.address(scope, form.second)))
    form.storeScalar(scope, 32, narrow(scope, b, 1))
  })
}

/** Lanes whose narrowed value is exact, or rounded to a safely normal number while precision is not seen. */
function narrowsSafely(scope: InstructionScope, wide: Vector, narrow: Vector): Vector {
  const back = scope.f.let(simd('v128', 'f64x2.promote_low_f32x4', [narrow]))
  const magnitude = scope.f.let(DOUBLE.compute('abs', back))
  // The smallest normal number of binary32, as binary64.
  const smallest = DOUBLE.constant(0, 0x3810_0000_0000_0000n)
  const normalOrZero = or(DOUBLE.compare('ge', magnitude, smallest), DOUBLE.isZero(wide))
  const exact = and(DOUBLE.compare('eq', back, wide), normalOrZero)
  const normal = and(DOUBLE.compare('gt', magnitude, smallest), DOUBLE.isFinite(back))
  return or(exact, and(normal, fillMask(roundsNatively(scope))))
}

/** To 32-bit integers in a vector register. */
function defineToPackedIntegers(table: DefinitionTable, form: VectorForm): void {
  for (const truncated of [false, true]) {
    const prefix = truncated ? 'Cvtt' : 'Cvt'
    form.define(table, { mnemonics: `${prefix}ps2dq`, sources: 1 }, scope => {
      const b = form.load(scope, 1)
      form.store(
        scope,
        computeHalves(scope, form.halves, i => toInt32(scope, 32, 4, truncated, b[i])),
      )
    })
    defineHalving(table, form, `${prefix}pd2dq`, (scope, half) => toInt32(scope, 64, 2, truncated, half))
  }
}

/** To 32-bit integers in an MMX register. */
function defineToMmx(table: DefinitionTable): void {
  for (const truncated of [false, true])
    for (const lane of [32, 64] as const) {
      const name = `${truncated ? 'Cvtt' : 'Cvt'}${lane === 32 ? 'ps' : 'pd'}2pi`
      const bits = lane === 32 ? 64 : 128
      table.define(
        `${name}_mm_xmmm${bits}`,
        LEGACY.definition(name, [64, bits], scope => {
          checkPendingX87(scope)
          const address = sourceAddress(scope, 1)
          const b = scope.f.let(bits === 64 ? loadRepeated(64, address) : scope.f.load('v128', address))
          writeMmx(scope, lowHalf(toInt32(scope, lane, 2, truncated, b)))
        }),
      )
    }
}

/**
 * Lanes rounded to integers: native when all are in range (no NaN is), and exact or rounded as WebAssembly rounds
 * while precision is not seen.
 */
function toInt32(scope: InstructionScope, lane: LaneBits, lanes: number, truncated: boolean, b: Vector): Vector {
  const lanesOf = format(lane)
  const integral = scope.f.let(lanesOf.compute(truncated ? 'trunc' : 'nearest', b))
  const inRange = and(
    lanesOf.compare('ge', integral, lanesOf.constant(0xcf000000, 0xc1e0_0000_0000_0000n)),
    lanesOf.compare('lt', integral, lanesOf.constant(0x4f000000, 0x41e0_0000_0000_0000n)),
  )
  const rounds = truncated ? truncatesNatively(scope) : roundsNatively(scope)
  const safe = and(inRange, or(lanesOf.compare('eq', integral, b), fillMask(rounds)))
  const operation: SimdOperation = lane === 32 ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f64x2_s_zero'
  const kind = truncated ? SseKind.toInt32Truncated : SseKind.toInt32
  return guarded(scope, simd('v128', operation, [integral]), anyLane(not(safe)), encodeOperation(kind, lane, lanes), b)
}

/** CVTSS2SI and its like. */
function defineToGeneralRegister(table: DefinitionTable, form: VectorForm): void {
  for (const { suffix, lane } of [
    { suffix: 'ss', lane: 32 },
    { suffix: 'sd', lane: 64 },
  ] as const)
    for (const truncated of [false, true]) {
      const name = `${truncated ? 'Cvtt' : 'Cvt'}${suffix}2si`
      const load = (scope: InstructionScope) => scope.f.let(loadRepeated(lane, form.address(scope, 1)))
      table.define(
        `${form.mnemonic(name)}_r32_xmmm${lane}`,
        form.definition(`${name}32`, [32, lane], scope => {
          const result = toInt32(scope, lane, 1, truncated, load(scope))
          scope.write(0, simd('i32', 'i32x4.extract_lane', [result], [0]))
        }),
      )
      const toInteger = lane === 32 ? singleToInt64 : doubleToInt64
      table.define(
        `${form.mnemonic(name)}_r64_xmmm${lane}`,
        form.definition(`${name}64`, [64, lane], scope => scope.write(0, toInteger(scope, truncated, load(scope)))),
      )
    }
}

function singleToInt64(scope: InstructionScope, truncated: boolean, b: Vector): Value<'i64'> {
  const value = scope.f.let(simd('f32', 'f32x4.extract_lane', [b], [0]))
  const integral = scope.f.let(value.float(truncated ? 'trunc' : 'nearest'))
  const inRange = integral
    .floatCompare('ge', i32(0xdf000000).asF32())
    .and(integral.floatCompare('lt', i32(0x5f000000).asF32()))
  const exact = integral.floatCompare('eq', value)
  return toInt64(scope, 32, truncated, b, prefixed('i64', 4, integral), inRange, exact)
}

function doubleToInt64(scope: InstructionScope, truncated: boolean, b: Vector): Value<'i64'> {
  const value = scope.f.let(simd('f64', 'f64x2.extract_lane', [b], [0]))
  const integral = scope.f.let(value.float(truncated ? 'trunc' : 'nearest'))
  const inRange = integral
    .floatCompare('ge', i64(0xc3e0_0000_0000_0000n).asF64())
    .and(integral.floatCompare('lt', i64(0x43e0_0000_0000_0000n).asF64()))
  const exact = integral.floatCompare('eq', value)
  return toInt64(scope, 64, truncated, b, prefixed('i64', 6, integral), inRange, exact)
}

function toInt64(
  scope: InstructionScope,
  lane: LaneBits,
  truncated: boolean,
  b: Vector,
  native: Value<'i64'>,
  inRange: Value<'i32'>,
  exact: Value<'i32'>,
): Value<'i64'> {
  const rounds = truncated ? truncatesNatively(scope) : roundsNatively(scope)
  const kind = truncated ? SseKind.toInt64Truncated : SseKind.toInt64
  return scope.f.choose(
    inRange.and(exact.or(rounds)),
    () => native,
    () => lowHalf(software(scope, i32(encodeOperation(kind, lane, 1)), b)),
    'i64',
  )
}

/** From 32-bit integers to binary32. */
function singlesFromInt32(scope: InstructionScope, b: Vector, lanes: 2 | 4): Vector {
  const native = simd<'v128'>('v128', 'f32x4.convert_i32x4_s', [b])
  return guarded(scope, native, roundsInexactly(scope, b), encodeOperation(SseKind.fromInt32, 32, lanes), b)
}

function defineFromPackedIntegers(table: DefinitionTable, form: VectorForm): void {
  form.define(table, { mnemonics: 'Cvtdq2ps', sources: 1 }, scope => {
    const b = form.load(scope, 1)
    form.store(
      scope,
      computeHalves(scope, form.halves, i => singlesFromInt32(scope, b[i], 4)),
    )
  })
}

/**
 * From integers in an MMX register or memory. From memory CVTPI2PS and CVTPI2PD leave the x87 state alone: so says
 * AMD's manual (APM vol. 4), and CPUID says AMD; SDM vol. 2 agrees for CVTPI2PD only.
 */
function defineFromMmx(table: DefinitionTable): void {
  const define = (name: string, convert: (scope: InstructionScope, address: Value<'i32'>) => void) =>
    table.define(
      `${name}_xmm_mmm64`,
      LEGACY.definition(name, [128, 64], scope => {
        const mmx = scope.shape[1] === 'r'
        if (mmx) checkPendingX87(scope)
        convert(scope, sourceAddress(scope, 1))
        if (mmx) enterMmx(scope)
      }),
    )
  define('Cvtpi2ps', (scope, address) => {
    const b = scope.f.let(loadRepeated(64, address))
    storeFirst(scope, 64, scope.registerAddress(0), singlesFromInt32(scope, b, 2))
  })
  define('Cvtpi2pd', (scope, address) =>
    scope.f.store(
      scope.registerAddress(0),
      simd('v128', 'f64x2.convert_low_i32x4_s', [scope.f.let(loadRepeated(64, address))]),
    ),
  )
}

/** Might a lane not fit the 24 bits of a binary32 significand, where that would be seen? */
function roundsInexactly(scope: InstructionScope, integers: Vector): Value<'i32'> {
  const limit = (value: number) => simd('v128', 'i32x4.splat', [i32(value)])
  const above = simd('v128', 'i32x4.gt_s', [integers, limit(1 << 24)])
  const below = simd('v128', 'i32x4.gt_s', [limit(-(1 << 24)), integers])
  return anyLane(or(above, below)).and(roundsNatively(scope).eqz())
}

/** WebAssembly's conversions of signed integers, by source and destination. */
const FROM_INTEGER = {
  32: { 32: 0xb2, 64: 0xb4 },
  64: { 32: 0xb7, 64: 0xb9 },
} as const

/** CVTSI2SS and CVTSI2SD; the rest of the destination is the first source's. */
function defineFromGeneralRegister(table: DefinitionTable, form: VectorForm): void {
  for (const { name, lane } of [
    { name: 'Cvtsi2ss', lane: 32 },
    { name: 'Cvtsi2sd', lane: 64 },
  ] as const)
    for (const bits of [32, 64] as const)
      table.define(
        `${form.mnemonic(name)}_xmm${form.vex ? '_xmm' : ''}_rm${bits}`,
        form.definition(`${name}_${bits}`, form.vex ? [128, 128, bits] : [128, bits], scope => {
          const { f } = scope
          const source = scope.read(form.second)
          const opcode = FROM_INTEGER[lane][bits]
          const native =
            lane === 32
              ? simd<'v128'>('v128', 'f32x4.splat', [unary('f32', opcode, source)])
              : simd<'v128'>('v128', 'f64x2.splat', [unary('f64', opcode, source)])
          if (lane === 64 && bits === 32) {
            form.storeScalar(scope, lane, native)
            return
          }
          const value = source.type === 'i64' ? source : f.let(source.extendS())
          const result = f.choose(
            fits(value, lane).or(roundsNatively(scope)),
            () => native,
            () =>
              software(scope, i32(encodeOperation(SseKind.fromInt64, lane, 1)), simd('v128', 'i64x2.splat', [value])),
            'v128',
          )
          form.storeScalar(scope, lane, result)
        }),
      )
}

/** Is the integer no larger than 2^24 (2^53), so that its conversion is exact? */
function fits(value: Value<'i64'>, lane: LaneBits): Value<'i32'> {
  const limit = lane === 32 ? 1 << 24 : 2 ** 53
  return value.add(i64(limit)).leU(i64(2 * limit))
}
