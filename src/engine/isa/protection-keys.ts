/** RDPKRU (SDM vol. 2): a kernel that looks at user memory, page by page, reads PKRU for each. WRPKRU is an assist. */

import { CR4_PKE } from '../../x86/control-registers.ts'
import * as S from '../state.ts'
import { i32 } from '../wasm/value.ts'
import type { DefinitionTable } from './definition.ts'

const [RAX, RCX, RDX] = [0, 1, 2]
const INVALID_OPCODE = 6
const GENERAL_PROTECTION = 13

export function defineProtectionKeys(table: DefinitionTable): void {
  table.define('Rdpkru', {
    name: 'Rdpkru',
    bits: [],
    emit: scope => {
      scope.raiseIf(scope.state32(S.CR4).and(CR4_PKE).eqz(), INVALID_OPCODE)
      scope.raiseIf(scope.gpr(RCX, 32).wrap(), GENERAL_PROTECTION)
      scope.setGpr(RAX, 32, scope.state32(S.PKRU))
      scope.setGpr(RDX, 32, i32(0))
    },
  })
}
