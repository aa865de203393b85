/** The SHA extensions: rounds and message schedules of SHA-1 and SHA-256 (SDM vol. 2; FIPS 180-4). */

import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { i32, select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { checkSse, destination, sourceVector, zeroVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineImmediate,
  type ImmediateOperation,
  type OperationTable,
} from './vector-operation.ts'

const xor = (a: Vector, b: Vector): Vector => simd('v128', 'v128.xor', [a, b])
const add = (a: Vector, b: Vector): Vector => simd('v128', 'i32x4.add', [a, b])
const shiftedRight = (v: Vector, bits: number): Vector => simd('v128', 'i32x4.shr_u', [v, i32(bits)])
const rotatedRight = (v: Vector, bits: number): Vector =>
  simd('v128', 'v128.or', [shiftedRight(v, bits), simd('v128', 'i32x4.shl', [v, i32(32 - bits)])])
const rotatedLeft = (v: Vector, bits: number): Vector => rotatedRight(v, 32 - bits)

/** Doublewords by number: 0 to 3 of `a`, 4 to 7 of `b`. */
const doublewords = (a: Vector, b: Vector, numbers: readonly number[]): Vector =>
  simd(
    'v128',
    'i8x16.shuffle',
    [a, b],
    numbers.flatMap(number => [0, 1, 2, 3].map(byte => number * 4 + byte)),
  )

/** The doublewords from the highest down, which hold A, B, C and D, or W0 to W3. */
const fromHighest = (f: FunctionBuilder, v: Vector): Value<'i32'>[] =>
  [3, 2, 1, 0].map(lane => f.let(simd('i32', 'i32x4.extract_lane', [v], [lane])))

function vectorOf(f: FunctionBuilder, highestFirst: readonly Value<'i32'>[]): Vector {
  return highestFirst.reduce<Vector>(
    (v, value, i) => simd('v128', 'i32x4.replace_lane', [v, value], [3 - i]),
    f.let(zeroVector()),
  )
}

const choose = (x: Value<'i32'>, y: Value<'i32'>, z: Value<'i32'>) => z.xor(x.and(y.xor(z)))
const majority = (x: Value<'i32'>, y: Value<'i32'>, z: Value<'i32'>) => x.and(y).xor(x.and(z)).xor(y.and(z))

/** Body of a function of (A to D, E + W0 to W3, number of the round function): four rounds of SHA-1. */
export function buildSha1Rounds(f: FunctionBuilder): void {
  const kind = f.parameter(2, 'i32')
  let [a, b, c, d] = fromHighest(f, f.parameter(0, 'v128'))
  const words = fromHighest(f, f.parameter(1, 'v128'))
  const constants = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6].map(value => i32(value))
  const constant = f.let(
    select(kind.gtU(1), select(kind.and(1), constants[3], constants[2]), select(kind, constants[1], constants[0])),
  )
  // E is part of the first word.
  let e = i32(0)
  for (const word of words) {
    const mixed = select(kind.and(1), b.xor(c).xor(d), select(kind, majority(b, c, d), choose(b, c, d)))
    const next = f.let(
      mixed
        .add(a.rotl(i32(5)))
        .add(word)
        .add(e)
        .add(constant),
    )
    ;[a, b, c, d, e] = [next, a, f.let(b.rotl(i32(30))), c, d]
  }
  f.return(vectorOf(f, [a, b, c, d]))
  f.unreachable()
}

const rotations = (v: Value<'i32'>, counts: readonly number[]): Value<'i32'> =>
  counts.map(count => v.rotr(i32(count))).reduce((sum, each) => sum.xor(each))

/** Body of a function of (C, D, G, H; A, B, E, F; two words with their constants): two rounds of SHA-256. */
export function buildSha256Rounds(f: FunctionBuilder): void {
  let [c, d, g, h] = fromHighest(f, f.parameter(0, 'v128'))
  let [a, b, e, ff] = fromHighest(f, f.parameter(1, 'v128'))
  const [, , second, first] = fromHighest(f, f.parameter(2, 'v128'))
  for (const word of [first, second]) {
    const sum = f.let(
      h
        .add(choose(e, ff, g))
        .add(rotations(e, [6, 11, 25]))
        .add(word),
    )
    const nextA = f.let(sum.add(majority(a, b, c)).add(rotations(a, [2, 13, 22])))
    ;[a, b, c, d, e, ff, g, h] = [nextA, a, b, c, f.let(sum.add(d)), e, ff, g]
  }
  f.return(vectorOf(f, [a, b, e, ff]))
  f.unreachable()
}

const HIGHEST = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]

const sha1NextE: BinaryOperation = (_scope, a, b) =>
  add(b, simd('v128', 'v128.and', [rotatedLeft(a, 30), simd('v128', 'v128.const', [], HIGHEST)]))

/** W16 to W19 in the order of SHA1MSG1: each needs the one three before it, so the last needs the first. */
const sha1Message2: BinaryOperation = ({ f }, a, b) => {
  const [zero, shifted] = [zeroVector(), [4, 0, 1, 2]]
  const words = f.let(xor(a, doublewords(b, zero, shifted)))
  const rotated = f.let(rotatedLeft(words, 1))
  return xor(rotated, doublewords(f.let(rotatedLeft(rotated, 1)), zero, [3, 4, 4, 4]))
}

/** The functions sigma of FIPS 180-4, 4.1.2, on each doubleword. */
const sigma = (v: Vector, rotate: readonly [number, number], shift: number): Vector =>
  xor(xor(rotatedRight(v, rotate[0]), rotatedRight(v, rotate[1])), shiftedRight(v, shift))

const sha256Message1: BinaryOperation = ({ f }, a, b) =>
  add(a, sigma(f.let(doublewords(a, b, [1, 2, 3, 4])), [7, 18], 3))

/** The upper two words depend on the lower two; sigma of zero is zero. */
const sha256Message2: BinaryOperation = ({ f }, a, b) => {
  const sigma1 = (v: Vector) => sigma(f.let(v), [17, 19], 10)
  const lower = f.let(add(a, sigma1(doublewords(b, zeroVector(), [2, 3, 4, 4]))))
  return add(lower, sigma1(doublewords(lower, zeroVector(), [4, 4, 0, 1])))
}

export const SHA_OPERATIONS: OperationTable<BinaryOperation> = {
  Sha1nexte: sha1NextE,
  Sha1msg1: (_scope, a, b) => xor(a, doublewords(a, b, [6, 7, 0, 1])),
  Sha1msg2: sha1Message2,
  Sha256msg1: sha256Message1,
  Sha256msg2: sha256Message2,
}

const sha1Rounds: ImmediateOperation = ({ f, runtime }, a, b, immediate) =>
  f.let(f.callValue(runtime.vector.sha1Rounds, a, b, immediate.and(3)))

export const SHA_IMMEDIATE_OPERATIONS: OperationTable<ImmediateOperation> = { Sha1rnds4: sha1Rounds }

export function defineSha(table: DefinitionTable): void {
  defineBinary(table, SHA_OPERATIONS)
  defineImmediate(table, SHA_IMMEDIATE_OPERATIONS)
  table.define('Sha256rnds2_xmm_xmmm128', {
    name: 'Sha256rnds2',
    bits: [128, 128],
    emit: scope => {
      checkSse(scope)
      const { f } = scope
      const b = sourceVector(scope, 1)
      const words = f.load('v128', i32(0), S.VECTORS)
      const result = f.let(f.callValue(scope.runtime.vector.sha256Rounds, destination(scope), b, words))
      f.store(scope.registerAddress(0), result)
    },
  })
}
