/**
 * What vector instructions compute on 128 bits, apart from where their operands come from: the definitions of the
 * legacy encodings and each lane of the VEX ones are made from the same operations.
 */

import type { Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { isCode } from './shapes.ts'
import { computeHalves } from './sse-lanes.ts'
import { byteImmediate, lowVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS, type VectorForm, type VectorInstruction, XMM_FORMS } from './vector-form.ts'
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

/** Defines in each of the forms that there is a `Code` for. */
function define(
  table: DefinitionTable,
  forms: readonly VectorForm[],
  instructionIn: (form: VectorForm) => VectorInstruction,
  emit: (scope: InstructionScope, form: VectorForm) => void,
): void {
  for (const form of forms) {
    const instruction = instructionIn(form)
    if (form.codes(instruction).every(isCode)) form.define(table, instruction, scope => emit(scope, form))
  }
}

/** Operation names are mnemonics. A source of fewer than 128 bits is zero-extended, and has no form on YMM registers. */
export function defineUnary(
  table: DefinitionTable,
  operations: OperationTable<UnaryOperation>,
  sourceBits: Bits = 128,
): void {
  for (const [mnemonics, operation] of Object.entries(operations))
    define(
      table,
      sourceBits === 128 ? FORMS : XMM_FORMS,
      form => ({ mnemonics, sources: 1, sourceBits: sourceBits === 128 ? form.bits : sourceBits }),
      (scope, form) => {
        const source = sourceBits === 128 ? form.load(scope, 1) : [scope.f.let(lowVector(scope.read64(1)))]
        form.store(
          scope,
          computeHalves(scope, form.halves, i => operation(scope, source[i])),
        )
      },
    )
}

export function defineBinary(
  table: DefinitionTable,
  operations: OperationTable<BinaryOperation>,
  forms: readonly VectorForm[] = FORMS,
): void {
  for (const [mnemonics, operation] of Object.entries(operations))
    define(
      table,
      forms,
      () => ({ mnemonics, sources: 2 }),
      (scope, form) => {
        const b = form.load(scope, form.second)
        const a = form.loadRegister(scope, form.first)
        form.store(
          scope,
          computeHalves(scope, form.halves, i => operation(scope, a[i], b[i])),
        )
      },
    )
}

/** Position of the fields for the upper half of 256 bits, where it has its own. */
const UPPER_FIELDS: Readonly<Record<string, number>> = { Blendps: 4, Blendpd: 2, Pblendd: 4, Mpsadbw: 3, Permilpd: 2 }

/** The immediate as the lower and the upper half see it. */
function immediateFields(scope: InstructionScope, mnemonic: string): readonly [Value<'i32'>, Value<'i32'>] {
  const immediate = scope.f.let(byteImmediate(scope))
  return [immediate, immediate.shrU(UPPER_FIELDS[mnemonic] ?? 0)]
}

export function defineImmediate(
  table: DefinitionTable,
  operations: OperationTable<ImmediateOperation>,
  forms: readonly VectorForm[] = FORMS,
): void {
  for (const [mnemonics, operation] of Object.entries(operations))
    define(
      table,
      forms,
      () => ({ mnemonics, sources: 2, immediate: true }),
      (scope, form) => {
        const b = form.load(scope, form.second)
        const a = form.loadRegister(scope, form.first)
        const fields = immediateFields(scope, mnemonics)
        form.store(
          scope,
          computeHalves(scope, form.halves, i => operation(scope, a[i], b[i], fields[i])),
        )
      },
    )
}

export function defineUnaryImmediate(
  table: DefinitionTable,
  operations: OperationTable<UnaryImmediateOperation>,
  forms: readonly VectorForm[] = FORMS,
): void {
  for (const [mnemonics, operation] of Object.entries(operations))
    define(
      table,
      forms,
      () => ({ mnemonics, sources: 1, immediate: true }),
      (scope, form) => {
        const source = form.load(scope, 1)
        const fields = immediateFields(scope, mnemonics)
        form.store(
          scope,
          computeHalves(scope, form.halves, i => operation(scope, source[i], fields[i])),
        )
      },
    )
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
