/** SSE3 on XMM registers (SDM vol. 2): duplicated lanes, sums within a register, alternating sums. */

import { simd, v128 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { computeLanes, exactSum, type FloatMnemonic, floatArithmetic, type Method, unsafeSum } from './sse-float.ts'
import { FloatLanes } from './sse-lanes.ts'
import { SseKind } from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { VEX_256 } from './vector-form.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineUnary,
  type OperationTable,
  type UnaryOperation,
} from './vector-operation.ts'

const SINGLE = new FloatLanes('ps')
const DOUBLE = new FloatLanes('pd')

/** Each lane of the source is one of its doublewords. */
function doublewords(...selected: number[]): UnaryOperation {
  const bytes = selected.flatMap(index => [0, 1, 2, 3].map(byte => index * 4 + byte))
  return (_scope, source) => simd('v128', 'i8x16.shuffle', [source, source], bytes)
}

export const DUPLICATE_OPERATIONS: OperationTable<UnaryOperation> = {
  Movsldup: doublewords(0, 0, 2, 2),
  Movshdup: doublewords(1, 1, 3, 3),
}

/** MOVDDUP has a source of 64 bits, or of 128 in each lane of a longer vector. */
export const DUPLICATE_QUADWORD: OperationTable<UnaryOperation> = { Movddup: doublewords(0, 1, 0, 1) }

/** The lanes with even numbers of `a` and `b`, then those with odd ones. */
function deinterleave(format: FloatLanes, a: Vector, b: Vector): readonly [Vector, Vector] {
  const bytes = format.lane / 8
  const half = (first: number) =>
    Array.from({ length: 16 }, (_, i) => first * bytes + Math.floor(i / bytes) * 2 * bytes + (i % bytes))
  return [simd('v128', 'i8x16.shuffle', [a, b], half(0)), simd('v128', 'i8x16.shuffle', [a, b], half(1))]
}

function horizontal(format: FloatLanes, mnemonic: FloatMnemonic): BinaryOperation {
  return (scope, a, b) => {
    const [even, odd] = deinterleave(format, a, b)
    return floatArithmetic(scope, format, mnemonic, scope.f.let(even), scope.f.let(odd))
  }
}

/** The pairs of neighbours of `a`, then those of `b`. */
export const HORIZONTAL_OPERATIONS: OperationTable<BinaryOperation> = {
  Haddps: horizontal(SINGLE, 'Add'),
  Haddpd: horizontal(DOUBLE, 'Add'),
  Hsubps: horizontal(SINGLE, 'Sub'),
  Hsubpd: horizontal(DOUBLE, 'Sub'),
}

/** `b` with its even lanes negated. */
function negatedEven(format: FloatLanes, b: Vector): Vector {
  const signs = format.lane === 32 ? v128(0x8000_0000n, 0x8000_0000n) : v128(1n << 63n, 0n)
  return simd('v128', 'v128.xor', [b, signs])
}

/** A difference in the even lanes, a sum in the odd ones. Only NaNs tell it from a sum with some lanes negated. */
const ALTERNATING: Method = {
  kind: SseKind.addSubtract,
  compute: (format, a, b) => format.compute('add', a, negatedEven(format, b)),
  unsafe: unsafeSum,
  exact: (format, a, b, result) => exactSum(format, a, negatedEven(format, b), result, false),
}

export const ALTERNATING_OPERATIONS: OperationTable<BinaryOperation> = {
  Addsubps: (scope, a, b) => computeLanes(scope, SINGLE, ALTERNATING, a, b),
  Addsubpd: (scope, a, b) => computeLanes(scope, DOUBLE, ALTERNATING, a, b),
}

export function defineSse3(table: DefinitionTable): void {
  defineUnary(table, DUPLICATE_OPERATIONS)
  defineUnary(table, DUPLICATE_QUADWORD, 64)
  defineBinary(table, HORIZONTAL_OPERATIONS)
  defineBinary(table, ALTERNATING_OPERATIONS)
  // Each half of a YMM register has a source of its own size.
  VEX_256.define(table, { mnemonics: 'Movddup', sources: 1 }, scope =>
    VEX_256.store(
      scope,
      VEX_256.load(scope, 1).map(half => DUPLICATE_QUADWORD.Movddup(scope, half)),
    ),
  )
}
