/** Rearranging lanes: unpack, shuffle, insert and extract (SDM vol. 2). */

import { i64, simd, type Value, v128 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { packed } from './sse-integer.ts'
import { byteImmediate, lowVector } from './sse-operands.ts'
import { UNPACK_LANES, unpack, type Vector } from './sse-packed.ts'
import { FORMS, type VectorForm, XMM_FORMS } from './vector-form.ts'

export function defineSseShuffle(table: DefinitionTable): void {
  for (const form of FORMS) {
    defineUnpack(table, form)
    defineShuffles(table, form)
  }
  for (const form of XMM_FORMS) defineWordAccess(table, form)
}

/** Floating-point mnemonics for the same interleaving. */
const UNPACK_SYNONYMS = { dq: 'ps', qdq: 'pd', bw: undefined, wd: undefined } as const

function defineUnpack(table: DefinitionTable, form: VectorForm): void {
  for (const suffix of ['bw', 'wd', 'dq', 'qdq'] as const)
    for (const half of ['l', 'h'] as const) {
      const mnemonics = [`Punpck${half}${suffix}`]
      const synonym = UNPACK_SYNONYMS[suffix]
      if (synonym !== undefined) mnemonics.push(`Unpck${half}${synonym}`)
      form.define(table, { mnemonics, sources: 2 }, packed(form, unpack(UNPACK_LANES[suffix], half === 'h')))
    }
}

/** Two quadwords as a vector. */
function pair(low: Value<'i64'>, high: Value<'i64'>): Vector {
  if (low.constant !== undefined && high.constant !== undefined) return v128(low.constant, high.constant)
  return simd('v128', 'i64x2.replace_lane', [lowVector(low), high], [1])
}

export const selectBytes = (value: Vector, indices: Vector): Vector => simd('v128', 'i8x16.swizzle', [value, indices])

/** The low half of `a` and the high half of `b`. */
const lowAndHigh = (a: Vector, b: Vector): Vector =>
  simd('v128', 'i8x16.shuffle', [a, b], [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31])

/** The bytes 0 to 7 and 8 to 15. */
const LOW_BYTES = i64(0x0706_0504_0302_0100n)
const HIGH_BYTES = i64(0x0f0e_0d0c_0b0a_0908n)

/** Indices of the bytes of the four doublewords that the 2-bit fields of an immediate select. */
export function doublewordIndices(immediate: Value<'i32'>): Vector {
  const two = (fields: Value<'i64'>) =>
    fields.and(3).or(fields.and(0xc).shl(30)).mul(i64(0x0404_0404)).add(i64(0x0302_0100_0302_0100n))
  return pair(two(immediate.extendU()), two(immediate.extendU().shrU(4)))
}

/** The same for four words among those from byte `start` on. */
function wordIndices(immediate: Value<'i32'>, start: 0 | 8): Value<'i64'> {
  const field = (index: number) =>
    immediate
      .extendU()
      .and(3 << (2 * index))
      .shl(14 * index)
  return field(0)
    .or(field(1))
    .or(field(2))
    .or(field(3))
    .mul(i64(0x0202))
    .add(i64(start === 0 ? 0x0100_0100_0100_0100n : 0x0908_0908_0908_0908n))
}

/** The same for the two quadwords that two bits of an immediate select, from bit `position` on. */
export function quadwordIndices(immediate: Value<'i32'>, position: number): Vector {
  const one = (index: number) =>
    immediate
      .shrU(position + index)
      .and(1)
      .extendU()
      .mul(i64(0x0808_0808_0808_0808n))
      .add(LOW_BYTES)
  return pair(one(0), one(1))
}

/** The four words at the low end of a vector, as the immediate of PSHUFW selects them. */
export function shuffledWords(words: Vector, immediate: Value<'i32'>): Vector {
  return selectBytes(words, pair(wordIndices(immediate, 0), i64(-1)))
}

/** Bytes that an immediate selects in half `half` of the operands. */
type Selection = (immediate: Value<'i32'>, half: number) => Vector

const SHUFFLES: Readonly<Record<string, { readonly sources: 1 | 2; readonly selection: Selection }>> = {
  Pshufd: { sources: 1, selection: doublewordIndices },
  Pshuflw: { sources: 1, selection: immediate => pair(wordIndices(immediate, 0), HIGH_BYTES) },
  Pshufhw: { sources: 1, selection: immediate => pair(LOW_BYTES, wordIndices(immediate, 8)) },
  // These take the low half of a result from the first source, the high half from the second.
  Shufps: { sources: 2, selection: doublewordIndices },
  Shufpd: { sources: 2, selection: (immediate, half) => quadwordIndices(immediate, 2 * half) },
}

function defineShuffles(table: DefinitionTable, form: VectorForm): void {
  for (const [mnemonics, { sources, selection }] of Object.entries(SHUFFLES))
    form.define(table, { mnemonics, sources, immediate: true }, scope => {
      const { f } = scope
      const b = form.load(scope, sources === 2 ? form.second : 1)
      const a = sources === 2 ? form.loadRegister(scope, form.first) : b
      const immediate = f.let(byteImmediate(scope))
      form.store(
        scope,
        b.map((half, i) => {
          const indices = f.let(selection(immediate, i))
          const selected = selectBytes(half, indices)
          return sources === 1 ? selected : lowAndHigh(selectBytes(a[i], indices), selected)
        }),
      )
    })
}

/** PINSRW and PEXTRW address the word in a slot of the state. */
function defineWordAccess(table: DefinitionTable, form: VectorForm): void {
  for (const bits of [32, 64] as const) {
    const first = form.vex ? '_xmm' : ''
    table.define(
      `${form.mnemonic('Pinsrw')}_xmm${first}_r${bits}m16_imm8`,
      form.definition('Pinsrw', form.vex ? [128, 128, 16, 8] : [128, 16, 8], scope => {
        const word = scope.read(form.second)
        const offset = scope.f.let(wordOffset(scope))
        if (form.vex) form.store(scope, form.loadRegister(scope, form.first))
        scope.f.store(scope.registerAddress(0).add(offset), word, 0, 2)
      }),
    )
    table.define(
      `${form.mnemonic('Pextrw')}_r${bits}_xmm_imm8`,
      form.definition('Pextrw', [32, 128, 8], scope => {
        const word = scope.f.load('i32', scope.registerAddress(1).add(wordOffset(scope)), 0, 2)
        scope.write(0, scope.f.let(word))
      }),
    )
  }
}

/** Offset of the word that the immediate selects in a vector. */
function wordOffset(scope: InstructionScope): Value<'i32'> {
  return byteImmediate(scope).and(7).shl(1)
}
