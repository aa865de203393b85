/** Reading segment registers, and SWAPGS (SDM vol. 2: MOV, SWAPGS). Loading them is TypeScript's: `system/segment-load.ts`. */

import * as S from '../state.ts'
import type { DefinitionTable } from './definition.ts'

const GENERAL_PROTECTION = 13
const GS_BASE = S.SEGMENTS + 5 * S.SEGMENT_STRIDE + S.SEGMENT_BASE

export function defineSegmentRegister(table: DefinitionTable): void {
  for (const [code, bits] of [
    ['rm16', 16],
    ['r32m16', 32],
    ['r64m16', 64],
  ] as const)
    table.define(`Mov_${code}_Sreg`, {
      name: `MovFromSegment${bits}`,
      bits: [bits, 16],
      emit: scope => {
        const { f } = scope
        const selector = f.let(f.load('i32', scope.registerAddress(1), S.SEGMENT_SELECTOR))
        // Memory takes 16 bits whatever the operand size; a register is zero-extended.
        if (scope.isMemory) scope.store(16, scope.address(16, true), selector)
        else scope.storeRegister(scope.registerAddress(0), bits, bits === 64 ? selector.extendU() : selector)
      },
    })

  table.define('Swapgs', {
    name: 'Swapgs',
    bits: [],
    emit: scope => {
      scope.raiseIf(scope.state32(S.CPL), GENERAL_PROTECTION)
      const old = scope.f.let(scope.state64(GS_BASE))
      scope.setState(GS_BASE, scope.state64(S.MSR_KERNEL_GS_BASE))
      scope.setState(S.MSR_KERNEL_GS_BASE, old)
    },
  })
}
