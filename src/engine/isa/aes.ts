/**
 * AES-NI (SDM vol. 2; FIPS 197). Rounds work on whole vectors: bytes are substituted by 16 table look-ups of 16 bytes
 * each, the columns multiplied by doubling in GF(2^8).
 */

import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { i32, simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { repeated, signMask } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { XMM_FORMS } from './vector-form.ts'
import {
  type BinaryOperation,
  defineBinary,
  defineUnary,
  defineUnaryImmediate,
  type OperationTable,
  type UnaryImmediateOperation,
  type UnaryOperation,
} from './vector-operation.ts'

const xor = (a: Vector, b: Vector): Vector => simd('v128', 'v128.xor', [a, b])
const shuffled = (v: Vector, bytes: readonly number[]): Vector => simd('v128', 'i8x16.shuffle', [v, v], bytes)
const bytes = (byteAt: (i: number) => number): number[] => Array.from({ length: 16 }, (_, i) => byteAt(i))

/** Times x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2). */
const doubled = (byte: number): number => ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 0xff

/** The S-box (FIPS 197, 5.1.1): the inverse in GF(2^8), then an affine transformation. */
function createSubstitution(): Uint8Array {
  const table = new Uint8Array(256)
  // Powers of x + 1, which generates the field, beside those of its inverse 0xf6: each is the other's inverse.
  let power = 1
  let inverse = 1
  do {
    power ^= doubled(power)
    inverse = timesInverseGenerator(inverse)
    const repeatedTwice = inverse * 0x101
    const rotations = [0, 4, 5, 6, 7].map(count => repeatedTwice >> count)
    table[power] = rotations.reduce((sum, each) => sum ^ each, 0x63) & 0xff
  } while (power !== 1)
  table[0] = 0x63
  return table
}

function timesInverseGenerator(byte: number): number {
  let product = 0
  let term = byte
  for (let factor = 0xf6; factor !== 0; factor >>= 1) {
    if (factor & 1) product ^= term
    term = doubled(term)
  }
  return product
}

const SUBSTITUTION = createSubstitution()
const INVERSE_SUBSTITUTION = Uint8Array.from({ length: 256 }, (_, byte) => SUBSTITUTION.indexOf(byte))

/** Body of a function of a vector whose bytes it looks up in a table. */
function buildSubstitution(table: Uint8Array): (f: FunctionBuilder) => void {
  return f => {
    const source = f.parameter(0, 'v128')
    let result: Vector | undefined
    for (let high = 0; high < 256; high += 16) {
      const part: Vector = simd('v128', 'v128.const', [], [...table.subarray(high, high + 16)])
      // `swizzle` gives zeros for indices above 15, which are all but those of this part.
      const indices = xor(source, repeated(0x0101_0101_0101_0101n * BigInt(high)))
      const found: Vector = simd('v128', 'i8x16.swizzle', [part, indices])
      result = result === undefined ? found : simd('v128', 'v128.or', [result, found])
    }
    f.return(result)
    f.unreachable()
  }
}

export const buildSubBytes = buildSubstitution(SUBSTITUTION)
export const buildInvSubBytes = buildSubstitution(INVERSE_SUBSTITUTION)

/** Byte r of column c is byte 4c + r of the vector; row r moves by r columns (FIPS 197, 5.1.2 and 5.3.1). */
const SHIFT_ROWS = bytes(i => (i + 4 * (i % 4)) % 16)
const INV_SHIFT_ROWS = bytes(i => (i + 12 * (i % 4)) % 16)

/** Bytes of each column moved up by `rows`. */
const rotatedColumns = (v: Vector, rows: number): Vector =>
  shuffled(
    v,
    bytes(i => (i & ~3) | ((i + rows) & 3)),
  )

function doubledBytes(v: Vector): Vector {
  const reduction = simd<'v128'>('v128', 'v128.and', [signMask(v), repeated(0x1b1b_1b1b_1b1b_1b1bn)])
  return xor(simd('v128', 'i8x16.shl', [v, i32(1)]), reduction)
}

/** FIPS 197, 5.1.3: 2a + 3b + c + d = 2(a + b) + b + (c + d) of each byte a and those below it. */
function mixColumns({ f }: InstructionScope, state: Vector): Vector {
  const next = f.let(rotatedColumns(state, 1))
  const pair = f.let(xor(state, next))
  return xor(xor(doubledBytes(pair), next), rotatedColumns(pair, 2))
}

/** FIPS 197, 5.3.3: the inverse matrix is that of MixColumns times one with 5 and 4. */
function invMixColumns(scope: InstructionScope, state: Vector): Vector {
  const { f } = scope
  const opposite = f.let(xor(state, rotatedColumns(state, 2)))
  const fourfold = doubledBytes(f.let(doubledBytes(opposite)))
  return mixColumns(scope, f.let(xor(state, fourfold)))
}

const subBytes = ({ f, runtime }: InstructionScope, v: Vector): Vector => f.let(f.callValue(runtime.vector.subBytes, v))
const invSubBytes = ({ f, runtime }: InstructionScope, v: Vector): Vector =>
  f.let(f.callValue(runtime.vector.invSubBytes, v))

/** A round of the state `a` with the round key `b`. */
export const AES_OPERATIONS: OperationTable<BinaryOperation> = {
  Aesenc: (scope, a, b) => xor(mixColumns(scope, subBytes(scope, shuffled(a, SHIFT_ROWS))), b),
  Aesenclast: (scope, a, b) => xor(subBytes(scope, shuffled(a, SHIFT_ROWS)), b),
  Aesdec: (scope, a, b) => xor(invMixColumns(scope, invSubBytes(scope, shuffled(a, INV_SHIFT_ROWS))), b),
  Aesdeclast: (scope, a, b) => xor(invSubBytes(scope, shuffled(a, INV_SHIFT_ROWS)), b),
}

export const AES_UNARY_OPERATIONS: OperationTable<UnaryOperation> = { Aesimc: invMixColumns }

/** Doublewords 1 and 3 substituted, each as it is and then rotated and combined with the round constant. */
const assistKey: UnaryImmediateOperation = (scope, source, immediate) => {
  const words = shuffled(subBytes(scope, source), [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12])
  const constants = simd<'v128'>('v128', 'i64x2.splat', [immediate.extendU().shl(32)])
  return xor(words, constants)
}

export const AES_KEY_OPERATIONS: OperationTable<UnaryImmediateOperation> = { Aeskeygenassist: assistKey }

export function defineAes(table: DefinitionTable): void {
  defineBinary(table, AES_OPERATIONS, XMM_FORMS)
  defineUnary(table, AES_UNARY_OPERATIONS)
  defineUnaryImmediate(table, AES_KEY_OPERATIONS)
}
