/** What all SSE definitions begin with: is SSE usable, and where are the operands? */

import * as S from '../state.ts'
import { simd, type Value, v128 } from '../wasm/value.ts'
import type { InstructionScope } from './instruction-scope.ts'

const GENERAL_PROTECTION = 13

/** #UD or #NM when the system software has not enabled SSE (SDM vol. 3, table 13-1). */
export function checkSse(scope: InstructionScope): void {
  const vector = scope.f.let(scope.state32(S.VECTOR_CHECK))
  scope.f.if(vector, () => scope.f.call(scope.runtime.raise, vector, scope.record()))
}

/** Linear address of the memory operand; #GP when a whole vector is not aligned to its size (SDM vol. 1, 4.1.1). */
export function alignedAddress(scope: InstructionScope, operand: number, write: boolean): Value<'i64'> {
  const bits = scope.bits[operand]
  const linear = scope.address(bits, write)
  if (bits >= 128) scope.raiseIf(linear.wrap().and(bits / 8 - 1), GENERAL_PROTECTION)
  return linear
}

/**
 * Where the bytes of a source operand can be loaded from: the register in the processor's state, or host memory.
 * 16 bytes of memory must be aligned unless `unaligned`.
 */
export function sourceAddress(scope: InstructionScope, operand: number, unaligned = false): Value<'i32'> {
  if (scope.shape[operand] === 'r') return scope.f.let(scope.registerAddress(operand))
  const bits = scope.bits[operand]
  const linear = unaligned ? scope.address(bits, false) : alignedAddress(scope, operand, false)
  return scope.f.let(scope.hostForRead(bits, linear))
}

/** A 128-bit source operand. */
export function sourceVector(scope: InstructionScope, operand: number): Value<'v128'> {
  return scope.f.let(scope.f.load('v128', sourceAddress(scope, operand)))
}

/** The XMM register in operand 0, as it is before the instruction. */
export function destination(scope: InstructionScope): Value<'v128'> {
  return scope.f.let(scope.f.load('v128', scope.registerAddress(0)))
}

export const zeroVector = (): Value<'v128'> => v128(0n, 0n)

/** The bytes 0 to 15: what `i8x16.swizzle` takes to leave a vector as it is. */
export const IDENTITY_BYTES: Value<'v128'> = v128(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n)

/** 64 bits zero-extended to a vector. */
export function lowVector(low: Value<'i64'>): Value<'v128'> {
  return simd('v128', 'i64x2.replace_lane', [zeroVector(), low], [0])
}

/** A vector with the same 64 bits in both halves. */
export function repeated(bits: bigint): Value<'v128'> {
  return v128(bits, bits)
}

export function lowHalf(vector: Value<'v128'>): Value<'i64'> {
  return simd('i64', 'i64x2.extract_lane', [vector], [0])
}

/** An 8-bit immediate, whether the decoded field sign-extends it or not. */
export function byteImmediate(scope: InstructionScope): Value<'i32'> {
  return scope.immediate().and(0xff)
}

/** Stores to what `hostForWrite` gave. */
export function storeTranslated(scope: InstructionScope, host: Value<'i32'>, value: Value<'i64' | 'v128'>): void {
  scope.f.store(host, value)
  scope.f.if(host.eq(S.ACCESS_BUFFER), () => scope.f.call(scope.runtime.commit, scope.record()))
}

/** Ones in each byte whose top bit is set, zeros in the others. */
export function signMask(bytes: Value<'v128'>): Value<'v128'> {
  return simd('v128', 'i8x16.gt_s', [zeroVector(), bytes])
}
