/**
 * Moves between XMM registers, general registers and memory. A load of fewer than 16 bytes clears the rest of the
 * register; a move between registers by MOVSS and MOVSD keeps it (SDM vol. 2).
 */

import { simd } from '../wasm/value.ts'
import type { Definition, DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import {
  alignedAddress,
  checkSse,
  lowVector,
  signMask,
  sourceAddress,
  sourceVector,
  storeTranslated,
} from './sse-operands.ts'
import type { Bits } from './word.ts'

export function defineSseMove(table: DefinitionTable): void {
  defineFullMoves(table)
  defineScalarMoves(table)
  defineHalfMoves(table)
  defineGeneralRegisterMoves(table)
  defineMasks(table)
  defineMaskedStore(table)
}

const instruction = (
  name: string,
  bits: readonly Bits[],
  emit: (scope: InstructionScope) => void,
  hot = false,
): Definition => ({
  name,
  bits,
  hot,
  emit: scope => {
    checkSse(scope)
    emit(scope)
  },
})

function moveVector(unaligned: boolean): (scope: InstructionScope) => void {
  return scope => {
    if (scope.memoryOperand === 0) {
      const linear = unaligned ? scope.address(128, true) : alignedAddress(scope, 0, true)
      scope.storeVector(linear, scope.f.load('v128', scope.registerAddress(1)))
    } else scope.f.store(scope.registerAddress(0), scope.f.load('v128', sourceAddress(scope, 1, unaligned)))
  }
}

function defineFullMoves(table: DefinitionTable): void {
  const forms = (names: readonly string[]) => names.flatMap(name => [`${name}_xmm_xmmm128`, `${name}_xmmm128_xmm`])
  table.define(
    forms(['Movaps', 'Movapd', 'Movdqa']),
    instruction('MoveAligned128', [128, 128], moveVector(false), true),
  )
  table.define(
    forms(['Movups', 'Movupd', 'Movdqu']),
    instruction('MoveUnaligned128', [128, 128], moveVector(true), true),
  )
  table.define(
    ['Movntps_m128_xmm', 'Movntpd_m128_xmm', 'Movntdq_m128_xmm'],
    instruction('MoveNonTemporal128', [128, 128], moveVector(false)),
  )
}

function defineScalarMoves(table: DefinitionTable): void {
  for (const { name, bits } of [
    { name: 'Movss', bits: 32 },
    { name: 'Movsd', bits: 64 },
  ] as const) {
    table.define(
      `${name}_xmm_xmmm${bits}`,
      instruction(
        `${name}Load`,
        [128, bits],
        scope => {
          const value = scope.read(1)
          if (scope.shape[1] === 'r') scope.f.store(scope.registerAddress(0), value, 0, bits / 8)
          else scope.f.store(scope.registerAddress(0), lowVector(value.extendU()))
        },
        true,
      ),
    )
    table.define(
      `${name}_xmmm${bits}_xmm`,
      instruction(
        `${name}Store`,
        [bits, bits],
        scope => {
          const value = scope.read(1)
          if (scope.shape[0] === 'r') scope.f.store(scope.registerAddress(0), value, 0, bits / 8)
          else scope.store(bits, scope.address(bits, true), value)
        },
        true,
      ),
    )
  }
  table.define(
    'Movq_xmm_xmmm64',
    instruction(
      'MovqLoad',
      [128, 64],
      scope => scope.f.store(scope.registerAddress(0), lowVector(scope.read64(1))),
      true,
    ),
  )
  table.define(
    'Movq_xmmm64_xmm',
    instruction(
      'MovqStore',
      [64, 64],
      scope => {
        const value = scope.read64(1)
        if (scope.shape[0] === 'r') scope.f.store(scope.registerAddress(0), lowVector(value))
        else scope.store(64, scope.address(64, true), value)
      },
      true,
    ),
  )
}

/** Moves of one half of a register; the other half stays. */
function defineHalfMoves(table: DefinitionTable): void {
  for (const { half, offset } of [
    { half: 'Movlp', offset: 0 },
    { half: 'Movhp', offset: 8 },
  ]) {
    table.define(
      [`${half}s_xmm_m64`, `${half}d_xmm_m64`],
      instruction(`${half}Load`, [128, 64], scope => scope.f.store(scope.registerAddress(0), scope.read64(1), offset)),
    )
    table.define(
      [`${half}s_m64_xmm`, `${half}d_m64_xmm`],
      instruction(`${half}Store`, [64, 128], scope =>
        scope.store(64, scope.address(64, true), scope.f.let(scope.f.load('i64', scope.registerAddress(1), offset))),
      ),
    )
  }
  table.define(
    'Movhlps_xmm_xmm',
    instruction('Movhlps', [128, 128], scope =>
      scope.f.store(scope.registerAddress(0), scope.f.load('i64', scope.registerAddress(1), 8)),
    ),
  )
  table.define(
    'Movlhps_xmm_xmm',
    instruction('Movlhps', [128, 128], scope =>
      scope.f.store(scope.registerAddress(0), scope.f.load('i64', scope.registerAddress(1)), 8),
    ),
  )
}

function defineGeneralRegisterMoves(table: DefinitionTable): void {
  for (const bits of [32, 64] as const) {
    const name = bits === 32 ? 'Movd' : 'Movq'
    table.define(
      `${name}_xmm_rm${bits}`,
      instruction(
        `${name}FromGeneral`,
        [128, bits],
        scope => scope.f.store(scope.registerAddress(0), lowVector(scope.read64(1))),
        true,
      ),
    )
    table.define(
      `${name}_rm${bits}_xmm`,
      instruction(`${name}ToGeneral`, [bits, bits], scope => scope.write(0, scope.read(1)), true),
    )
    // Not an SSE register: MOVNTI needs no enabled SSE (SDM vol. 3, 2.5, CR4.OSFXSR).
    table.define(`Movnti_m${bits}_r${bits}`, {
      name: `Movnti${bits}`,
      bits: [bits, bits],
      emit: scope => scope.write(0, scope.read(1)),
    })
  }
}

/** Sign bits of the lanes to a general register, whose rest is cleared in either operand size. */
function defineMasks(table: DefinitionTable): void {
  for (const { name, operation } of [
    { name: 'Movmskps', operation: 'i32x4.bitmask' },
    { name: 'Movmskpd', operation: 'i64x2.bitmask' },
    { name: 'Pmovmskb', operation: 'i8x16.bitmask' },
  ] as const)
    table.define(
      [`${name}_r32_xmm`, `${name}_r64_xmm`],
      instruction(name, [32, 128], scope => scope.write(0, simd('i32', operation, [sourceVector(scope, 1)]))),
    )
}

/**
 * MASKMOVDQU stores the bytes of operand 1 whose mask byte in operand 2 has its top bit set, to DS:rDI. All 16 bytes
 * are translated for writing whatever the mask is, which SDM vol. 2 leaves to the implementation.
 */
function defineMaskedStore(table: DefinitionTable): void {
  table.define(
    'Maskmovdqu_rDI_xmm_xmm',
    instruction('Maskmovdqu', [128, 128, 128], scope => {
      const { f } = scope
      const host = f.let(scope.hostForWrite(128, scope.address(128, true)))
      const source = f.load('v128', scope.registerAddress(1))
      const mask = signMask(f.load('v128', scope.registerAddress(2)))
      storeTranslated(scope, host, simd('v128', 'v128.bitselect', [source, f.load('v128', host), mask]))
    }),
  )
}
