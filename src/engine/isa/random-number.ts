/**
 * RDRAND and RDSEED (SDM vol. 2). Their numbers come from a stream in the processor's state (SplitMix64: Steele, Lea and
 * Flood, "Fast splittable pseudorandom number generators", 2014), so that the same run has the same numbers and a
 * snapshot goes on with the next one. There always is one.
 */

import * as S from '../state.ts'
import { i32, i64, type Value } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'

function next(scope: InstructionScope): Value<'i64'> {
  const { f } = scope
  const state = f.let(scope.state64(S.RANDOM).add(i64(0x9e37_79b9_7f4a_7c15n)))
  scope.setState(S.RANDOM, state)
  const mixed = f.let(state.xor(state.shrU(30)).mul(i64(0xbf58_476d_1ce4_e5b9n)))
  const again = f.let(mixed.xor(mixed.shrU(27)).mul(i64(0x94d0_49bb_1331_11ebn)))
  return f.let(again.xor(again.shrU(31)))
}

export function defineRandomNumber(table: DefinitionTable): void {
  for (const bits of [16, 32, 64] as const)
    table.define([`Rdrand_r${bits}`, `Rdseed_r${bits}`], {
      name: `Random${bits}`,
      bits: [bits],
      emit: scope => {
        const number = next(scope)
        scope.write(0, bits === 64 ? number : number.wrap())
        // CF set: there is a number; all other status flags clear. The XOR word takes back the OF that CF would give.
        scope.setFlags(i64(1), i64((-1n << 63n) | 1n), i32(1))
      },
    })
}
