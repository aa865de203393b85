/** Cache instructions, HLT, hypercalls. Guest memory is always coherent, so cache maintenance has only its checks. */

import type { Assist } from '../assist.ts'
import * as S from '../state.ts'
import { requireSupervisor } from './cpu-mode.ts'

const privilegedNothing: Assist = cpu => requireSupervisor(cpu.state)

/** CLFLUSH and CLFLUSHOPT are loads for protection and paging (SDM vol. 2). */
const clflush: Assist = (cpu, instruction) => {
  instruction.checkSegment(cpu.state, 1, false, true)
  cpu.memory.read8(instruction.address)
}

const hlt: Assist = cpu => {
  requireSupervisor(cpu.state)
  cpu.state.set32(S.ACTIVITY, S.ACTIVITY_HLT)
}

/** Always leaves, at any privilege level (SDM vol. 3, 26.1.2); the hypervisor answers in registers. */
const hypercall: Assist = cpu => cpu.exitRetired({ reason: 'vmcall' })

export const processorControlAssists: Readonly<Record<string, Assist>> = {
  Hlt: hlt,
  Invd: privilegedNothing,
  Wbinvd: privilegedNothing,
  Clflush_m8: clflush,
  Clflushopt_m8: clflush,
  Vmcall: hypercall,
  Vmmcall: hypercall,
}
