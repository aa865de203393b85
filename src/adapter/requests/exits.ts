/** Exits from the guest to the hypervisor. */

import { posix } from 'node:path'
import { hex } from '../../protocol/address.ts'
import { EXITS, type ExitsBody, MOST_RECENT_EXITS, parseExitsArguments } from '../../protocol/custom-requests.ts'
import type { RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'
import { symbolOf } from '../symbol-of.ts'

export const exitRequests: RequestFamily = {
  [EXITS](session, args): ExitsBody {
    const { recent, addresses, spans } = parseExitsArguments(args)
    const report = session.debugger.exits(recent, addresses)
    const { instructions } = session.debugger.target
    return {
      instructions,
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
        ...sourceOf(session, address),
        count,
      })),
      ...overTime(session, spans, instructions),
    }
  },
}

/** Counts the exits that are kept in spans of instructions, from the oldest of them to now. */
function overTime(session: Session, spans: number, last: number): Pick<ExitsBody, 'overTime'> {
  if (spans === 0) return {}
  const { recent } = session.debugger.exits(MOST_RECENT_EXITS, 0)
  const [oldest] = recent
  if (oldest === undefined) return {}
  const first = oldest.instructions
  const counts: number[] = Array(spans).fill(0)
  // An exit at the very end belongs to the last span.
  for (const exit of recent)
    counts[Math.min(spans - 1, Math.floor(((exit.instructions - first) / Math.max(1, last - first)) * spans))]++
  return { overTime: { first, last, counts } }
}

/** The line of a source, be the source here or not. */
function sourceOf(session: Session, address: bigint): { source?: string } {
  const place = session.debugger.symbols.lineAt(address)
  return place === undefined ? {} : { source: `${posix.basename(place.file)}:${place.line}` }
}
