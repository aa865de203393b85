/** SSE4.1: PINSRx and PEXTRx of every width, and EXTRACTPS (SDM vol. 2). */

import { simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { XMM_FORMS } from './vector-form.ts'
import type { OperationTable } from './vector-operation.ts'
import type { Word } from './word.ts'

/** `a` with `value` in the lane that the low bits of the immediate select. */
export type InsertOperation = (scope: InstructionScope, a: Vector, value: Word, immediate: Value<'i32'>) => Vector

/** Lanes are selected by comparing byte indices: those of lane i, rounded down to the lane, are all i. */
function insert(lanes: 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2', laneBytes: 1 | 2 | 4 | 8): InsertOperation {
  const laneOfByte = Array.from({ length: 16 }, (_, i) => Math.floor(i / laneBytes))
  return (_scope, a, value, immediate) => {
    const index = simd<'v128'>('v128', 'i8x16.splat', [immediate.and(16 / laneBytes - 1)])
    const there = simd('v128', 'i8x16.eq', [index, simd('v128', 'v128.const', [], laneOfByte)])
    const everywhere = simd<'v128'>('v128', `${lanes}.splat`, [lanes === 'i64x2' ? value.extendU() : value.wrap()])
    return simd('v128', 'v128.bitselect', [everywhere, a, there])
  }
}

export const INSERT_OPERATIONS: OperationTable<InsertOperation> = {
  Pinsrb: insert('i8x16', 1),
  Pinsrw: insert('i16x8', 2),
  Pinsrd: insert('i32x4', 4),
  Pinsrq: insert('i64x2', 8),
}

/**
 * Stores the lane of register operand 1 that the immediate selects to operand 0: to memory as it is, to a general
 * register zero-extended.
 */
export function extractLane(scope: InstructionScope, laneBits: 8 | 16 | 32 | 64): void {
  const lane = byteImmediate(scope).and(128 / laneBits - 1)
  const at = scope.registerAddress(1).add(lane.mul(laneBits / 8))
  const value =
    laneBits === 64 ? scope.f.let(scope.f.load('i64', at)) : scope.f.let(scope.f.load('i32', at, 0, laneBits / 8))
  if (scope.shape[0] !== 'r') scope.store(laneBits, scope.address(laneBits, true), value)
  else scope.storeRegister(scope.registerAddress(0), laneBits === 64 ? 64 : 32, value)
}

const EXTRACTIONS = [
  { codes: ['Pextrb_r32m8', 'Pextrb_r64m8'], bits: 8 },
  { codes: ['Pextrw_r32m16', 'Pextrw_r64m16'], bits: 16 },
  { codes: ['Pextrd_rm32', 'Extractps_rm32', 'Extractps_r64m32'], bits: 32 },
  { codes: ['Pextrq_rm64'], bits: 64 },
] as const

const INSERTIONS = [
  { mnemonic: 'Pinsrb', sources: ['r32m8', 'r64m8'], bits: 8 },
  { mnemonic: 'Pinsrd', sources: ['rm32'], bits: 32 },
  { mnemonic: 'Pinsrq', sources: ['rm64'], bits: 64 },
] as const

export function defineSse41Lane(table: DefinitionTable): void {
  for (const form of XMM_FORMS) {
    for (const { codes, bits } of EXTRACTIONS)
      table.define(
        codes.map(code => `${form.mnemonic(code)}_xmm_imm8`),
        form.definition(`Extract${bits}`, [bits, 128, 8], scope => extractLane(scope, bits)),
      )
    for (const { mnemonic, sources, bits } of INSERTIONS)
      for (const source of sources) {
        const instruction = { mnemonics: mnemonic, sources: 2, source, sourceBits: bits, immediate: true } as const
        form.define(table, instruction, scope => {
          const value = scope.read(form.second)
          const [a] = form.loadRegister(scope, form.first)
          const immediate = scope.f.let(byteImmediate(scope))
          form.store(scope, [INSERT_OPERATIONS[mnemonic](scope, a, value, immediate)])
        })
      }
  }
}
