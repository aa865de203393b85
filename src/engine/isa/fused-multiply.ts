/**
 * FMA: a product and a sum with one rounding (SDM vol. 2). The digits of a mnemonic say which operands are multiplied,
 * the last being added: 132 is operand 1 * operand 3 + operand 2.
 */

import { i32, simd, v128 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import { fusedDoubles, fusedSingles } from './fused-native.ts'
import type { InstructionScope } from './instruction-scope.ts'
import {
  anyLane,
  computeHalves,
  FLOAT_LANES,
  type FloatLanes,
  not,
  roundsNatively,
  roundsToNearest,
  software,
} from './sse-lanes.ts'
import { repeated } from './sse-operands.ts'
import {
  FUSED_ALTERNATING,
  FUSED_NEGATE_ADDEND,
  FUSED_NEGATE_PRODUCT,
  IMMEDIATE_SHIFT,
  SseKind,
} from './sse-operation.ts'
import type { Vector } from './sse-packed.ts'
import { VEX_FORMS, type VectorForm } from './vector-form.ts'

const VARIANTS = [
  { name: 'Fmadd', signs: 0, packedOnly: false },
  { name: 'Fmsub', signs: FUSED_NEGATE_ADDEND, packedOnly: false },
  { name: 'Fnmadd', signs: FUSED_NEGATE_PRODUCT, packedOnly: false },
  { name: 'Fnmsub', signs: FUSED_NEGATE_PRODUCT | FUSED_NEGATE_ADDEND, packedOnly: false },
  // FMADDSUB subtracts in the even lanes, FMSUBADD adds there.
  { name: 'Fmaddsub', signs: FUSED_ALTERNATING, packedOnly: true },
  { name: 'Fmsubadd', signs: FUSED_ALTERNATING | FUSED_NEGATE_ADDEND, packedOnly: true },
] as const

/** Indices of the two factors and the addend among the operands. */
const ORDERS = { '132': [0, 2, 1], '213': [1, 0, 2], '231': [1, 2, 0] } as const

export function defineFusedMultiply(table: DefinitionTable): void {
  for (const form of VEX_FORMS)
    for (const format of FLOAT_LANES)
      for (const { name, signs, packedOnly } of VARIANTS)
        for (const [digits, order] of Object.entries(ORDERS)) {
          if (!format.packed && (packedOnly || form.bits === 256)) continue
          const instruction = { mnemonics: `${name}${digits}${format.suffix}`, sources: 2 } as const
          form.define(table, { ...instruction, sourceBits: format.bitsIn(form) }, scope =>
            format.packed
              ? emitPacked(scope, form, format, signs, order)
              : emitScalar(scope, form, format, signs, order),
          )
        }
}

type Order = readonly [number, number, number]

function emitPacked(scope: InstructionScope, form: VectorForm, format: FloatLanes, signs: number, order: Order): void {
  const last = form.load(scope, 2)
  const operands = [form.loadRegister(scope, 0), form.loadRegister(scope, 1), last]
  const [a, b, c] = order.map(index => operands[index])
  form.store(
    scope,
    computeHalves(scope, form.halves, i => multiplyAdd(scope, format, signs, a[i], b[i], c[i])),
  )
}

/** Unlike other scalars these keep the rest of the destination. */
function emitScalar(scope: InstructionScope, form: VectorForm, format: FloatLanes, signs: number, order: Order): void {
  const last = format.load(scope, form.address(scope, 2))
  const [old] = form.loadRegister(scope, 0)
  const operands = [old, format.load(scope, scope.registerAddress(1)), last]
  const [a, b, c] = order.map(index => operands[index])
  const result = multiplyAdd(scope, format, signs, a, b, c)
  const bytes = Array.from({ length: 16 }, (_, i) => (i < format.lane / 8 ? i : 16 + i))
  form.store(scope, [simd('v128', 'i8x16.shuffle', [result, old], bytes)])
}

/** `a` and `c` with the signs that the variant gives the product and the addend. */
function withSigns(format: FloatLanes, signs: number, a: Vector, c: Vector): readonly [Vector, Vector] {
  const all = format.lane === 32 ? 0x8000_0000_8000_0000n : 0x8000_0000_0000_0000n
  const even = format.lane === 32 ? v128(0x8000_0000n, 0x8000_0000n) : v128(all, 0n)
  const odd = format.lane === 32 ? v128(0x8000_0000n << 32n, 0x8000_0000n << 32n) : v128(0n, all)
  const negated = (v: Vector, mask: Vector): Vector => simd('v128', 'v128.xor', [v, mask])
  const addend = (signs & FUSED_NEGATE_ADDEND) !== 0
  const factor = (signs & FUSED_NEGATE_PRODUCT) === 0 ? a : negated(a, repeated(all))
  if ((signs & FUSED_ALTERNATING) !== 0) return [factor, negated(c, addend ? odd : even)]
  return [factor, addend ? negated(c, repeated(all)) : c]
}

function multiplyAdd(
  scope: InstructionScope,
  format: FloatLanes,
  signs: number,
  a: Vector,
  b: Vector,
  c: Vector,
): Vector {
  const { f } = scope
  const [factor, addend] = withSigns(format, signs, a, c)
  const native = format.lane === 32 ? fusedSingles : fusedDoubles
  const { result, unsafe, exact } = native(f, f.let(factor), b, f.let(addend))
  const chosen = f.variable(result)
  const named = f.let(anyLane(unsafe))
  f.if(named.or(roundsNatively(scope).eqz()), () => {
    const rounded = anyLane(not(exact))
    f.if(named.or(rounded).or(roundsToNearest(scope).eqz()), () => {
      const operation = format.operation(SseKind.fusedMultiplyAdd) | (signs << IMMEDIATE_SHIFT)
      f.set(chosen, software(scope, i32(operation), b, a, c))
    })
  })
  return chosen
}
