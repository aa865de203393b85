/** The request about the network: the bridge, and the way of each packet. */

import { type NetworkModel, networkModel } from '../../inspect/network.ts'
import {
  PACKETS,
  type PacketsArguments,
  type PacketsBody,
  parsePacketsArguments,
} from '../../protocol/network-requests.ts'
import { onWire } from '../../protocol/on-wire.ts'
import type { RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const networkRequests: RequestFamily = {
  [PACKETS](session, args): PacketsBody {
    const network = networkOf(session, parsePacketsArguments(args))
    const { instructions } = session.debugger.target
    return { instructions, ...(network === undefined ? {} : { network: onWire(network) }) }
  },
}

/** Undefined for a machine without. */
export function networkOf(
  { debugger: { target, traces } }: Session,
  { count, addresses }: PacketsArguments,
): NetworkModel | undefined {
  return networkModel(target.machine, {
    ...{ packets: count, addresses },
    postedAt: (device, queue, chain) => traces.postedAt(device, queue, chain),
  })
}
