/** Exits from the guest to the hypervisor, and what the guest told of itself by one. */

import { hex } from '../../protocol/address.ts'
import {
  EXITS,
  type ExitsBody,
  parseExitsArguments,
  parseTimelineArguments,
  TIMELINE,
  type TimelineBody,
} from '../../protocol/custom-requests.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const exitRequests: RequestFamily = {
  [EXITS](session, args): ExitsBody {
    const { recent, addresses } = parseExitsArguments(args)
    const report = session.debugger.exits(recent, addresses)
    return {
      instructions: session.debugger.target.instructions,
      total: report.total,
      byReason: report.byReason,
      recent: report.recent.map(({ rip, gpa, ...exit }) => ({
        ...exit,
        rip: hex(rip),
        ...symbolOf(session, rip),
        ...(gpa === undefined ? {} : { gpa: hex(gpa) }),
      })),
      byAddress: report.byAddress.map(({ address, count }) => ({
        address: hex(address),
        ...symbolOf(session, address),
        count,
      })),
    }
  },

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

function symbolOf(session: Session, address: bigint): { symbol?: string } {
  const symbol = session.debugger.symbols.describe(address)
  return symbol === undefined ? {} : { symbol }
}
