/**
 * RCPPS, RSQRTPS and their scalar forms. The architecture bounds their relative error by 1.5 * 2^-12 and leaves the
 * bits open, so processors differ. Here the result is the quotient rounded to nearest, whatever MXCSR says: they
 * neither read nor write MXCSR. Denormal operands count as zeros, tiny results become zeros (SDM vol. 2, RCPPS).
 */

import { simd } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'
import { and, FLOAT_LANES, type FloatLanes, or } from './sse-lanes.ts'
import type { Vector } from './sse-packed.ts'
import { FORMS } from './vector-form.ts'

const binary32 = (format: FloatLanes, bits: number): Vector => format.constant(bits, 0n)
const ONE = 0x3f800000
const SIGN = 0x80000000
const QUIET = 0x00400000
const DEFAULT_NAN = 0xffc00000

export function defineSseApproximate(table: DefinitionTable): void {
  for (const form of FORMS)
    for (const format of FLOAT_LANES.filter(each => each.lane === 32 && (each.packed || form.bits === 128)))
      for (const name of ['Rcp', 'Rsqrt'] as const) {
        const instruction = { mnemonics: `${name}${format.suffix}`, sourceBits: format.bitsIn(form) }
        const compute = (scope: InstructionScope, x: Vector) => approximate(scope, format, x, name === 'Rsqrt')
        if (format.packed)
          form.define(table, { ...instruction, sources: 1 }, scope =>
            form.store(
              scope,
              form.load(scope, 1).map(x => compute(scope, x)),
            ),
          )
        else
          form.define(table, { ...instruction, sources: 2 }, scope =>
            form.storeScalar(scope, 32, compute(scope, format.load(scope, form.address(scope, form.second)))),
          )
      }
}

function approximate(scope: InstructionScope, format: FloatLanes, x: Vector, root: boolean): Vector {
  const { f } = scope
  const sign = f.let(and(x, binary32(format, SIGN)))
  const divisor = root ? format.compute('sqrt', x) : x
  const quotient = f.let(format.compute('div', binary32(format, ONE), divisor))
  const isTiny = (v: Vector) => format.compare('lt', format.compute('abs', v), format.smallestNormal)
  let result = choose(isTiny(quotient), sign, quotient)
  if (root) result = choose(format.compare('lt', x, format.zero), binary32(format, DEFAULT_NAN), result)
  result = choose(isTiny(x), or(sign, format.infinity), result)
  return choose(format.isNan(x), or(x, binary32(format, QUIET)), result)
}

/** By lane, where `mask` is all ones or all zeros. */
function choose(mask: Vector, yes: Vector, no: Vector): Vector {
  return simd('v128', 'v128.bitselect', [yes, no, mask])
}
