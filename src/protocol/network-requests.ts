/** The custom request about the network: ports of the bridge, what it has learned, and the way of each packet. */

import type { NetworkModel } from '../inspect/network.ts'
import { Fields } from './fields.ts'
import type { OnWire } from './on-wire.ts'

/** The bridge with its counters, and the last packets with every station that they passed. */
export const PACKETS = 'ringside/packets'

export interface PacketsArguments {
  /** Packets, the last; default {@link USUAL_PACKETS}, at most {@link MOST_PACKETS}. */
  readonly count: number
  /** Learned addresses, the last; default {@link USUAL_ADDRESSES}, at most {@link MOST_ADDRESSES}. */
  readonly addresses: number
}

export interface PacketsBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  /** Absent for a machine without a network, or one that can't be seen. */
  readonly network?: OnWire<NetworkModel>
}

export const MOST_PACKETS = 1024
export const USUAL_PACKETS = 32
export const MOST_ADDRESSES = 1024
export const USUAL_ADDRESSES = 64

export function parsePacketsArguments(value: unknown): PacketsArguments {
  const fields = new Fields(PACKETS, value ?? {})
  return {
    count: fields.optionalInteger('count', { least: 0, most: MOST_PACKETS }) ?? USUAL_PACKETS,
    addresses: fields.optionalInteger('addresses', { least: 0, most: MOST_ADDRESSES }) ?? USUAL_ADDRESSES,
  }
}
