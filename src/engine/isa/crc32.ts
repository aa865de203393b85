/** CRC32 of SSE4.2: an integer instruction that uses no vector register and no flag (SDM vol. 2, CRC32). */

import { i32, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'

/** 11EDC6F41h with its bits reversed: operands go through lowest bit first. */
const POLYNOMIAL = 0x82f6_3b78

/** The remainder after `bits` more bits, which have been added to the low end. */
function reduce(scope: InstructionScope, value: Value<'i32'>, bits: number): Value<'i32'> {
  const { f } = scope
  const remainder = f.variable(value)
  const left = f.variable(i32(bits))
  f.loop(head => {
    f.set(remainder, remainder.shrU(1).xor(i32(0).sub(remainder.and(1)).and(POLYNOMIAL)))
    f.set(left, left.sub(1))
    f.brIf(head, left)
  })
  return remainder
}

export function defineCrc32(table: DefinitionTable): void {
  for (const [to, from] of [
    [32, 8],
    [32, 16],
    [32, 32],
    [64, 8],
    [64, 64],
  ] as const)
    table.define(`Crc32_r${to}_rm${from}`, {
      name: `Crc32.${to}.${from}`,
      bits: [to, from],
      emit: scope => {
        const start = scope.read32(0)
        const data = scope.read(1)
        let result = reduce(scope, start.xor(data.wrap()), Math.min(from, 32))
        if (data.type === 'i64') result = reduce(scope, result.xor(data.shrU(32).wrap()), 32)
        scope.write(0, to === 64 ? result.extendU() : result)
      },
    })
}
