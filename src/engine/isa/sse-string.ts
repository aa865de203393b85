/** PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (SDM vol. 2, 4.1). TypeScript compares (`../packed-strings.ts`). */

import { COMPARISON_FLAGS, IMPLICIT_LENGTH } from '../packed-strings.ts'
import * as S from '../state.ts'
import { i32, i64, select, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, zeroVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { XMM_FORMS } from './vector-form.ts'
import { setVectorFlags } from './vector-operation.ts'

/** Where lengths are: nowhere, for strings that end at a zero, or in registers of that many bits. */
export type LengthBits = 0 | 32 | 64

const [RAX, RCX, RDX] = [0, 1, 2]

/** The magnitude of a signed length, at most 16. */
function clampedLength(scope: InstructionScope, register: number, bits: LengthBits): Value<'i32'> {
  if (bits === 0) return i32(IMPLICIT_LENGTH)
  const value = scope.gpr(register, bits)
  const length = value.type === 'i64' ? value : scope.f.let(value.extendS())
  const magnitude = scope.f.let(select(length.ltS(i64(0)), i64(0).sub(length), length))
  return select(magnitude.gtU(16), i64(16), magnitude).wrap()
}

/** Compares `a` (the set or needle) with `b`, sets the flags, and gives the index or the mask that the name says. */
export function compareStrings(
  scope: InstructionScope,
  a: Vector,
  b: Vector,
  immediate: Value<'i32'>,
  lengthBits: LengthBits,
): { readonly index: Value<'i32'>; readonly mask: Vector } {
  const { f } = scope
  const [lengthA, lengthB] = [clampedLength(scope, RAX, lengthBits), clampedLength(scope, RDX, lengthBits)]
  f.store(i32(0), a, S.SSE_A)
  f.store(i32(0), b, S.SSE_B)
  const outcome = f.let(f.callValue(scope.runtime.compareStrings, immediate, lengthA, lengthB))
  const flag = (shift: number) => outcome.shrU(shift).and(1)
  const { CARRY, ZERO, SIGN, OVERFLOW, INDEX } = COMPARISON_FLAGS
  setVectorFlags(scope, { carry: flag(CARRY), zero: flag(ZERO), sign: flag(SIGN), overflow: flag(OVERFLOW) })
  return { index: outcome.shrU(INDEX), mask: f.load('v128', i32(0), S.SSE_RESULT) }
}

/** The four instructions by mnemonic; the result goes to ECX or XMM0. */
export const STRING_COMPARISONS = [
  { name: 'Pcmpestri', lengthBits: 32, result: 'index' },
  { name: 'Pcmpestri64', lengthBits: 64, result: 'index' },
  { name: 'Pcmpestrm', lengthBits: 32, result: 'mask' },
  { name: 'Pcmpestrm64', lengthBits: 64, result: 'mask' },
  { name: 'Pcmpistri', lengthBits: 0, result: 'index' },
  { name: 'Pcmpistrm', lengthBits: 0, result: 'mask' },
] as const

export function defineSseString(table: DefinitionTable): void {
  for (const form of XMM_FORMS)
    for (const { name, lengthBits, result } of STRING_COMPARISONS)
      form.define(table, { mnemonics: name, sources: 1, immediate: true }, scope => {
        const { f } = scope
        const [b] = form.load(scope, 1, true)
        const [a] = form.loadRegister(scope, 0)
        const compared = compareStrings(scope, a, b, byteImmediate(scope), lengthBits)
        if (result === 'index') scope.setGpr(RCX, 32, compared.index)
        else {
          f.store(i32(0), compared.mask, S.VECTORS)
          if (form.vex) f.store(i32(0), zeroVector(), S.VECTORS + 16)
        }
      })
}
