/** SSSE3 on MMX registers: the operations of `ssse3.ts` on 64 bits (SDM vol. 2). */

import { i32, select, simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { checkMmx, mmxSource, writeMmx } from './mmx-operands.ts'
import { byteImmediate, destination, IDENTITY_BYTES, lowHalf, repeated } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { ABSOLUTE_OPERATIONS, HORIZONTAL_INTEGER_OPERATIONS, SSSE3_OPERATIONS } from './ssse3.ts'
import type { BinaryOperation } from './vector-operation.ts'

export function defineSsse3Mmx(table: DefinitionTable): void {
  for (const [name, operation] of Object.entries(ABSOLUTE_OPERATIONS))
    table.define(`${name}_mm_mmm64`, {
      name: `Mmx${name}`,
      bits: [64, 64],
      emit: scope => {
        checkMmx(scope)
        writeMmx(scope, lowHalf(operation(scope, mmxSource(scope, 1))))
      },
    })
  for (const [name, operation] of Object.entries(SSSE3_OPERATIONS))
    defineBinary(table, name, name === 'Pshufb' ? withinEightBytes(operation) : operation)
  for (const [name, operation] of Object.entries(HORIZONTAL_INTEGER_OPERATIONS))
    defineBinary(table, name, onJoined(operation))
  defineAlignRight(table)
}

function defineBinary(table: DefinitionTable, name: string, operation: BinaryOperation): void {
  table.define(`${name}_mm_mmm64`, {
    name: `Mmx${name}`,
    bits: [64, 64],
    emit: scope => {
      checkMmx(scope)
      const source = mmxSource(scope, 1)
      writeMmx(scope, lowHalf(operation(scope, destination(scope), source)))
    },
  })
}

/** `a` in the low half, `b` in the high half. */
function joined(scope: InstructionScope, a: Vector, b: Vector): Vector {
  return scope.f.let(simd<'v128'>('v128', 'i64x2.replace_lane', [a, lowHalf(b)], [1]))
}

/** The pairs of two 64-bit operands are the pairs of one vector that holds both. */
function onJoined(operation: BinaryOperation): BinaryOperation {
  return (scope, a, b) => {
    const both = joined(scope, a, b)
    return operation(scope, both, both)
  }
}

/** Indices have three bits. */
function withinEightBytes(operation: BinaryOperation): BinaryOperation {
  return (scope, a, b) => {
    const indices = simd<'v128'>('v128', 'v128.and', [b, repeated(0x8787_8787_8787_8787n)])
    return operation(scope, a, scope.f.let(indices))
  }
}

/** PALIGNR on 16 bytes, of which the source has the lower and the destination the upper 8. */
function defineAlignRight(table: DefinitionTable): void {
  table.define('Palignr_mm_mmm64_imm8', {
    name: 'MmxPalignr',
    bits: [64, 64, 8],
    emit: scope => {
      checkMmx(scope)
      const source = mmxSource(scope, 1)
      const requested = scope.f.let(byteImmediate(scope))
      const count = simd<'v128'>('v128', 'i8x16.splat', [select(requested.gtU(16), i32(16), requested)])
      const indices = simd<'v128'>('v128', 'i8x16.add', [IDENTITY_BYTES, count])
      const bytes = joined(scope, source, destination(scope))
      writeMmx(scope, lowHalf(simd('v128', 'i8x16.swizzle', [bytes, indices])))
    },
  })
}
