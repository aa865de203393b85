/** How far the guest is, and in which process; asked while it runs too. */

import { currentTask } from '../../debugger/linux/current-task.ts'
import { parseStatusArguments, STATUS, type StatusBody } from '../../protocol/status-request.ts'
import { vcpuOf } from '../frame-ids.ts'
import type { RequestFamily } from '../request.ts'

export const statusRequests: RequestFamily = {
  [STATUS](session, args): StatusBody {
    const { threadId } = parseStatusArguments(args)
    const { target, symbols, focus } = session.debugger
    const running = target.state.kind === 'running'
    const vcpu = session.debugger.vcpu(threadId === undefined ? focus : vcpuOf(threadId))
    const process = running ? undefined : currentTask(symbols, target.machine, vcpu)
    return { instructions: target.instructions, running, ...(process === undefined ? {} : { process }) }
  },
}
