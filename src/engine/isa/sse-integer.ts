/** Packed integer instructions on vector registers (SDM vol. 2), and the logic of the floating-point ones. */

import { i32, i64, select, simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { byteImmediate, IDENTITY_BYTES, zeroVector } from './sse-operands.ts'
import {
  HOT_OPERATIONS,
  PACK_OPERATIONS,
  PACKED_OPERATIONS,
  PACKED_SHIFTS,
  type PackedOperation,
  type PackedShift,
  type Vector,
} from './sse-packed.ts'
import { FORMS, type Halves, LEGACY, type VectorForm } from './vector-form.ts'

/** Floating-point mnemonics for the same logic. */
const LOGIC_SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  Pand: ['Andps', 'Andpd'],
  Pandn: ['Andnps', 'Andnpd'],
  Por: ['Orps', 'Orpd'],
  Pxor: ['Xorps', 'Xorpd'],
}

export function defineSseInteger(table: DefinitionTable): void {
  for (const form of FORMS) {
    for (const [name, operation] of Object.entries({ ...PACKED_OPERATIONS, ...PACK_OPERATIONS })) {
      const mnemonics = [name, ...(LOGIC_SYNONYMS[name] ?? [])]
      form.define(table, { mnemonics, sources: 2, hot: HOT_OPERATIONS.has(name) }, packed(form, operation))
    }
    for (const [name, shift] of Object.entries(PACKED_SHIFTS)) defineShift(table, form, name, shift)
    defineByteShifts(table, form)
  }
}

/** An instruction that combines its two sources lane by lane. */
export function packed(form: VectorForm, operation: PackedOperation): (scope: InstructionScope) => void {
  return scope => {
    const b = form.load(scope, form.second)
    const a = form.loadRegister(scope, form.first)
    form.store(
      scope,
      b.map((half, i) => operation(a[i], half)),
    )
  }
}

/** `value` shifted by an unsigned 64-bit count. */
export function shiftLanes(shift: PackedShift, value: Vector, count: Value<'i64'>): Vector {
  const beyond = count.gtU(shift.laneBits - 1)
  if (shift.arithmetic)
    return simd('v128', shift.operation, [value, select(beyond, i64(shift.laneBits - 1), count).wrap()])
  return select(beyond, zeroVector(), simd('v128', shift.operation, [value, count.wrap()]))
}

/** The count is the low half of an XMM register or of 16 bytes of memory, also for YMM registers. */
function defineShift(table: DefinitionTable, form: VectorForm, name: string, shift: PackedShift): void {
  form.define(table, { mnemonics: name, sources: 2, sourceBits: 128 }, scope => {
    const count = scope.f.let(scope.f.load('i64', form.address(scope, form.second)))
    const a = form.loadRegister(scope, form.first)
    form.store(
      scope,
      a.map(half => shiftLanes(shift, half, count)),
    )
  })
  defineByImmediate(table, form, name, (scope, halves) => {
    const count = scope.f.let(byteImmediate(scope).extendU())
    return halves.map(half => shiftLanes(shift, half, count))
  })
}

/** A shift by an immediate, whose one source is a register: SSE's destination. */
function defineByImmediate(
  table: DefinitionTable,
  form: VectorForm,
  name: string,
  shifted: (scope: InstructionScope, halves: Halves) => Halves,
): void {
  const { register } = form
  table.define(
    `${form.mnemonic(name)}_${form === LEGACY ? register : `${register}_${register}`}_imm8`,
    form.definition(`${name}Immediate`, form === LEGACY ? [128, 8] : [form.bits, form.bits, 8], scope =>
      form.store(scope, shifted(scope, form.loadRegister(scope, form.first))),
    ),
  )
}

/** PSLLDQ and PSRLDQ select bytes by index; `swizzle` gives zero for an index outside 0 to 15, below and above alike. */
function defineByteShifts(table: DefinitionTable, form: VectorForm): void {
  for (const { name, step } of [
    { name: 'Pslldq', step: 'i8x16.sub' },
    { name: 'Psrldq', step: 'i8x16.add' },
  ] as const)
    defineByImmediate(table, form, name, (scope, halves) => {
      const requested = scope.f.let(byteImmediate(scope))
      const count = simd('v128', 'i8x16.splat', [select(requested.gtU(16), i32(16), requested)])
      const indices = scope.f.let(simd('v128', step, [IDENTITY_BYTES, count]))
      return halves.map(half => simd('v128', 'i8x16.swizzle', [half, indices]))
    })
}
