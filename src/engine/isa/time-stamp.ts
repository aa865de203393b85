/** The time-stamp counter, exact in the middle of a block, and the number beside it (SDM vol. 2: RDTSC, RDTSCP, RDPID). */

import { CR4_TSD } from '../../x86/control-registers.ts'
import * as S from '../state.ts'
import type { DefinitionTable } from './definition.ts'
import type { InstructionScope } from './instruction-scope.ts'

const [RAX, RCX, RDX] = [0, 1, 2]
const GENERAL_PROTECTION = 13

function readCounter(scope: InstructionScope): void {
  const { f } = scope
  const kept = scope.state32(S.CR4).and(CR4_TSD).ne(0)
  scope.raiseIf(kept.and(scope.state32(S.CPL).ne(0)), GENERAL_PROTECTION)
  // The counter at the end of the budget, less what is left of the budget and of this block.
  const left = scope.state32(S.BUDGET).add(scope.unretired())
  const counter = f.let(scope.state64(S.TSC_LIMIT).sub(left.extendS()))
  scope.setGpr(RAX, 32, counter.wrap())
  scope.setGpr(RDX, 32, counter.shrU(32).wrap())
}

export function defineTimeStamp(table: DefinitionTable): void {
  table.define('Rdtsc', { name: 'Rdtsc', bits: [], emit: readCounter })
  table.define('Rdtscp', {
    name: 'Rdtscp',
    bits: [],
    emit: scope => {
      readCounter(scope)
      scope.setGpr(RCX, 32, scope.state32(S.MSR_TSC_AUX))
    },
  })
  for (const bits of [32, 64] as const)
    table.define(`Rdpid_r${bits}`, {
      name: `Rdpid${bits}`,
      bits: [bits],
      emit: scope => scope.write(0, bits === 64 ? scope.state64(S.MSR_TSC_AUX) : scope.state32(S.MSR_TSC_AUX)),
    })
}
