/**
 * What vector instructions compute on 128 bits, apart from where their operands come from: the definitions of the
 * legacy encodings and each lane of the VEX ones are made from the same operations.
 */

import type { Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, checkSse, destination, lowVector, sourceVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import type { Bits } from './word.ts'

/*
 * Operands are named values, which may be used more than once; the immediate has its upper 24 bits clear. `a` is the
 * first source, which the legacy encodings overwrite.
 */
export type UnaryOperation = (scope: InstructionScope, source: Vector) => Vector
export type BinaryOperation = (scope: InstructionScope, a: Vector, b: Vector) => Vector
export type ImmediateOperation = (scope: InstructionScope, a: Vector, b: Vector, immediate: Value<'i32'>) => Vector
export type UnaryImmediateOperation = (scope: InstructionScope, source: Vector, immediate: Value<'i32'>) => Vector

export type OperationTable<Operation> = Readonly<Record<string, Operation>>

/** Source operand 1, zero-extended from its size; 16 bytes of memory must be aligned. */
function source(scope: InstructionScope): Vector {
  return scope.bits[1] === 128 ? sourceVector(scope, 1) : scope.f.let(lowVector(scope.read64(1)))
}

/** Operation names are mnemonics. */
export function defineUnary(
  table: DefinitionTable,
  operations: OperationTable<UnaryOperation>,
  sourceBits: Bits = 128,
): void {
  for (const [name, operation] of Object.entries(operations))
    table.define(`${name}_xmm_xmmm${sourceBits}`, {
      name,
      bits: [128, sourceBits],
      emit: scope => {
        checkSse(scope)
        scope.f.store(scope.registerAddress(0), operation(scope, source(scope)))
      },
    })
}

export function defineBinary(table: DefinitionTable, operations: OperationTable<BinaryOperation>): void {
  for (const [name, operation] of Object.entries(operations))
    table.define(`${name}_xmm_xmmm128`, {
      name,
      bits: [128, 128],
      emit: scope => {
        checkSse(scope)
        const b = source(scope)
        storeDestination(scope, operation(scope, destination(scope), b))
      },
    })
}

export function defineImmediate(table: DefinitionTable, operations: OperationTable<ImmediateOperation>): void {
  for (const [name, operation] of Object.entries(operations))
    table.define(`${name}_xmm_xmmm128_imm8`, {
      name,
      bits: [128, 128, 8],
      emit: scope => {
        checkSse(scope)
        const b = source(scope)
        storeDestination(scope, operation(scope, destination(scope), b, scope.f.let(byteImmediate(scope))))
      },
    })
}

export function defineUnaryImmediate(
  table: DefinitionTable,
  operations: OperationTable<UnaryImmediateOperation>,
): void {
  for (const [name, operation] of Object.entries(operations))
    table.define(`${name}_xmm_xmmm128_imm8`, {
      name,
      bits: [128, 128, 8],
      emit: scope => {
        checkSse(scope)
        storeDestination(scope, operation(scope, source(scope), scope.f.let(byteImmediate(scope))))
      },
    })
}

function storeDestination(scope: InstructionScope, result: Vector): void {
  scope.f.store(scope.registerAddress(0), result)
}

/** The status flags as PTEST and string comparisons leave them: AF and PF clear. Each is 0 or 1. */
export interface VectorFlags {
  readonly carry: Value<'i32'>
  readonly zero: Value<'i32'>
  readonly sign: Value<'i32'>
  readonly overflow: Value<'i32'>
}

export function setVectorFlags(scope: InstructionScope, flags: VectorFlags): void {
  const { f } = scope
  const [carry, zero] = [f.let(flags.carry), f.let(flags.zero)]
  // The result 0 stands for ZF and PF, 1 for neither: PF is inverted with ZF, SF set apart (see FLAG_CARRY).
  const result = f.let(zero.xor(1).extendU())
  const overflow = carry.xor(flags.overflow).extendU().shl(63)
  scope.setFlags(result, result.xor(overflow), carry.or(zero.shl(2)).or(flags.sign.shl(7)))
}
