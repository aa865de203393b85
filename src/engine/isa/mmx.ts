/** MMX instructions, and those that SSE, SSE2 and SSSE3 added to MMX registers (SDM vol. 2). EMMS belongs to the x87. */

import { simd, type Value } from '../wasm/value.ts'
import type { Definition, DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { checkMmx, checkPendingX87, enterMmx, mmxSource, writeMmx } from './mmx-operands.ts'
import { shiftLanes } from './sse-integer.ts'
import { byteImmediate, checkSse, lowHalf, signMask, storeTranslated } from './sse-operands.ts'
import {
  PACK_OPERATIONS,
  PACKED_OPERATIONS,
  PACKED_SHIFTS,
  type PackedOperation,
  type PackedShift,
  UNPACK_LANES,
  unpack,
} from './sse-packed.ts'
import { shuffledWords } from './sse-shuffle.ts'
import { defineSsse3Mmx } from './ssse3-mmx.ts'
import type { Bits } from './word.ts'

export function defineMmx(table: DefinitionTable): void {
  defineMoves(table)
  for (const [name, operation] of Object.entries(PACKED_OPERATIONS))
    table.define(`${name}_mm_mmm64`, instruction(name, [64, 64], combine(operation)))
  for (const [name, operation] of Object.entries(PACK_OPERATIONS))
    table.define(`${name}_mm_mmm64`, instruction(name, [64, 64], combine(packHalves(operation))))
  defineUnpack(table)
  for (const [name, shift] of Object.entries(PACKED_SHIFTS)) defineShift(table, name, shift)
  defineWordAccess(table)
  defineMask(table)
  defineMaskedStore(table)
  defineMovesBetweenFiles(table)
  defineSsse3Mmx(table)
}

const instruction = (name: string, bits: readonly Bits[], emit: (scope: InstructionScope) => void): Definition => ({
  name: `Mmx${name}`,
  bits,
  emit: scope => {
    checkMmx(scope)
    emit(scope)
  },
})

/** Combines the low halves of operands 0 and 1. */
function combine(operation: PackedOperation): (scope: InstructionScope) => void {
  return scope => {
    const source = mmxSource(scope, 1)
    writeMmx(scope, lowHalf(operation(destination(scope), source)))
  }
}

function destination(scope: InstructionScope): Value<'v128'> {
  return scope.f.let(scope.f.load('v128', scope.registerAddress(0)))
}

/** A pack of two 64-bit operands is the pack of one vector that holds both. */
function packHalves(operation: PackedOperation): PackedOperation {
  return (a, b) => {
    const both = simd('v128', 'i64x2.replace_lane', [a, lowHalf(b)], [1])
    return operation(both, both)
  }
}

/** The interleaved low halves are 16 bytes, of which PUNPCKL takes the lower and PUNPCKH the upper 8. */
function defineUnpack(table: DefinitionTable): void {
  for (const suffix of ['bw', 'wd', 'dq'] as const) {
    const interleaved = unpack(UNPACK_LANES[suffix], false)
    table.define(`Punpckl${suffix}_mm_mmm32`, instruction(`Punpckl${suffix}`, [64, 32], combine(interleaved)))
    table.define(
      `Punpckh${suffix}_mm_mmm64`,
      instruction(`Punpckh${suffix}`, [64, 64], scope => {
        const source = mmxSource(scope, 1)
        writeMmx(scope, simd('i64', 'i64x2.extract_lane', [interleaved(destination(scope), source)], [1]))
      }),
    )
  }
}

function defineShift(table: DefinitionTable, name: string, shift: PackedShift): void {
  const emit = (scope: InstructionScope, count: Value<'i64'>) =>
    writeMmx(scope, lowHalf(shiftLanes(shift, destination(scope), count)))
  table.define(
    `${name}_mm_mmm64`,
    instruction(name, [64, 64], scope => emit(scope, scope.read64(1))),
  )
  table.define(
    `${name}_mm_imm8`,
    instruction(`${name}Immediate`, [64, 8], scope => emit(scope, scope.f.let(byteImmediate(scope).extendU()))),
  )
}

function defineMoves(table: DefinitionTable): void {
  table.define(
    ['Movd_mm_rm32'],
    instruction('MovdLoad', [64, 32], scope => writeMmx(scope, scope.read64(1))),
  )
  table.define(
    ['Movq_mm_rm64', 'Movq_mm_mmm64'],
    instruction('MovqLoad', [64, 64], scope => writeMmx(scope, scope.read64(1))),
  )
  for (const bits of [32, 64] as const)
    table.define(
      `Mov${bits === 32 ? 'd' : 'q'}_rm${bits}_mm`,
      instruction(`Store${bits}`, [bits, bits], scope => {
        scope.write(0, scope.read(1))
        enterMmx(scope)
      }),
    )
  table.define(
    'Movq_mmm64_mm',
    instruction('MovqStore', [64, 64], scope => {
      if (scope.shape[0] === 'r') writeMmx(scope, scope.read64(1))
      else {
        scope.write(0, scope.read(1))
        enterMmx(scope)
      }
    }),
  )
  table.define(
    'Movntq_m64_mm',
    instruction('Store64', [64, 64], scope => {
      scope.write(0, scope.read(1))
      enterMmx(scope)
    }),
  )
}

/** PSHUFW, PINSRW and PEXTRW select words by the immediate. */
function defineWordAccess(table: DefinitionTable): void {
  const wordAddress = (scope: InstructionScope, operand: number) =>
    scope.registerAddress(operand).add(byteImmediate(scope).and(3).shl(1))
  table.define(
    'Pshufw_mm_mmm64_imm8',
    instruction('Pshufw', [64, 64, 8], scope => {
      const words = mmxSource(scope, 1)
      writeMmx(scope, lowHalf(shuffledWords(words, scope.f.let(byteImmediate(scope)))))
    }),
  )
  table.define(
    ['Pinsrw_mm_r32m16_imm8', 'Pinsrw_mm_r64m16_imm8'],
    instruction('Pinsrw', [64, 16, 8], scope => {
      const word = scope.read(1)
      scope.f.store(wordAddress(scope, 0), word, 0, 2)
      writeMmx(scope, scope.f.load('i64', scope.registerAddress(0)))
    }),
  )
  table.define(
    ['Pextrw_r32_mm_imm8', 'Pextrw_r64_mm_imm8'],
    instruction('Pextrw', [32, 64, 8], scope => {
      scope.write(0, scope.f.let(scope.f.load('i32', wordAddress(scope, 1), 0, 2)))
      enterMmx(scope)
    }),
  )
}

function defineMask(table: DefinitionTable): void {
  table.define(
    ['Pmovmskb_r32_mm', 'Pmovmskb_r64_mm'],
    instruction('Pmovmskb', [32, 64], scope => {
      scope.write(0, simd('i32', 'i8x16.bitmask', [mmxSource(scope, 1)]))
      enterMmx(scope)
    }),
  )
}

/** MASKMOVQ: as MASKMOVDQU, for 8 bytes. */
function defineMaskedStore(table: DefinitionTable): void {
  table.define(
    'Maskmovq_rDI_mm_mm',
    instruction('Maskmovq', [64, 64, 64], scope => {
      const { f } = scope
      const host = f.let(scope.hostForWrite(64, scope.address(64, true)))
      const mask = signMask(mmxSource(scope, 2))
      const old = simd('v128', 'i64x2.splat', [f.load('i64', host)])
      storeTranslated(scope, host, lowHalf(simd('v128', 'v128.bitselect', [mmxSource(scope, 1), old, mask])))
      enterMmx(scope)
    }),
  )
}

/** Between an MMX and an XMM register: checked as SSE instructions, and MMX state afterwards. */
function defineMovesBetweenFiles(table: DefinitionTable): void {
  table.define('Movq2dq_xmm_mm', {
    name: 'Movq2dq',
    bits: [128, 64],
    emit: scope => {
      checkSse(scope)
      checkPendingX87(scope)
      scope.f.store(scope.registerAddress(0), mmxSource(scope, 1))
      enterMmx(scope)
    },
  })
  table.define('Movdq2q_mm_xmm', {
    name: 'Movdq2q',
    bits: [64, 64],
    emit: scope => {
      checkSse(scope)
      checkPendingX87(scope)
      writeMmx(scope, scope.read64(1))
    },
  })
}
