/**
 * What all MMX definitions begin and end with. MMX registers are the low 64 bits of the x87 registers R0 to R7:
 * whoever touches one turns the x87 state into MMX state (SDM vol. 1, 9.6.2).
 */

import * as S from '../state.ts'
import { i32, select, type Value } from '../wasm/value.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { lowVector } from './sse-operands.ts'

const X87_ERROR_SUMMARY = 0x80
const FLOATING_POINT_ERROR = 16

/** #UD, #NM, or #MF for an x87 exception that waits (SDM vol. 3, table 12-1 and 12.5.1). */
export function checkMmx(scope: InstructionScope): void {
  const { f } = scope
  const unusable = scope.state32(S.MMX_CHECK)
  f.if(unusable.or(scope.state32(S.X87_STATUS).and(X87_ERROR_SUMMARY)), () => {
    const vector = f.let(unusable)
    f.call(scope.runtime.raise, select(vector, vector, i32(FLOATING_POINT_ERROR)), scope.record())
  })
}

/** #MF alone, for SSE instructions that have an MMX operand too; they check the rest as SSE does. */
export function checkPendingX87(scope: InstructionScope): void {
  scope.raiseIf(scope.state32(S.X87_STATUS).and(X87_ERROR_SUMMARY), FLOATING_POINT_ERROR)
}

/** TOP becomes 0, all tags valid. After the last thing that can fault. */
export function enterMmx(scope: InstructionScope): void {
  scope.setState(S.X87_TOP, i32(0))
  scope.setState(S.X87_TAGS, i32(0xff))
}

/** Writes the MMX register in operand 0; bits 64 to 79 of its x87 register become ones (SDM vol. 1, 9.6.2). */
export function writeMmx(scope: InstructionScope, value: Value<'i64'>): void {
  const at = scope.f.let(scope.registerAddress(0))
  scope.f.store(at, value)
  scope.f.store(at, i32(0xffff), 8, 2)
  enterMmx(scope)
}

/** A source operand of up to 64 bits in a vector, the rest zero. */
export function mmxSource(scope: InstructionScope, operand: number): Value<'v128'> {
  return scope.f.let(lowVector(scope.read64(operand)))
}
