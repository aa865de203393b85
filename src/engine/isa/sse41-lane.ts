/** SSE4.1: PINSRx and PEXTRx of every width, EXTRACTPS, and the load MOVNTDQA (SDM vol. 2). */

import { simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, checkSse, destination, sourceVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
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
  { codes: ['Pextrb_r32m8_xmm_imm8', 'Pextrb_r64m8_xmm_imm8'], bits: 8 },
  { codes: ['Pextrw_r32m16_xmm_imm8', 'Pextrw_r64m16_xmm_imm8'], bits: 16 },
  { codes: ['Pextrd_rm32_xmm_imm8', 'Extractps_rm32_xmm_imm8', 'Extractps_r64m32_xmm_imm8'], bits: 32 },
  { codes: ['Pextrq_rm64_xmm_imm8'], bits: 64 },
] as const

const INSERTIONS = [
  { codes: ['Pinsrb_xmm_r32m8_imm8', 'Pinsrb_xmm_r64m8_imm8'], name: 'Pinsrb', bits: 8 },
  { codes: ['Pinsrd_xmm_rm32_imm8'], name: 'Pinsrd', bits: 32 },
  { codes: ['Pinsrq_xmm_rm64_imm8'], name: 'Pinsrq', bits: 64 },
] as const

export function defineSse41Lane(table: DefinitionTable): void {
  for (const { codes, bits } of EXTRACTIONS)
    table.define(codes, {
      name: `Extract${bits}`,
      bits: [bits, 128, 8],
      emit: scope => {
        checkSse(scope)
        extractLane(scope, bits)
      },
    })
  for (const { codes, name, bits } of INSERTIONS)
    table.define(codes, {
      name,
      bits: [128, bits, 8],
      emit: scope => {
        checkSse(scope)
        const value = scope.read(1)
        const immediate = scope.f.let(byteImmediate(scope))
        const result = INSERT_OPERATIONS[name](scope, destination(scope), value, immediate)
        scope.f.store(scope.registerAddress(0), result)
      },
    })
  table.define('Movntdqa_xmm_m128', {
    name: 'Movntdqa',
    bits: [128, 128],
    emit: scope => {
      checkSse(scope)
      scope.f.store(scope.registerAddress(0), sourceVector(scope, 1))
    },
  })
}
