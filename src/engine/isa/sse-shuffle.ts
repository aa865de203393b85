/** Rearranging lanes: unpack, shuffle, insert and extract (SDM vol. 2). */

import { simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { vectorOperation } from './sse-integer.ts'
import { byteImmediate, checkSse, lowVector, sourceAddress } from './sse-operands.ts'
import { UNPACK_LANES, unpack } from './sse-packed.ts'

export function defineSseShuffle(table: DefinitionTable): void {
  defineUnpack(table)
  defineDoublewordShuffles(table)
  defineWordShuffles(table)
  defineQuadwordShuffle(table)
  defineWordAccess(table)
}

/** Floating-point mnemonics for the same interleaving. */
const UNPACK_SYNONYMS = { dq: 'ps', qdq: 'pd', bw: undefined, wd: undefined } as const

function defineUnpack(table: DefinitionTable): void {
  for (const suffix of ['bw', 'wd', 'dq', 'qdq'] as const)
    for (const half of ['l', 'h'] as const) {
      const names = [`Punpck${half}${suffix}`]
      const synonym = UNPACK_SYNONYMS[suffix]
      if (synonym !== undefined) names.push(`Unpck${half}${synonym}`)
      table.define(
        names.map(name => `${name}_xmm_xmmm128`),
        {
          name: names[0],
          bits: [128, 128],
          emit: vectorOperation(unpack(UNPACK_LANES[suffix], half === 'h')),
        },
      )
    }
}

/** Offset in bytes of the lane that field `index` of a shuffle's immediate selects. */
function selectedOffset(immediate: Value<'i32'>, index: number, fieldBits: 1 | 2, laneBytes: number): Value<'i32'> {
  return immediate
    .shrU(index * fieldBits)
    .and(fieldBits === 1 ? 1 : 3)
    .mul(laneBytes)
}

/** Two doublewords as a quadword; all of them are loaded before any lane of the destination is written. */
function doublewordPair(
  scope: InstructionScope,
  from: Value<'i32'>,
  immediate: Value<'i32'>,
  first: number,
): Value<'i64'> {
  const lane = (index: number) => scope.f.load('i64', from.add(selectedOffset(immediate, index, 2, 4)), 0, 4)
  return scope.f.let(lane(first).or(lane(first + 1).shl(32)))
}

/** PSHUFD takes all lanes from the source; SHUFPS the low two from the destination. */
function defineDoublewordShuffles(table: DefinitionTable): void {
  for (const { name, fromDestination } of [
    { name: 'Pshufd', fromDestination: false },
    { name: 'Shufps', fromDestination: true },
  ])
    table.define(`${name}_xmm_xmmm128_imm8`, {
      name,
      bits: [128, 128, 8],
      emit: scope => {
        checkSse(scope)
        const source = sourceAddress(scope, 1)
        const target = scope.f.let(scope.registerAddress(0))
        const immediate = scope.f.let(byteImmediate(scope))
        const low = doublewordPair(scope, fromDestination ? target : source, immediate, 0)
        const high = doublewordPair(scope, source, immediate, 2)
        storePair(scope, target, low, high)
      },
    })
}

function storePair(scope: InstructionScope, target: Value<'i32'>, low: Value<'i64'>, high: Value<'i64'>): void {
  scope.f.store(target, simd('v128', 'i64x2.replace_lane', [lowVector(low), high], [1]))
}

/** Four words, selected among the four at `from`, as a quadword. */
export function shuffledWords(scope: InstructionScope, from: Value<'i32'>, immediate: Value<'i32'>): Value<'i64'> {
  const lane = (index: number) =>
    scope.f.load('i64', from.add(selectedOffset(immediate, index, 2, 2)), 0, 2).shl(index * 16)
  return scope.f.let(lane(0).or(lane(1)).or(lane(2)).or(lane(3)))
}

function defineWordShuffles(table: DefinitionTable): void {
  for (const { name, shuffled } of [
    { name: 'Pshuflw', shuffled: 0 },
    { name: 'Pshufhw', shuffled: 8 },
  ])
    table.define(`${name}_xmm_xmmm128_imm8`, {
      name,
      bits: [128, 128, 8],
      emit: scope => {
        checkSse(scope)
        const source = sourceAddress(scope, 1)
        const immediate = scope.f.let(byteImmediate(scope))
        const words = shuffledWords(scope, source.add(shuffled), immediate)
        const kept = scope.f.let(scope.f.load('i64', source, 8 - shuffled))
        const [low, high] = shuffled === 0 ? [words, kept] : [kept, words]
        storePair(scope, scope.registerAddress(0), low, high)
      },
    })
}

function defineQuadwordShuffle(table: DefinitionTable): void {
  table.define('Shufpd_xmm_xmmm128_imm8', {
    name: 'Shufpd',
    bits: [128, 128, 8],
    emit: scope => {
      checkSse(scope)
      const source = sourceAddress(scope, 1)
      const target = scope.f.let(scope.registerAddress(0))
      const immediate = scope.f.let(byteImmediate(scope))
      const lane = (from: Value<'i32'>, index: number) =>
        scope.f.let(scope.f.load('i64', from.add(selectedOffset(immediate, index, 1, 8))))
      storePair(scope, target, lane(target, 0), lane(source, 1))
    },
  })
}

/** PINSRW and PEXTRW address the word in the register's slot. */
function defineWordAccess(table: DefinitionTable): void {
  table.define(['Pinsrw_xmm_r32m16_imm8', 'Pinsrw_xmm_r64m16_imm8'], {
    name: 'Pinsrw',
    bits: [128, 16, 8],
    emit: scope => {
      checkSse(scope)
      const word = scope.read(1)
      scope.f.store(wordAddress(scope, 0), word, 0, 2)
    },
  })
  table.define(['Pextrw_r32_xmm_imm8', 'Pextrw_r64_xmm_imm8'], {
    name: 'Pextrw',
    bits: [32, 128, 8],
    emit: scope => {
      checkSse(scope)
      scope.write(0, scope.f.let(scope.f.load('i32', wordAddress(scope, 1), 0, 2)))
    },
  })
}

/** Address of the word that the immediate selects in a 128-bit register operand. */
function wordAddress(scope: InstructionScope, operand: number): Value<'i32'> {
  return scope.registerAddress(operand).add(byteImmediate(scope).and(7).shl(1))
}
