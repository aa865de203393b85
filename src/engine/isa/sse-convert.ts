/** Conversions between floating-point formats and integers (SDM vol. 2: CVT...). */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { i32, i64, prefixed, simd, unary, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { checkPendingX87, enterMmx, writeMmx } from './mmx-operands.ts'
import {
  and,
  anyLane,
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
import { checkSse, lowHalf, lowVector, sourceAddress } from './sse-operands.ts'
import { encodeOperation, type LaneBits, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'

/** Formats as they lie in vectors, whatever number of lanes an instruction takes from them. */
const SINGLE = new FloatLanes('ps')
const DOUBLE = new FloatLanes('pd')
const format = (lane: LaneBits) => (lane === 32 ? SINGLE : DOUBLE)

export function defineSseConvert(table: DefinitionTable): void {
  defineWidening(table)
  defineNarrowing(table)
  defineToPackedIntegers(table)
  defineToGeneralRegister(table)
  defineFromPackedIntegers(table)
  defineFromGeneralRegister(table)
}

/** `native` unless `unsafe`, where software floating point computes. */
function guarded(scope: InstructionScope, native: Vector, unsafe: Value<'i32'>, operation: number, b: Vector): Vector {
  const result = scope.f.variable(native)
  scope.f.if(unsafe, () => scope.f.set(result, software(scope, i32(operation), b)))
  return result
}

/** CVTPS2PD and CVTSS2SD are exact: only NaNs and denormals matter. */
function defineWidening(table: DefinitionTable): void {
  for (const { name, bits, lanes } of [
    { name: 'Cvtps2pd', bits: 64, lanes: 2 },
    { name: 'Cvtss2sd', bits: 32, lanes: 1 },
  ] as const)
    table.define(`${name}_xmm_xmmm${bits}`, {
      name,
      bits: [128, bits],
      emit: scope => {
        checkSse(scope)
        const b = scope.f.let(loadRepeated(bits, sourceAddress(scope, 1)))
        const unsafe = anyLane(or(SINGLE.isNan(b), SINGLE.isDenormal(b)))
        const wide = simd('v128', 'f64x2.promote_low_f32x4', [b])
        const result = guarded(scope, wide, unsafe, encodeOperation(SseKind.convert, 32, lanes), b)
        if (lanes === 2) scope.f.store(scope.registerAddress(0), result)
        else storeFirst(scope, 64, scope.registerAddress(0), result)
      },
    })
}

/** CVTPD2PS clears the upper half of its destination; CVTSD2SS keeps all but the first lane. */
function defineNarrowing(table: DefinitionTable): void {
  for (const source of [DOUBLE, new FloatLanes('sd')]) {
    const name = source.packed ? 'Cvtpd2ps' : 'Cvtsd2ss'
    table.define(`${name}_xmm_${source.source}`, {
      name,
      bits: [128, source.bits],
      emit: scope => {
        checkSse(scope)
        const b = source.load(scope, sourceAddress(scope, 1))
        const narrow = scope.f.let(simd('v128', 'f32x4.demote_f64x2_zero', [b]))
        const unsafe = anyLane(not(narrowsSafely(scope, b, narrow)))
        const result = guarded(scope, narrow, unsafe, source.operation(SseKind.convert), b)
        if (source.packed) scope.f.store(scope.registerAddress(0), result)
        else storeFirst(scope, 32, scope.registerAddress(0), result)
      },
    })
  }
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

/** To 32-bit integers in an XMM or MMX register. */
function defineToPackedIntegers(table: DefinitionTable): void {
  for (const truncated of [false, true]) {
    const prefix = truncated ? 'Cvtt' : 'Cvt'
    for (const { suffix, lane, lanes, bits, mmx } of [
      { suffix: 'ps2dq_xmm', lane: 32, lanes: 4, bits: 128, mmx: false },
      { suffix: 'pd2dq_xmm', lane: 64, lanes: 2, bits: 128, mmx: false },
      { suffix: 'ps2pi_mm', lane: 32, lanes: 2, bits: 64, mmx: true },
      { suffix: 'pd2pi_mm', lane: 64, lanes: 2, bits: 128, mmx: true },
    ] as const)
      table.define(`${prefix}${suffix}_xmmm${bits}`, {
        name: `${prefix}${suffix}`,
        bits: [mmx ? 64 : 128, bits],
        emit: scope => {
          checkSse(scope)
          if (mmx) checkPendingX87(scope)
          const address = sourceAddress(scope, 1)
          const b = scope.f.let(bits === 64 ? loadRepeated(64, address) : scope.f.load('v128', address))
          const result = toInt32(scope, lane, lanes, truncated, b)
          if (mmx) writeMmx(scope, lowHalf(result))
          else scope.f.store(scope.registerAddress(0), result)
        },
      })
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
function defineToGeneralRegister(table: DefinitionTable): void {
  for (const { suffix, lane } of [
    { suffix: 'ss', lane: 32 },
    { suffix: 'sd', lane: 64 },
  ] as const)
    for (const truncated of [false, true]) {
      const name = `${truncated ? 'Cvtt' : 'Cvt'}${suffix}2si`
      table.define(`${name}_r32_xmmm${lane}`, {
        name: `${name}32`,
        bits: [32, lane],
        emit: scope => {
          checkSse(scope)
          const b = scope.f.let(loadRepeated(lane, sourceAddress(scope, 1)))
          const result = toInt32(scope, lane, 1, truncated, b)
          scope.write(0, simd('i32', 'i32x4.extract_lane', [result], [0]))
        },
      })
      table.define(`${name}_r64_xmmm${lane}`, {
        name: `${name}64`,
        bits: [64, lane],
        emit: scope => {
          checkSse(scope)
          const b = scope.f.let(loadRepeated(lane, sourceAddress(scope, 1)))
          scope.write(0, lane === 32 ? singleToInt64(scope, truncated, b) : doubleToInt64(scope, truncated, b))
        },
      })
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

/**
 * Is operand 1 an MMX register? From memory CVTPI2PS and CVTPI2PD leave the x87 state alone: so says AMD's manual (APM
 * vol. 4), and CPUID says AMD; SDM vol. 2 agrees for CVTPI2PD only.
 */
function referencesMmx(scope: InstructionScope, source: string): boolean {
  return source === 'mmm64' && scope.shape[1] === 'r'
}

/** From 32-bit integers in an XMM or MMX register, or memory. */
function defineFromPackedIntegers(table: DefinitionTable): void {
  for (const { name, source, lanes } of [
    { name: 'Cvtdq2ps_xmm', source: 'xmmm128', lanes: 4 },
    { name: 'Cvtpi2ps_xmm', source: 'mmm64', lanes: 2 },
  ] as const)
    table.define(`${name}_${source}`, {
      name,
      bits: [128, lanes === 4 ? 128 : 64],
      emit: scope => {
        checkSse(scope)
        const mmx = referencesMmx(scope, source)
        if (mmx) checkPendingX87(scope)
        const address = sourceAddress(scope, 1)
        const b = scope.f.let(lanes === 4 ? scope.f.load('v128', address) : loadRepeated(64, address))
        const native = simd('v128', 'f32x4.convert_i32x4_s', [b])
        const result = guarded(
          scope,
          native,
          roundsInexactly(scope, b),
          encodeOperation(SseKind.fromInt32, 32, lanes),
          b,
        )
        if (lanes === 4) scope.f.store(scope.registerAddress(0), result)
        else storeFirst(scope, 64, scope.registerAddress(0), result)
        if (mmx) enterMmx(scope)
      },
    })

  // Every 32-bit integer has an exact binary64 value.
  for (const { name, source } of [
    { name: 'Cvtdq2pd', source: 'xmmm64' },
    { name: 'Cvtpi2pd', source: 'mmm64' },
  ])
    table.define(`${name}_xmm_${source}`, {
      name,
      bits: [128, 64],
      emit: scope => {
        checkSse(scope)
        const mmx = referencesMmx(scope, source)
        if (mmx) checkPendingX87(scope)
        const value = scope.f.let(lowVector(scope.read64(1)))
        scope.f.store(scope.registerAddress(0), simd('v128', 'f64x2.convert_low_i32x4_s', [value]))
        if (mmx) enterMmx(scope)
      },
    })
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

/** CVTSI2SS and CVTSI2SD; the rest of the destination stays. */
function defineFromGeneralRegister(table: DefinitionTable): void {
  for (const { name, lane } of [
    { name: 'Cvtsi2ss', lane: 32 },
    { name: 'Cvtsi2sd', lane: 64 },
  ] as const)
    for (const bits of [32, 64] as const)
      table.define(`${name}_xmm_rm${bits}`, {
        name: `${name}.${bits}`,
        bits: [128, bits],
        emit: scope => {
          checkSse(scope)
          const source = scope.read(1)
          const opcode = FROM_INTEGER[lane][bits]
          const native = lane === 32 ? unary('f32', opcode, source) : unary('f64', opcode, source)
          const store = () => scope.f.store(scope.registerAddress(0), native)
          if (lane === 64 && bits === 32) return store()
          const value = source.type === 'i64' ? source : scope.f.let(source.extendS())
          scope.f.if(fits(value, lane).or(roundsNatively(scope)), store, () => {
            const result = software(
              scope,
              i32(encodeOperation(SseKind.fromInt64, lane, 1)),
              simd('v128', 'i64x2.splat', [value]),
            )
            storeFirst(scope, lane, scope.registerAddress(0), result)
          })
        },
      })
}

/** Is the integer no larger than 2^24 (2^53), so that its conversion is exact? */
function fits(value: Value<'i64'>, lane: LaneBits): Value<'i32'> {
  const limit = lane === 32 ? 1 << 24 : 2 ** 53
  return value.add(i64(limit)).leU(i64(2 * limit))
}
