/** Going on, stopping, stepping. Statements and lines are instructions while there are no line tables. */

import { Fields } from '../../protocol/fields.ts'
import { THREAD_IDS, vcpuOf } from '../frame-ids.ts'
import type { RequestFamily } from '../request.ts'

export const runControlRequests: RequestFamily = {
  continue(session, args) {
    new Fields('continue', args).integer('threadId', THREAD_IDS)
    session.debugger.resume()
    session.resumed()
    return { allThreadsContinued: true }
  },

  pause(session) {
    session.debugger.pause()
    return undefined
  },

  stepIn(session, args) {
    session.debugger.stepInto(steppedVcpu('stepIn', args))
    session.resumed()
    return undefined
  },

  next(session, args) {
    session.debugger.stepOver(steppedVcpu('next', args))
    session.resumed()
    return undefined
  },
}

function steppedVcpu(command: string, args: unknown): number {
  return vcpuOf(new Fields(command, args).integer('threadId', THREAD_IDS))
}
