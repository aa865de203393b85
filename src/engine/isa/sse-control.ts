/** MXCSR, fences and prefetches (SDM vol. 2). */

import * as S from '../state.ts'
import type { DefinitionTable } from './definition.ts'
import { XMM_FORMS } from './vector-form.ts'

const GENERAL_PROTECTION = 13
/** Bits of MXCSR that must be zero: all beyond MXCSR_MASK (SDM vol. 1, 11.6.6). */
const MXCSR_RESERVED = ~0xffff

export function defineSseControl(table: DefinitionTable): void {
  for (const form of XMM_FORMS) {
    table.define(
      `${form.mnemonic('Ldmxcsr')}_m32`,
      form.definition('Ldmxcsr', [32], scope => {
        const value = scope.read32(0)
        scope.raiseIf(value.and(MXCSR_RESERVED), GENERAL_PROTECTION)
        scope.setState(S.MXCSR, value)
      }),
    )
    table.define(
      `${form.mnemonic('Stmxcsr')}_m32`,
      form.definition('Stmxcsr', [32], scope => scope.write(0, scope.state32(S.MXCSR))),
    )
  }

  // One vCPU runs at a time and its accesses happen in program order, so fences order nothing. The encodings with
  // other values of ModRM.rm are the same instruction (SDM vol. 2, LFENCE).
  const variants = (name: string, digit: string, last: readonly string[]) => [
    name,
    ...last.map(x => `${name}_${digit}${x}`),
  ]
  const upper = ['9', 'A', 'B', 'C', 'D', 'E', 'F']
  table.define(
    [
      ...variants('Lfence', 'E', upper),
      ...variants('Mfence', 'F', ['1', '2', '3', '4', '5', '6', '7']),
      ...variants('Sfence', 'F', upper),
    ],
    { name: 'Fence', bits: [], emit: () => {} },
  )
  // A prefetch is a hint: it never faults and never reaches memory.
  table.define(
    ['nta', 't0', 't1', 't2'].map(hint => `Prefetch${hint}_m8`),
    { name: 'Prefetch', bits: [8], emit: () => {} },
  )
}
