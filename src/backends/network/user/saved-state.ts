/** The user-mode network in a snapshot. A snapshot is a file, and a file can be wrong: every field is checked. */

import type { Json } from '../../../util/json.ts'
import type { Ipv4Address } from '../frame/ipv4-address.ts'
import type { MacAddress } from '../frame/mac-address.ts'
import type { Lease } from './dhcp-server.ts'
import type { BrokenConnection } from './tcp-service.ts'

/** Records of one kind; more can't have been saved. */
const MOST_RECORDS = 4096
const MAC = 2 ** 48
const WORD = 2 ** 32
const PORT = 2 ** 16

export interface UserNetworkState {
  readonly leases: readonly Lease[]
  readonly guests: readonly { readonly address: Ipv4Address; readonly mac: MacAddress }[]
  readonly broken: readonly BrokenConnection[]
}

/** Each record as a list of numbers. */
export function writeUserNetworkState({ leases, guests, broken }: UserNetworkState): Json {
  return {
    leases: leases.map(({ mac, address }) => [mac, address]),
    guests: guests.map(({ mac, address }) => [mac, address]),
    broken: broken.map(({ ends, sequence, acknowledgment }) => [
      ...[ends.guest, ends.guestPort, ends.peer, ends.peerPort],
      ...[sequence, acknowledgment],
    ]),
  }
}

/** Throws {@link Error} for what is no saved state. */
export function readUserNetworkState(state: Json): UserNetworkState {
  const pairs = (name: string) => records(state, name, [MAC, WORD]).map(([mac, address]) => ({ mac, address }))
  const broken = records(state, 'broken', [WORD, PORT, WORD, PORT, WORD, WORD])
  return {
    leases: pairs('leases'),
    guests: pairs('guests'),
    broken: broken.map(([guest, guestPort, peer, peerPort, sequence, acknowledgment]) => ({
      ends: { guest, guestPort, peer, peerPort },
      ...{ sequence, acknowledgment },
    })),
  }
}

/** @param limits what each number of a record must stay below. */
function records(state: Json, name: string, limits: readonly number[]): number[][] {
  const wrong = () =>
    new Error(`saved state of the user network: "${name}" is wrong; the snapshot is damaged or from another version`)
  const isObject = (value: Json): value is { readonly [key: string]: Json } =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  const list: Json | undefined = isObject(state) ? state[name] : undefined
  if (!isList(list) || list.length > MOST_RECORDS) throw wrong()
  return list.map(record => {
    if (!isList(record) || record.length !== limits.length) throw wrong()
    return record.map((value, i) => {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= limits[i]) throw wrong()
      return value
    })
  })
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}
