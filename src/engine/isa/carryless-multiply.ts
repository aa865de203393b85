/** PCLMULQDQ: the product of two quadwords as polynomials over GF(2) (SDM vol. 2). */

import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { lowHalf, lowVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { XMM_FORMS } from './vector-form.ts'
import { defineImmediate, type ImmediateOperation, type OperationTable } from './vector-operation.ts'

const highHalf = (v: Vector): Value<'i64'> => simd('i64', 'i64x2.extract_lane', [v], [1])

/**
 * The 64-bit product of two 32-bit polynomials. Integer products of every fourth coefficient leave three free bits
 * beside each sum, which at most eight terms do not fill: the lowest bit is the sum modulo 2.
 */
function multiply32(f: FunctionBuilder, a: Value<'i64'>, b: Value<'i64'>): Value<'i64'> {
  const everyFourth = 0x1111_1111_1111_1111n
  const parts = (v: Value<'i64'>) => [0n, 1n, 2n, 3n].map(start => f.let(v.and(everyFourth << start)))
  const [ofA, ofB] = [parts(a), parts(b)]
  const sums = [0, 1, 2, 3].map(residue => {
    const products = ofA.map((part, i) => part.mul(ofB[(residue - i) & 3]))
    return products.reduce((sum, each) => sum.xor(each)).and(BigInt.asUintN(64, everyFourth << BigInt(residue)))
  })
  return f.let(sums.reduce((all, each) => all.or(each)))
}

/** Body of a function of two quadwords: Karatsuba's method on their halves. */
export function buildCarrylessMultiply(f: FunctionBuilder): void {
  const [a, b] = [f.parameter(0, 'i64'), f.parameter(1, 'i64')]
  const low32 = (v: Value<'i64'>) => f.let(v.and(0xffff_ffff))
  const [lowA, lowB] = [low32(a), low32(b)]
  const [highA, highB] = [f.let(a.shrU(32)), f.let(b.shrU(32))]
  const low = multiply32(f, lowA, lowB)
  const high = multiply32(f, highA, highB)
  const sums = multiply32(f, f.let(lowA.xor(highA)), f.let(lowB.xor(highB)))
  const middle = f.let(sums.xor(low).xor(high))
  const result = lowVector(low.xor(middle.shl(32)))
  f.return(simd('v128', 'i64x2.replace_lane', [result, high.xor(middle.shrU(32))], [1]))
  f.unreachable()
}

/** Bit 0 of the immediate selects the half of `a`, bit 4 that of `b`. */
const multiply: ImmediateOperation = ({ f, runtime }, a, b, immediate) => {
  const halfOf = (v: Vector, bit: number) => select(immediate.and(1 << bit), highHalf(v), lowHalf(v))
  return f.let(f.callValue(runtime.vector.carrylessMultiply, halfOf(a, 0), halfOf(b, 4)))
}

export const CARRYLESS_OPERATIONS: OperationTable<ImmediateOperation> = { Pclmulqdq: multiply }

export function defineCarrylessMultiply(table: DefinitionTable): void {
  defineImmediate(table, CARRYLESS_OPERATIONS, XMM_FORMS)
}
