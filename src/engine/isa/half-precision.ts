/** F16C: between binary16 and binary32 (SDM vol. 2, VCVTPH2PS and VCVTPS2PH). */

import { i32, simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { and, anyLane, computeHalves, FloatLanes, loadRepeated, or, software } from './sse-lanes.ts'
import { byteImmediate, lowHalf, lowVector, storeTranslated } from './sse-operands.ts'
import { IMMEDIATE_SHIFT, SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { VEX_128, VEX_FORMS, type VectorForm } from './vector-form.ts'

const SINGLE = new FloatLanes('ps')

export function defineHalfPrecision(table: DefinitionTable): void {
  for (const form of VEX_FORMS) {
    defineWidening(table, form)
    defineNarrowing(table, form)
  }
}

const everyLane = (bits: number): Vector => SINGLE.constant(bits, 0n)

/** Every binary16 number is a binary32 one: natively but for NaNs, of which a signalling one is invalid. */
function widen(scope: InstructionScope, halves: Vector): Vector {
  const { f } = scope
  const magnitude = f.let(and(halves, everyLane(0x7fff)))
  const sign: Vector = simd('v128', 'i32x4.shl', [and(halves, everyLane(0x8000)), i32(16)])
  const shifted: Vector = simd('v128', 'i32x4.shl', [magnitude, i32(13)])
  // The exponents differ in bias by 112: a product with 2^112 also makes numbers of denormals.
  const number = SINGLE.compute('mul', shifted, everyLane(0x77800000))
  const infinite: Vector = simd('v128', 'i32x4.eq', [magnitude, everyLane(0x7c00)])
  const value: Vector = simd('v128', 'v128.bitselect', [SINGLE.infinity, number, infinite])
  const result = f.variable(or(value, sign))
  f.if(anyLane(simd('v128', 'i32x4.gt_s', [magnitude, everyLane(0x7c00)])), () =>
    f.set(result, software(scope, i32(SINGLE.operation(SseKind.fromHalf)), halves)),
  )
  return result
}

function defineWidening(table: DefinitionTable, form: VectorForm): void {
  const sourceBits = form.bits === 256 ? 128 : 64
  form.define(table, { mnemonics: 'Cvtph2ps', sources: 1, sourceBits }, scope => {
    const { f } = scope
    const address = form.address(scope, 1)
    const lanes = Array.from({ length: form.halves }, (_, i) => {
      const four = loadRepeated(64, i === 0 ? address : address.add(8))
      return f.let(simd<'v128'>('v128', 'i32x4.extend_low_i16x8_u', [four]))
    })
    form.store(
      scope,
      computeHalves(scope, form.halves, i => widen(scope, lanes[i])),
    )
  })
}

/** The low words of the doublewords, in front. */
function lowWords(v: Vector): Vector {
  const bytes = [0, 1, 4, 5, 8, 9, 12, 13]
  return simd('v128', 'i8x16.shuffle', [v, v], [...bytes, ...bytes])
}

function defineNarrowing(table: DefinitionTable, form: VectorForm): void {
  const resultBits = form.bits === 256 ? 128 : 64
  table.define(
    `VEX_Vcvtps2ph_xmmm${resultBits}_${form.register}_imm8`,
    form.definition('Cvtps2ph', [resultBits, form.bits, 8], scope => {
      const { f } = scope
      const toMemory = scope.shape[0] !== 'r'
      // Before MXCSR takes the flags of the conversion: the store may fault.
      const host = toMemory ? f.let(scope.hostForWrite(resultBits, scope.address(resultBits, true))) : undefined
      const source = form.loadRegister(scope, 1)
      const rounding = f.let(byteImmediate(scope).and(7).shl(IMMEDIATE_SHIFT))
      const operation = rounding.or(SINGLE.operation(SseKind.toHalf))
      const results = computeHalves(scope, form.halves, i => lowWords(software(scope, operation, source[i])))
      const words = results.map(half => f.let(lowHalf(half)))
      if (host !== undefined) storeTranslated(scope, host, words.length === 1 ? words[0] : pair(words))
      else VEX_128.store(scope, [words.length === 1 ? lowVector(words[0]) : pair(words)])
    }),
  )
}

function pair([low, high]: readonly ReturnType<typeof lowHalf>[]): Vector {
  return simd('v128', 'i64x2.replace_lane', [lowVector(low), high], [1])
}
