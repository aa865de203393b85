/** What AVX and AVX2 brought beside longer registers: moves of lanes within and across halves, tests, variable shifts (SDM vol. 2). */

import { MODE_CODE_64, MODE_CODE_SIZE } from '../mode.ts'
import * as S from '../state.ts'
import { i32, i64, select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, lowVector, repeated, zeroVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { doublewordIndices, quadwordIndices, selectBytes } from './sse-shuffle.ts'
import { blend } from './sse41-blend.ts'
import { testBits } from './sse41-integer.ts'
import { type Halves, VEX_128, VEX_256, VEX_FORMS, type VectorForm } from './vector-form.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineImmediate,
  defineUnaryImmediate,
  type OperationTable,
  type UnaryImmediateOperation,
} from './vector-operation.ts'

export function defineAvxLanes(table: DefinitionTable): void {
  defineUnaryImmediate(table, PERMUTATIONS_BY_IMMEDIATE, VEX_FORMS)
  defineBinary(table, PERMUTATIONS, VEX_FORMS)
  defineBinary(table, VARIABLE_SHIFTS, VEX_FORMS)
  defineImmediate(table, { Pblendd: blend('i32x4') }, VEX_FORMS)
  defineAcrossHalves(table)
  defineHalves(table)
  for (const form of VEX_FORMS) {
    defineBroadcasts(table, form)
    defineTests(table, form)
  }
  defineZeroing(table)
}

const PERMUTATIONS_BY_IMMEDIATE: OperationTable<UnaryImmediateOperation> = {
  Permilps: (_scope, source, immediate) => selectBytes(source, doublewordIndices(immediate)),
  Permilpd: (_scope, source, immediate) => selectBytes(source, quadwordIndices(immediate, 0)),
}

/** Numbers of doublewords to indices of their bytes. */
function bytesOfDoublewords(numbers: Vector): Vector {
  const scaled: Vector = simd('v128', 'i32x4.mul', [numbers, repeated(0x0404_0404_0404_0404n)])
  return simd('v128', 'i32x4.add', [scaled, repeated(0x0302_0100_0302_0100n)])
}

const PERMUTATIONS: OperationTable<BinaryOperation> = {
  Permilps: (_scope, a, b) => {
    const numbers: Vector = simd('v128', 'v128.and', [b, repeated(0x0000_0003_0000_0003n)])
    return selectBytes(a, bytesOfDoublewords(numbers))
  },
  // Bit 1 of each quadword tells.
  Permilpd: (_scope, a, b) => {
    const numbers: Vector = simd('v128', 'v128.and', [simd('v128', 'i64x2.shr_u', [b, i32(1)]), repeated(1n)])
    const scaled: Vector = simd('v128', 'i64x2.mul', [numbers, repeated(0x0808_0808_0808_0808n)])
    return selectBytes(a, simd('v128', 'i64x2.add', [scaled, repeated(0x0706_0504_0302_0100n)]))
  },
}

/** Bytes of 32, by index; `swizzle` gives zeros for those of the other half. */
function selectAcross({ f }: InstructionScope, [low, high]: Halves, indices: Vector): Vector {
  const named = f.let(indices)
  const ofHigh: Vector = simd('v128', 'i8x16.sub', [named, repeated(0x1010_1010_1010_1010n)])
  return simd('v128', 'v128.or', [selectBytes(low, named), selectBytes(high, ofHigh)])
}

/** Permutations of a whole YMM register: by a vector of numbers, or by the 2-bit fields of an immediate. */
function defineAcrossHalves(table: DefinitionTable): void {
  VEX_256.define(table, { mnemonics: ['Permd', 'Permps'], sources: 2 }, scope => {
    const source = VEX_256.load(scope, 2)
    const numbers = VEX_256.loadRegister(scope, 1)
    VEX_256.store(
      scope,
      numbers.map(half => {
        const modulo: Vector = simd('v128', 'v128.and', [half, repeated(0x0000_0007_0000_0007n)])
        return selectAcross(scope, source, bytesOfDoublewords(modulo))
      }),
    )
  })
  VEX_256.define(table, { mnemonics: ['Permq', 'Permpd'], sources: 1, immediate: true }, scope => {
    const source = VEX_256.load(scope, 1)
    const immediate = scope.f.let(byteImmediate(scope).extendU())
    const quadword = (field: number) =>
      immediate
        .shrU(2 * field)
        .and(3)
        .mul(i64(0x0808_0808_0808_0808n))
        .add(i64(0x0706_0504_0302_0100n))
    const pair = (field: number) =>
      simd<'v128'>('v128', 'i64x2.replace_lane', [lowVector(quadword(field)), quadword(field + 1)], [1])
    VEX_256.store(
      scope,
      [0, 2].map(field => selectAcross(scope, source, pair(field))),
    )
  })
}

/** Moves of whole halves. */
function defineHalves(table: DefinitionTable): void {
  VEX_256.define(table, { mnemonics: ['Perm2f128', 'Perm2i128'], sources: 2, immediate: true }, scope => {
    const b = VEX_256.load(scope, 2)
    const a = VEX_256.loadRegister(scope, 1)
    const immediate = scope.f.let(byteImmediate(scope))
    const chosen = (start: number): Vector => {
      const bit = (index: number) => immediate.and(1 << (start + index))
      const ofSource = ([low, high]: Halves) => select<'v128'>(bit(0), high, low)
      return select<'v128'>(bit(3), zeroVector(), select<'v128'>(bit(1), ofSource(b), ofSource(a)))
    }
    VEX_256.store(scope, [chosen(0), chosen(4)])
  })
  const insertion = { mnemonics: ['Insertf128', 'Inserti128'], sources: 2, sourceBits: 128, immediate: true } as const
  VEX_256.define(table, insertion, scope => {
    const [b] = VEX_128.load(scope, 2)
    const [low, high] = VEX_256.loadRegister(scope, 1)
    const upper = scope.f.let(byteImmediate(scope).and(1))
    VEX_256.store(scope, [select<'v128'>(upper, low, b), select<'v128'>(upper, b, high)])
  })
  table.define(
    ['VEX_Vextractf128_xmmm128_ymm_imm8', 'VEX_Vextracti128_xmmm128_ymm_imm8'],
    VEX_256.definition('Extract128', [128, 256, 8], scope => {
      const from = scope.registerAddress(1).add(byteImmediate(scope).and(1).shl(4))
      const value = scope.f.let(scope.f.load('v128', from))
      if (scope.shape[0] === 'r') VEX_128.store(scope, [value])
      else scope.storeVector(scope.address(128, true), value)
    }),
  )
}

/** One element of the source in every lane. */
function defineBroadcasts(table: DefinitionTable, form: VectorForm): void {
  const { register, bits } = form
  const everywhere = (scope: InstructionScope, value: Vector) => {
    const named = scope.f.let(value)
    form.store(scope, bits === 256 ? [named, named] : [named])
  }
  const define = (codes: readonly string[], name: string, elementBits: 8 | 16 | 32 | 64) =>
    table.define(
      codes.map(code => `VEX_V${code}`),
      form.definition(name, [bits, elementBits], scope => {
        const value = scope.read(1)
        everywhere(scope, simd('v128', SPLATS[elementBits], [value]))
      }),
    )
  define([`broadcastss_${register}_m32`, `broadcastss_${register}_xmm`], 'Broadcastss', 32)
  if (bits === 256) define(['broadcastsd_ymm_m64', 'broadcastsd_ymm_xmm'], 'Broadcastsd', 64)
  for (const { suffix, elementBits } of [
    { suffix: 'b', elementBits: 8 },
    { suffix: 'w', elementBits: 16 },
    { suffix: 'd', elementBits: 32 },
    { suffix: 'q', elementBits: 64 },
  ] as const)
    define([`pbroadcast${suffix}_${register}_xmmm${elementBits}`], `Pbroadcast${suffix}`, elementBits)
  if (bits === 256)
    table.define(
      ['VEX_Vbroadcastf128_ymm_m128', 'VEX_Vbroadcasti128_ymm_m128'],
      form.definition('Broadcast128', [256, 128], scope => everywhere(scope, VEX_128.load(scope, 1)[0])),
    )
}

const SPLATS = { 8: 'i8x16.splat', 16: 'i16x8.splat', 32: 'i32x4.splat', 64: 'i64x2.splat' } as const

/** VTESTPS and VTESTPD: PTEST on the sign bits alone. */
function defineTests(table: DefinitionTable, form: VectorForm): void {
  for (const { mnemonics, signs } of [
    { mnemonics: 'Testps', signs: 0x8000_0000_8000_0000n },
    { mnemonics: 'Testpd', signs: 0x8000_0000_0000_0000n },
  ])
    form.define(table, { mnemonics, sources: 1 }, scope => {
      const b = form.load(scope, 1)
      const a = form.loadRegister(scope, 0)
      testBits(
        scope,
        b.map((half, i) => ({ a: a[i], b: half })),
        repeated(signs),
      )
    })
}

/** Shifts of one lane by a count that may be beyond it, for which WebAssembly takes counts modulo the width. */
type Shift<T extends 'i32' | 'i64'> = (value: Value<T>, count: Value<T>) => Value<T>

const shiftDoublewords =
  (shift: Shift<'i32'>): BinaryOperation =>
  ({ f }, a, b) =>
    [0, 1, 2, 3].reduce<Vector>((result, lane) => {
      const of = (v: Vector) => simd<'i32'>('i32', 'i32x4.extract_lane', [v], [lane])
      return simd('v128', 'i32x4.replace_lane', [result, shift(of(a), f.let(of(b)))], [lane])
    }, a)

const shiftQuadwords =
  (shift: Shift<'i64'>): BinaryOperation =>
  ({ f }, a, b) =>
    [0, 1].reduce<Vector>((result, lane) => {
      const of = (v: Vector) => simd<'i64'>('i64', 'i64x2.extract_lane', [v], [lane])
      return simd('v128', 'i64x2.replace_lane', [result, shift(of(a), f.let(of(b)))], [lane])
    }, a)

const VARIABLE_SHIFTS: OperationTable<BinaryOperation> = {
  Psllvd: shiftDoublewords((value, count) => select(count.gtU(31), i32(0), value.shl(count))),
  Psrlvd: shiftDoublewords((value, count) => select(count.gtU(31), i32(0), value.shrU(count))),
  Psravd: shiftDoublewords((value, count) => value.shrS(select(count.gtU(31), i32(31), count))),
  Psllvq: shiftQuadwords((value, count) => select(count.gtU(63), i64(0), value.shl(count))),
  Psrlvq: shiftQuadwords((value, count) => select(count.gtU(63), i64(0), value.shrU(count))),
}

/** VZEROUPPER and VZEROALL: of the registers that the mode has. */
function defineZeroing(table: DefinitionTable): void {
  const slots = (scope: InstructionScope) => {
    const long = scope.state32(S.MODE).and(MODE_CODE_SIZE).eq(MODE_CODE_64)
    return scope.f.let(select(long, i32(16 * S.VECTOR_STRIDE), i32(8 * S.VECTOR_STRIDE)))
  }
  table.define(
    'VEX_Vzeroall',
    VEX_256.definition('Zeroall', [], scope => scope.f.fillMemory(i32(S.VECTORS), i32(0), slots(scope))),
  )
  table.define(
    'VEX_Vzeroupper',
    VEX_128.definition('Zeroupper', [], scope => {
      const { f } = scope
      const at = f.variable(slots(scope))
      f.loop(again => {
        f.set(at, at.sub(S.VECTOR_STRIDE))
        f.store(at, zeroVector(), S.VECTORS + 16)
        f.brIf(again, at)
      })
    }),
  )
}
