/** What the guest told of itself by hypercall. */

import { hex } from '../../protocol/address.ts'
import { parseTimelineArguments, TIMELINE, type TimelineBody } from '../../protocol/custom-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import { symbolOf } from '../symbol-of.ts'

export const timelineRequests: RequestFamily = {
  [TIMELINE](session, args): TimelineBody {
    const { recent } = parseTimelineArguments(args)
    const { machine, instructions } = session.debugger.target
    const { guestEvents } = machine
    if (guestEvents === undefined) throw new RequestError('this target has no hypercalls')
    return {
      ...{ instructions, total: guestEvents.total },
      events: guestEvents.last(recent).map(({ count, rip, values, ...event }) => ({
        ...{ ...event, instructions: count, rip: hex(rip), ...symbolOf(session, rip) },
        values: values.map(value => hex(value)),
      })),
    }
  },
}
