/** PMOVSX and PMOVZX: the low lanes of the source, sign- or zero-extended (SDM vol. 2). */

import type { SimdOperation } from '../wasm/opcodes.ts'
import { simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { lowVector } from './sse-operands.ts'
import type { Vector } from './sse-packed.ts'
import { VEX_128, VEX_256 } from './vector-form.ts'
import { defineUnary, type UnaryOperation } from './vector-operation.ts'

const STEPS = {
  s: { bw: 'i16x8.extend_low_i8x16_s', wd: 'i32x4.extend_low_i16x8_s', dq: 'i64x2.extend_low_i32x4_s' },
  z: { bw: 'i16x8.extend_low_i8x16_u', wd: 'i32x4.extend_low_i16x8_u', dq: 'i64x2.extend_low_i32x4_u' },
} as const satisfies Record<string, Record<string, SimdOperation>>

/** Doublings that lead from the width of the source lanes to that of the result's, and bits of the source. */
const WIDTHS = {
  bw: { steps: ['bw'], sourceBits: 64 },
  bd: { steps: ['bw', 'wd'], sourceBits: 32 },
  bq: { steps: ['bw', 'wd', 'dq'], sourceBits: 16 },
  wd: { steps: ['wd'], sourceBits: 64 },
  wq: { steps: ['wd', 'dq'], sourceBits: 32 },
  dq: { steps: ['dq'], sourceBits: 64 },
} as const

export interface Extension {
  readonly operation: UnaryOperation
  /** Bits of the source that make 128 bits of result. */
  readonly sourceBits: 16 | 32 | 64
}

function createExtensions(): Record<string, Extension> {
  const extensions: Record<string, Extension> = {}
  for (const kind of ['s', 'z'] as const)
    for (const [suffix, { steps, sourceBits }] of Object.entries(WIDTHS))
      extensions[`Pmov${kind}x${suffix}`] = {
        sourceBits,
        operation: (_scope, source) => steps.reduce<Vector>((v, step) => simd('v128', STEPS[kind][step], [v]), source),
      }
  return extensions
}

export const EXTENSIONS: Readonly<Record<string, Extension>> = createExtensions()

/** Bits of the source that make 256 bits of result. */
function wholeSource(halfBits: Extension['sourceBits']): 32 | 64 | 128 {
  return halfBits === 16 ? 32 : halfBits === 32 ? 64 : 128
}

/** The vector's bytes from `start` on, in front. */
function fromByte(v: Vector, start: number): Vector {
  const bytes = Array.from({ length: 16 }, (_, i) => (i + start) % 16)
  return simd('v128', 'i8x16.shuffle', [v, v], bytes)
}

export function defineSse41Extend(table: DefinitionTable): void {
  for (const [name, { operation, sourceBits }] of Object.entries(EXTENSIONS))
    defineUnary(table, { [name]: operation }, sourceBits)
  for (const [mnemonics, { operation, sourceBits }] of Object.entries(EXTENSIONS)) {
    const bits = wholeSource(sourceBits)
    VEX_256.define(table, { mnemonics, sources: 1, sourceBits: bits }, scope => {
      const source = bits === 128 ? VEX_128.load(scope, 1)[0] : scope.f.let(lowVector(scope.read64(1)))
      VEX_256.store(scope, [operation(scope, source), operation(scope, fromByte(source, sourceBits / 8))])
    })
  }
}
