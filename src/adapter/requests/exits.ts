/** Exits from the guest to the hypervisor. */

import { hex } from '../../protocol/address.ts'
import { EXITS, type ExitsBody, parseExitsArguments } from '../../protocol/custom-requests.ts'
import type { RequestFamily } from '../request.ts'
import { symbolOf } from '../symbol-of.ts'

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
}
