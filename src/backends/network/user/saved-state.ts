/** The user-mode network in a snapshot. A snapshot is a file, and a file can be wrong: every field is checked. */

import type { Json } from '../../../util/json.ts'
import type { Ipv4Packet } from '../frame/ipv4.ts'
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
  /** Of the packet sent last in fragments. */
  readonly identification: number
  /** Of packets from guests that are not whole yet. */
  readonly fragments: readonly { readonly fragment: Ipv4Packet; readonly began: number }[]
}

/** Each record as a list of numbers. */
export function writeUserNetworkState(state: UserNetworkState): Json {
  const { leases, guests, broken, identification, fragments } = state
  return {
    leases: leases.map(({ mac, address }) => [mac, address]),
    guests: guests.map(({ mac, address }) => [mac, address]),
    broken: broken.map(({ ends, sequence, acknowledgment }) => [
      ...[ends.guest, ends.guestPort, ends.peer, ends.peerPort],
      ...[sequence, acknowledgment],
    ]),
    identification: [[identification]],
    fragments: fragments.map(({ fragment, began }) => [
      ...[began, fragment.source, fragment.destination, fragment.protocol, fragment.timeToLive],
      ...[fragment.identification, fragment.moreFragments ? 1 : 0, fragment.fragmentOffset, fragment.payload.length],
    ]),
    payloads: Buffer.concat(fragments.map(({ fragment }) => fragment.payload)).toString('base64'),
  }
}

/** Throws {@link Error} for what is no saved state. */
export function readUserNetworkState(state: Json): UserNetworkState {
  const pairs = (name: string) => records(state, name, [MAC, WORD]).map(([mac, address]) => ({ mac, address }))
  const broken = records(state, 'broken', [WORD, PORT, WORD, PORT, WORD, WORD])
  return {
    identification: records(state, 'identification', [PORT])[0]?.[0] ?? 0,
    fragments: readFragments(state),
    leases: pairs('leases'),
    guests: pairs('guests'),
    broken: broken.map(([guest, guestPort, peer, peerPort, sequence, acknowledgment]) => ({
      ends: { guest, guestPort, peer, peerPort },
      ...{ sequence, acknowledgment },
    })),
  }
}

function readFragments(state: Json): UserNetworkState['fragments'] {
  const limits = [Number.MAX_SAFE_INTEGER, WORD, WORD, 256, 256, PORT, 2, PORT, PORT]
  const payloads = fieldOf(state, 'payloads')
  const bytes = new Uint8Array(Buffer.from(typeof payloads === 'string' ? payloads : '', 'base64'))
  let at = 0
  return records(state, 'fragments', limits).map(
    ([began, source, destination, protocol, timeToLive, identification, more, fragmentOffset, length]) => {
      if (fragmentOffset % 8 !== 0 || at + length > bytes.length) throw wrong('fragments')
      const payload = bytes.subarray(at, (at += length))
      const ends = { source, destination, protocol, timeToLive, identification }
      return { began, fragment: { ...ends, moreFragments: more === 1, fragmentOffset, payload } }
    },
  )
}

/** @param limits what each number of a record must stay below. */
function records(state: Json, name: string, limits: readonly number[]): number[][] {
  const list = fieldOf(state, name)
  if (!isList(list) || list.length > MOST_RECORDS) throw wrong(name)
  return list.map(record => {
    if (!isList(record) || record.length !== limits.length) throw wrong(name)
    return record.map((value, i) => {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= limits[i]) throw wrong(name)
      return value
    })
  })
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function fieldOf(state: Json, name: string): Json | undefined {
  const isObject = (value: Json): value is { readonly [key: string]: Json } =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject(state) ? state[name] : undefined
}

function wrong(name: string): Error {
  return new Error(
    `saved state of the user network: "${name}" is wrong; the snapshot is damaged or from another version`,
  )
}
