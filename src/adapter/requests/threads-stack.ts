/** Threads, one a vCPU, and their stack: the one frame that needs no unwinding. */

import { hex } from '../../protocol/address.ts'
import { Fields } from '../../protocol/fields.ts'
import { frameIdOf, THREAD_IDS, threadOf, vcpuOf } from '../frame-ids.ts'
import type { RequestFamily } from '../request.ts'

export const threadRequests: RequestFamily = {
  threads(session) {
    const { vcpus } = session.debugger.target.machine
    return { threads: vcpus.map(vcpu => ({ id: threadOf(vcpu.index), name: `vCPU ${vcpu.index}` })) }
  },

  stackTrace(session, args) {
    const threadId = new Fields('stackTrace', args).integer('threadId', THREAD_IDS)
    const vcpu = vcpuOf(threadId)
    const frame = session.debugger.frame(vcpu)
    const stackFrame = {
      id: frameIdOf({ vcpu, depth: 0 }),
      name: frame.name,
      line: 0,
      column: 0,
      instructionPointerReference: hex(frame.instructionPointer),
    }
    return { stackFrames: [stackFrame], totalFrames: 1 }
  },
}
