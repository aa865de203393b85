/** Packed integer instructions on XMM registers (SDM vol. 2), and the logic of the floating-point ones. */

import { i32, i64, select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, checkSse, destination, sourceAddress, sourceVector, zeroVector } from './sse-operands.ts'
import {
  HOT_OPERATIONS,
  PACK_OPERATIONS,
  PACKED_OPERATIONS,
  PACKED_SHIFTS,
  type PackedOperation,
  type PackedShift,
  type Vector,
} from './sse-packed.ts'

/** Floating-point mnemonics for the same logic. */
const LOGIC_SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  Pand: ['Andps', 'Andpd'],
  Pandn: ['Andnps', 'Andnpd'],
  Por: ['Orps', 'Orpd'],
  Pxor: ['Xorps', 'Xorpd'],
}

export function defineSseInteger(table: DefinitionTable): void {
  for (const [name, operation] of Object.entries({ ...PACKED_OPERATIONS, ...PACK_OPERATIONS })) {
    const names = [name, ...(LOGIC_SYNONYMS[name] ?? [])]
    table.define(
      names.map(each => `${each}_xmm_xmmm128`),
      { name, bits: [128, 128], hot: HOT_OPERATIONS.has(name), emit: vectorOperation(operation) },
    )
  }
  for (const [name, shift] of Object.entries(PACKED_SHIFTS)) defineShift(table, name, shift)
  defineByteShifts(table)
}

/** An instruction that combines operand 0 with operand 1. */
export function vectorOperation(operation: PackedOperation): (scope: InstructionScope) => void {
  return scope => {
    checkSse(scope)
    const source = sourceVector(scope, 1)
    scope.f.store(scope.registerAddress(0), operation(destination(scope), source))
  }
}

/** `value` shifted by an unsigned 64-bit count. */
export function shiftLanes(shift: PackedShift, value: Vector, count: Value<'i64'>): Vector {
  const beyond = count.gtU(shift.laneBits - 1)
  if (shift.arithmetic)
    return simd('v128', shift.operation, [value, select(beyond, i64(shift.laneBits - 1), count).wrap()])
  return select(beyond, zeroVector(), simd('v128', shift.operation, [value, count.wrap()]))
}

function defineShift(table: DefinitionTable, name: string, shift: PackedShift): void {
  table.define(`${name}_xmm_xmmm128`, {
    name,
    bits: [128, 128],
    emit: scope => {
      checkSse(scope)
      const count = scope.f.let(scope.f.load('i64', sourceAddress(scope, 1)))
      scope.f.store(scope.registerAddress(0), shiftLanes(shift, destination(scope), count))
    },
  })
  table.define(`${name}_xmm_imm8`, {
    name: `${name}Immediate`,
    bits: [128, 8],
    emit: scope => {
      checkSse(scope)
      const count = scope.f.let(byteImmediate(scope).extendU())
      scope.f.store(scope.registerAddress(0), shiftLanes(shift, destination(scope), count))
    },
  })
}

/** PSLLDQ and PSRLDQ select bytes by index; `swizzle` gives zero for an index outside 0 to 15, below and above alike. */
function defineByteShifts(table: DefinitionTable): void {
  for (const { name, step } of [
    { name: 'Pslldq', step: 'i8x16.sub' },
    { name: 'Psrldq', step: 'i8x16.add' },
  ] as const)
    table.define(`${name}_xmm_imm8`, {
      name,
      bits: [128, 8],
      emit: scope => {
        checkSse(scope)
        const requested = scope.f.let(byteImmediate(scope))
        const count = simd('v128', 'i8x16.splat', [select(requested.gtU(16), i32(16), requested)])
        const indices = simd('v128', step, [identityBytes(), count])
        scope.f.store(scope.registerAddress(0), simd('v128', 'i8x16.swizzle', [destination(scope), indices]))
      },
    })
}

/** The bytes 0 to 15. */
function identityBytes(): Vector {
  return simd('v128', 'v128.const', [], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
}
