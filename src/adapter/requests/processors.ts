/** The request of our own about processors: each vCPU with its mode and registers. */

import { cpuMode, instructionPointer } from '../../inspect/cpu-mode.ts'
import { hex } from '../../protocol/address.ts'
import { onWire } from '../../protocol/on-wire.ts'
import {
  PROCESSORS,
  type ProcessorBody,
  type ProcessorsBody,
  parseProcessorsArguments,
} from '../../protocol/processor-requests.ts'
import { frameIdOf, threadOf } from '../frame-ids.ts'
import type { RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const processorRequests: RequestFamily = {
  [PROCESSORS](session, args): ProcessorsBody {
    const { rare } = parseProcessorsArguments(args)
    const { target, focus } = session.debugger
    return {
      instructions: target.instructions,
      focus: threadOf(focus),
      processors: target.machine.vcpus.map(({ index }) => processor(session, index, rare)),
    }
  },
}

function processor(session: Session, index: number, rare: boolean): ProcessorBody {
  const vcpu = session.debugger.vcpu(index)
  const { summary, mode, cpl } = cpuMode(vcpu)
  const rip = instructionPointer(vcpu)
  const symbol = session.debugger.symbols.describe(rip)
  const groups = session.debugger.registers(index).filter(group => rare || group.rare !== true)
  return {
    threadId: threadOf(index),
    frameId: frameIdOf({ vcpu: index, depth: 0 }),
    ...{ summary, mode, cpl, cr3: hex(vcpu.register('cr3')), rip: hex(rip) },
    ...(symbol === undefined ? {} : { symbol }),
    groups: groups.map(group => ({ name: group.name, registers: onWire(group.nodes()) })),
  }
}
