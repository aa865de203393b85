/** SSE4.1: lanes of one operand or the other, as an immediate or a mask register says, and INSERTPS (SDM vol. 2). */

import * as S from '../state.ts'
import { i32, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { loadRepeated } from './sse-lanes.ts'
import { byteImmediate, signMask } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { LEGACY, VEX_FORMS, XMM_FORMS } from './vector-form.ts'
import { defineImmediate, type ImmediateOperation, type OperationTable } from './vector-operation.ts'

const SPLATS = { i16x8: 'i16x8.splat', i32x4: 'i32x4.splat', i64x2: 'i64x2.splat' } as const

/** Ones in each lane whose bit of the immediate, lane 0 being bit 0, is set. */
export function immediateMask(lanes: keyof typeof SPLATS, immediate: Value<'i32'>): Vector {
  const count = Number(lanes.slice(-1))
  const bytes = Array.from({ length: 16 }, (_, i) => (i % (16 / count) === 0 ? 1 << (i / (16 / count)) : 0))
  const bits = (): Vector => simd('v128', 'v128.const', [], bytes)
  const all: Vector = simd('v128', SPLATS[lanes], [lanes === 'i64x2' ? immediate.extendU() : immediate])
  return simd('v128', `${lanes}.eq`, [simd('v128', 'v128.and', [all, bits()]), bits()])
}

export const blend =
  (lanes: keyof typeof SPLATS): ImmediateOperation =>
  (_scope, a, b, immediate) =>
    simd('v128', 'v128.bitselect', [b, a, immediateMask(lanes, immediate)])

export const BLEND_OPERATIONS: OperationTable<ImmediateOperation> = {
  Pblendw: blend('i16x8'),
  Blendps: blend('i32x4'),
  Blendpd: blend('i64x2'),
}

/** Lanes of `b` where the sign of the mask's lane is set, else of `a`. */
export type MaskedOperation = (scope: InstructionScope, a: Vector, b: Vector, mask: Vector) => Vector

export const MASKED_BLEND_OPERATIONS: OperationTable<MaskedOperation> = {
  Pblendvb: (_scope, a, b, mask) => simd('v128', 'v128.bitselect', [b, a, signMask(mask)]),
  Blendvps: (_scope, a, b, mask) =>
    simd('v128', 'v128.bitselect', [b, a, simd('v128', 'i32x4.shr_s', [mask, i32(31)])]),
  Blendvpd: (_scope, a, b, mask) =>
    simd('v128', 'v128.bitselect', [b, a, simd('v128', 'i64x2.shr_s', [mask, i32(63)])]),
}

const doublewords = (...lanes: number[]): Vector =>
  simd(
    'v128',
    'v128.const',
    [],
    lanes.flatMap(lane => [lane, 0, 0, 0]),
  )

/**
 * The doubleword of `b` that bits 7:6 select, in the lane of `a` that bits 5:4 select; lanes in bits 3:0 cleared. A
 * source in memory is one doubleword, and not selected from: it stands in every lane of `b`.
 */
export const insertSingle: ImmediateOperation = (_scope, a, b, immediate) => {
  const bytes: Vector = simd(
    'v128',
    'v128.const',
    [],
    Array.from({ length: 16 }, (_, i) => i % 4),
  )
  const start: Vector = simd('v128', 'i8x16.splat', [immediate.shrU(6).shl(2)])
  const inserted = simd('v128', 'i8x16.swizzle', [b, simd('v128', 'i8x16.add', [bytes, start])])
  const lane: Vector = simd('v128', 'i32x4.splat', [immediate.shrU(4).and(3)])
  const there = simd('v128', 'i32x4.eq', [lane, doublewords(0, 1, 2, 3)])
  return simd('v128', 'v128.andnot', [
    simd('v128', 'v128.bitselect', [inserted, a, there]),
    immediateMask('i32x4', immediate),
  ])
}

export function defineSse41Blend(table: DefinitionTable): void {
  defineImmediate(table, BLEND_OPERATIONS)
  for (const [name, operation] of Object.entries(MASKED_BLEND_OPERATIONS)) {
    LEGACY.define(table, { mnemonics: name, sources: 2 }, scope => {
      const [b] = LEGACY.load(scope, 1)
      const mask = scope.f.let(scope.f.load('v128', i32(0), S.VECTORS))
      LEGACY.store(scope, [operation(scope, LEGACY.loadRegister(scope, 0)[0], b, mask)])
    })
    for (const form of VEX_FORMS)
      table.define(
        `${form.codes({ mnemonics: name, sources: 2 })[0]}_${form.register}`,
        form.definition(name, [form.bits, form.bits, form.bits, form.bits], scope => {
          const b = form.load(scope, 2)
          const [a, mask] = [form.loadRegister(scope, 1), form.loadRegister(scope, 3)]
          form.store(
            scope,
            b.map((half, i) => operation(scope, a[i], half, mask[i])),
          )
        }),
      )
  }
  for (const form of XMM_FORMS)
    form.define(table, { mnemonics: 'Insertps', sources: 2, sourceBits: 32, immediate: true }, scope => {
      const at = form.address(scope, form.second)
      const b = scope.f.let(scope.shape[form.second] === 'r' ? scope.f.load('v128', at) : loadRepeated(32, at))
      const [a] = form.loadRegister(scope, form.first)
      form.store(scope, [insertSingle(scope, a, b, scope.f.let(byteImmediate(scope)))])
    })
}
