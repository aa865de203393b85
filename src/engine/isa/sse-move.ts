/**
 * Moves between vector registers, general registers and memory. A load of fewer than 16 bytes clears the rest of the
 * register; a move between registers by MOVSS and MOVSD keeps it, or takes it from another (SDM vol. 2).
 */

import { simd, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { alignedAddress, lowVector, signMask, storeTranslated } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS, type VectorForm, XMM_FORMS } from './vector-form.ts'

export function defineSseMove(table: DefinitionTable): void {
  for (const form of FORMS) {
    defineFullMoves(table, form)
    defineLoads(table, form)
    defineMasks(table, form)
  }
  for (const form of XMM_FORMS) {
    defineScalarMoves(table, form)
    defineQuadwordMoves(table, form)
    defineHalfMoves(table, form)
    defineGeneralRegisterMoves(table, form)
    defineMaskedStore(table, form)
  }
  // Not an SSE register: MOVNTI needs no enabled SSE (SDM vol. 3, 2.5, CR4.OSFXSR).
  for (const bits of [32, 64] as const)
    table.define(`Movnti_m${bits}_r${bits}`, {
      name: `Movnti${bits}`,
      bits: [bits, bits],
      emit: scope => scope.write(0, scope.read(1)),
    })
}

function moveVector(form: VectorForm, unaligned: boolean): (scope: InstructionScope) => void {
  return scope => {
    if (scope.memoryOperand === 0) {
      const linear = unaligned ? scope.address(form.bits, true) : alignedAddress(scope, 0, true)
      scope.storeVectors(linear, form.loadRegister(scope, 1))
    } else form.store(scope, form.load(scope, 1, unaligned))
  }
}

function defineFullMoves(table: DefinitionTable, form: VectorForm): void {
  const { register, registerOrMemory, bits } = form
  const forms = (names: readonly string[]) =>
    names
      .map(name => form.mnemonic(name))
      .flatMap(name => [`${name}_${register}_${registerOrMemory}`, `${name}_${registerOrMemory}_${register}`])
  table.define(
    forms(['Movaps', 'Movapd', 'Movdqa']),
    form.definition('MoveAligned', [bits, bits], moveVector(form, false), true),
  )
  table.define(
    forms(['Movups', 'Movupd', 'Movdqu']),
    form.definition('MoveUnaligned', [bits, bits], moveVector(form, true), true),
  )
  table.define(
    ['Movntps', 'Movntpd', 'Movntdq'].map(name => `${form.mnemonic(name)}_m${bits}_${register}`),
    form.definition('MoveNonTemporal', [bits, bits], moveVector(form, false)),
  )
}

/** Loads that SSE3 and SSE4.1 brought. */
function defineLoads(table: DefinitionTable, form: VectorForm): void {
  const { register, bits } = form
  for (const { name, unaligned } of [
    { name: 'Lddqu', unaligned: true },
    { name: 'Movntdqa', unaligned: false },
  ])
    table.define(
      `${form.mnemonic(name)}_${register}_m${bits}`,
      form.definition(name, [bits, bits], moveVector(form, unaligned)),
    )
}

function defineScalarMoves(table: DefinitionTable, form: VectorForm): void {
  for (const { name, bits } of [
    { name: 'Movss', bits: 32 },
    { name: 'Movsd', bits: 64 },
  ] as const) {
    const mnemonic = form.mnemonic(name)
    const memory = form.vex ? `m${bits}` : `xmmm${bits}`
    const load = (scope: InstructionScope) => form.store(scope, [lowVector(scope.read64(1))])
    const store = (scope: InstructionScope) => scope.store(bits, scope.address(bits, true), scope.read(1))
    const between = (scope: InstructionScope) =>
      form.storeScalar(scope, bits, form.loadRegister(scope, form.vex ? 2 : 1)[0])
    table.define(
      `${mnemonic}_xmm_${memory}`,
      form.definition(`${name}Load`, [128, bits], scope => (scope.isMemory ? load(scope) : between(scope)), true),
    )
    table.define(
      `${mnemonic}_${memory}_xmm`,
      form.definition(`${name}Store`, [bits, bits], scope => (scope.isMemory ? store(scope) : between(scope)), true),
    )
    if (form.vex)
      table.define(
        [`${mnemonic}_xmm_xmm_xmm`, `${mnemonic}_xmm_xmm_xmm_0F11`],
        form.definition(name, [128, 128, 128], between),
      )
  }
}

function defineQuadwordMoves(table: DefinitionTable, form: VectorForm): void {
  const mnemonic = form.mnemonic('Movq')
  table.define(
    `${mnemonic}_xmm_xmmm64`,
    form.definition('MovqLoad', [128, 64], scope => form.store(scope, [lowVector(scope.read64(1))]), true),
  )
  table.define(
    `${mnemonic}_xmmm64_xmm`,
    form.definition(
      'MovqStore',
      [64, 64],
      scope => {
        const value = scope.read64(1)
        if (scope.shape[0] === 'r') form.store(scope, [lowVector(value)])
        else scope.store(64, scope.address(64, true), value)
      },
      true,
    ),
  )
}

/** Moves of one half of a register; the other half stays, or comes from the first source. */
function defineHalfMoves(table: DefinitionTable, form: VectorForm): void {
  const first = form.vex ? '_xmm' : ''
  const sources = (last: 64 | 128) => (form.vex ? ([128, 128, last] as const) : ([128, last] as const))
  const replace = (scope: InstructionScope, half: number, value: Value<'i64'>) => {
    if (form.vex) form.store(scope, [withHalf(form.loadRegister(scope, 1)[0], half, value)])
    else scope.f.store(scope.registerAddress(0), value, half * 8)
  }
  for (const { name, half } of [
    { name: 'Movlp', half: 0 },
    { name: 'Movhp', half: 1 },
  ]) {
    const mnemonics = ['s', 'd'].map(suffix => form.mnemonic(name + suffix))
    table.define(
      mnemonics.map(mnemonic => `${mnemonic}_xmm${first}_m64`),
      form.definition(`${name}Load`, sources(64), scope => replace(scope, half, scope.read64(form.second))),
    )
    table.define(
      mnemonics.map(mnemonic => `${mnemonic}_m64_xmm`),
      form.definition(`${name}Store`, [64, 128], scope =>
        scope.store(64, scope.address(64, true), registerHalf(scope, 1, half)),
      ),
    )
  }
  for (const { name, to, from } of [
    { name: 'Movhlps', to: 0, from: 1 },
    { name: 'Movlhps', to: 1, from: 0 },
  ])
    table.define(
      `${form.mnemonic(name)}_xmm${first}_xmm`,
      form.definition(name, sources(128), scope => replace(scope, to, registerHalf(scope, form.second, from))),
    )
}

function registerHalf(scope: InstructionScope, operand: number, half: number): Value<'i64'> {
  return scope.f.let(scope.f.load('i64', scope.registerAddress(operand), half * 8))
}

function withHalf(vector: Vector, half: number, value: Value<'i64'>): Vector {
  return simd('v128', 'i64x2.replace_lane', [vector, value], [half])
}

function defineGeneralRegisterMoves(table: DefinitionTable, form: VectorForm): void {
  for (const bits of [32, 64] as const) {
    const name = bits === 32 ? 'Movd' : 'Movq'
    const mnemonic = form.mnemonic(name)
    table.define(
      `${mnemonic}_xmm_rm${bits}`,
      form.definition(
        `${name}FromGeneral`,
        [128, bits],
        scope => form.store(scope, [lowVector(scope.read64(1))]),
        true,
      ),
    )
    table.define(
      `${mnemonic}_rm${bits}_xmm`,
      form.definition(`${name}ToGeneral`, [bits, bits], scope => scope.write(0, scope.read(1)), true),
    )
  }
}

/** Sign bits of the lanes to a general register, whose rest is cleared in either operand size. */
function defineMasks(table: DefinitionTable, form: VectorForm): void {
  for (const { name, operation, lanes } of [
    { name: 'Movmskps', operation: 'i32x4.bitmask', lanes: 4 },
    { name: 'Movmskpd', operation: 'i64x2.bitmask', lanes: 2 },
    { name: 'Pmovmskb', operation: 'i8x16.bitmask', lanes: 16 },
  ] as const)
    table.define(
      [32, 64].map(bits => `${form.mnemonic(name)}_r${bits}_${form.register}`),
      form.definition(name, [32, form.bits], scope => {
        const [low, high] = form.loadRegister(scope, 1).map(half => simd('i32', operation, [half]))
        scope.write(0, high === undefined ? low : low.or(high.shl(lanes)))
      }),
    )
}

/**
 * MASKMOVDQU stores the bytes of operand 1 whose mask byte in operand 2 has its top bit set, to DS:rDI. All 16 bytes
 * are translated for writing whatever the mask is, which SDM vol. 2 leaves to the implementation.
 */
function defineMaskedStore(table: DefinitionTable, form: VectorForm): void {
  table.define(
    `${form.mnemonic('Maskmovdqu')}_rDI_xmm_xmm`,
    form.definition('Maskmovdqu', [128, 128, 128], scope => {
      const { f } = scope
      const host = f.let(scope.hostForWrite(128, scope.address(128, true)))
      const source = f.load('v128', scope.registerAddress(1))
      const mask = signMask(f.load('v128', scope.registerAddress(2)))
      storeTranslated(scope, host, simd('v128', 'v128.bitselect', [source, f.load('v128', host), mask]))
    }),
  )
}
