/** Leases of the user-mode network. The first client gets 10.0.2.15, in every run; a client keeps what it once got. */

import {
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_REQUEST,
  type DhcpReply,
  type DhcpRequest,
} from '../frame/dhcp.ts'
import { IPV4_ANY, type Ipv4Address } from '../frame/ipv4-address.ts'
import type { MacAddress } from '../frame/mac-address.ts'
import { FIRST_LEASE, GATEWAY, LAST_LEASE, NAME_SERVER, NETWORK_MASK } from './addresses.ts'

const LEASE_SECONDS = 86_400
const NETWORK = { mask: NETWORK_MASK, router: GATEWAY, dns: NAME_SERVER }

export interface Lease {
  readonly mac: MacAddress
  readonly address: Ipv4Address
}

export class DhcpServer {
  readonly #leases = new Map<MacAddress, Ipv4Address>()
  /** Addresses that somebody else was found at. */
  readonly #declined = new Set<Ipv4Address>()

  /** Undefined where the protocol wants silence (RFC 2131, 4.3), or no address is left. */
  answer(request: DhcpRequest): DhcpReply | undefined {
    const reply = { request, server: GATEWAY }
    if (request.server !== undefined && request.server !== GATEWAY) return undefined
    switch (request.type) {
      case DHCP_DISCOVER: {
        const address = this.#lease(request.client)
        if (address === undefined) return undefined
        return { ...reply, type: DHCP_OFFER, address, network: { ...NETWORK, seconds: LEASE_SECONDS } }
      }
      case DHCP_REQUEST: {
        const wanted = request.requested ?? request.clientIp
        const address = this.#lease(request.client)
        if (address === undefined || wanted !== address) return { ...reply, type: DHCP_NAK, address: IPV4_ANY }
        return { ...reply, type: DHCP_ACK, address, network: { ...NETWORK, seconds: LEASE_SECONDS } }
      }
      case DHCP_INFORM:
        return { ...reply, type: DHCP_ACK, address: IPV4_ANY, network: NETWORK }
      case DHCP_DECLINE:
        this.#decline(request)
        return undefined
      default:
        // A lease that was released stays with its client: it will ask for it again.
        return undefined
    }
  }

  get leases(): Lease[] {
    return [...this.#leases].map(([mac, address]) => ({ mac, address }))
  }

  /** In place of the leases there are; those that can't be are left out. */
  restore(leases: readonly Lease[]): void {
    this.#leases.clear()
    this.#declined.clear()
    for (const { mac, address } of leases)
      if (address >= FIRST_LEASE && address <= LAST_LEASE) this.#leases.set(mac, address)
  }

  #lease(client: MacAddress): Ipv4Address | undefined {
    const known = this.#leases.get(client)
    if (known !== undefined) return known
    const taken = new Set(this.#leases.values())
    for (let address = FIRST_LEASE; address <= LAST_LEASE; address++)
      if (!taken.has(address) && !this.#declined.has(address)) {
        this.#leases.set(client, address)
        return address
      }
    return undefined
  }

  #decline({ client, requested }: DhcpRequest): void {
    if (requested === undefined || this.#leases.get(client) !== requested) return
    this.#leases.delete(client)
    this.#declined.add(requested)
  }
}
