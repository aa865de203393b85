/** Names of the user-mode network, answered without asking anybody; others only where the outside may be asked. */

import {
  buildDnsAnswer,
  buildDnsRefusal,
  CLASS_IN,
  type DnsQuery,
  parseDnsQuery,
  RCODE_NAME_ERROR,
  RCODE_NO_ERROR,
  RCODE_REFUSED,
  RCODE_SERVER_FAILURE,
  TYPE_A,
  TYPE_AAAA,
  TYPE_PTR,
} from '../frame/dns.ts'
import type { Ipv4Address } from '../frame/ipv4-address.ts'
import { GATEWAY, NAME_SERVER } from './addresses.ts'

const NAMES: ReadonlyMap<string, Ipv4Address> = new Map([
  ['gateway', GATEWAY],
  ['host', GATEWAY],
  ['dns', NAME_SERVER],
])
const POINTERS: ReadonlyMap<string, string> = new Map([
  ['2.2.0.10.in-addr.arpa', 'gateway'],
  ['3.2.0.10.in-addr.arpa', 'dns'],
])
/** Questions to the outside that have no answer yet; more are refused. */
const MOST_QUESTIONS = 64

/** @returns IPv4 addresses of a name, none if it does not exist; rejects if nobody could be asked. */
export type Resolve = (name: string) => Promise<readonly Ipv4Address[]>

export class NameServer {
  readonly #resolve: Resolve | undefined
  #questions = 0

  /** @param resolve asks the outside; undefined where that is not allowed. */
  constructor(resolve: Resolve | undefined) {
    this.#resolve = resolve
  }

  /** Questions to the outside that have no answer yet. */
  get waiting(): number {
    return this.#questions
  }

  /** @param reply takes the answer: at once, or later if the outside was asked. */
  answer(data: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const query = parseDnsQuery(data)
    if (query === undefined) return
    if ('rcode' in query) reply(buildDnsRefusal(query))
    else if (query.class !== CLASS_IN) reply(buildDnsAnswer(query, { rcode: RCODE_REFUSED, authoritative: false }))
    else this.#answerInternet(query, reply)
  }

  #answerInternet(query: DnsQuery, reply: (answer: Uint8Array) => void): void {
    const local = (answer: { rcode: number; addresses?: readonly Ipv4Address[]; pointer?: string }) =>
      reply(buildDnsAnswer(query, { ...answer, authoritative: true }))
    const address = NAMES.get(query.name)
    const pointer = POINTERS.get(query.name)
    if (address !== undefined) local({ rcode: RCODE_NO_ERROR, addresses: query.type === TYPE_A ? [address] : [] })
    else if (pointer !== undefined) local({ rcode: RCODE_NO_ERROR, ...(query.type === TYPE_PTR ? { pointer } : {}) })
    else if (this.#resolve === undefined) local({ rcode: RCODE_NAME_ERROR })
    // There is no way for IPv6 here, so nobody needs such addresses.
    else if (query.type === TYPE_AAAA) local({ rcode: RCODE_NO_ERROR })
    else if (query.type !== TYPE_A || this.#questions >= MOST_QUESTIONS)
      reply(buildDnsAnswer(query, { rcode: RCODE_REFUSED, authoritative: false }))
    else void this.#ask(this.#resolve, query, reply)
  }

  async #ask(resolve: Resolve, query: DnsQuery, reply: (answer: Uint8Array) => void): Promise<void> {
    this.#questions++
    // The frame that the question came in must not be held on to.
    const kept = { ...query, question: query.question.slice() }
    try {
      const addresses = await resolve(query.name)
      const rcode = addresses.length === 0 ? RCODE_NAME_ERROR : RCODE_NO_ERROR
      reply(buildDnsAnswer(kept, { rcode, authoritative: false, addresses }))
    } catch {
      reply(buildDnsAnswer(kept, { rcode: RCODE_SERVER_FAILURE, authoritative: false }))
    } finally {
      this.#questions--
    }
  }
}
