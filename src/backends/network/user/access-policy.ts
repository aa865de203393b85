/**
 * What of the world a guest may reach through the user-mode network. Without a word from the user: nothing. The host
 * itself and the outside are allowed apart, so that a guest that may use the Internet can't reach services that the
 * host offers only to itself.
 */

import { networkInterfaces } from 'node:os'
import { type Ipv4Address, inPrefix, parseIpv4Address } from '../frame/ipv4-address.ts'
import { GATEWAY, NETWORK, NETWORK_BITS } from './addresses.ts'

export type Transport = 'tcp' | 'udp'

export interface PortRule {
  readonly transport: Transport
  readonly port: number
}

export interface AccessOptions {
  /** Every address that is not the host's own. */
  readonly outside: boolean
  /** Every port of the host's loopback interface, by 10.0.2.2. */
  readonly host: boolean
  /** Single ports of the host's loopback interface, by 10.0.2.2. */
  readonly allow: readonly PortRule[]
}

/** Where a guest's connection leads. */
export type Destination =
  | { readonly kind: 'host' | 'outside'; readonly address: Ipv4Address }
  | { readonly kind: 'refused' }

const LOOPBACK: Ipv4Address = 0x7f00_0001
const REFUSED: Destination = { kind: 'refused' }

/** Never the outside: this host, link-local (metadata services of clouds live there), groups and what is reserved. */
const CLOSED: readonly (readonly [prefix: Ipv4Address, bits: number])[] = [
  [0x0000_0000, 8],
  [0x7f00_0000, 8],
  [0xa9fe_0000, 16],
  [0xe000_0000, 4],
  [0xf000_0000, 4],
  [NETWORK, NETWORK_BITS],
]

export class AccessPolicy {
  readonly options: AccessOptions
  readonly #own: () => ReadonlySet<Ipv4Address>

  /** @param own addresses of the host's interfaces, asked for anew at each connection. */
  constructor(options: AccessOptions, own: () => ReadonlySet<Ipv4Address> = hostAddresses) {
    this.options = options
    this.#own = own
  }

  /** May anything leave at all? */
  get open(): boolean {
    return this.options.outside || this.options.host || this.options.allow.length > 0
  }

  destination(transport: Transport, address: Ipv4Address, port: number): Destination {
    if (port === 0) return REFUSED
    if (address === GATEWAY) {
      const { host, allow } = this.options
      const allowed = host || allow.some(rule => rule.transport === transport && rule.port === port)
      return allowed ? { kind: 'host', address: LOOPBACK } : REFUSED
    }
    if (!this.options.outside || CLOSED.some(([prefix, bits]) => inPrefix(address, prefix, bits))) return REFUSED
    // By its outer address the host offers the same services, and more trusting ones than to strangers.
    return this.#own().has(address) ? REFUSED : { kind: 'outside', address }
  }
}

function hostAddresses(): ReadonlySet<Ipv4Address> {
  const addresses = new Set<Ipv4Address>()
  for (const entries of Object.values(networkInterfaces()))
    for (const { family, address } of entries ?? []) {
      const parsed = family === 'IPv4' ? parseIpv4Address(address) : undefined
      if (parsed !== undefined) addresses.add(parsed)
    }
  return addresses
}
