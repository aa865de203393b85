/** Messages of the Dynamic Host Configuration Protocol (RFC 2131, options in RFC 2132). */

import { read32, write16, write32 } from './big-endian.ts'
import { IPV4_ANY, type Ipv4Address } from './ipv4-address.ts'
import { type MacAddress, readMac, writeMac } from './mac-address.ts'

export const DHCP_SERVER_PORT = 67
export const DHCP_CLIENT_PORT = 68

export const DHCP_DISCOVER = 1
export const DHCP_OFFER = 2
export const DHCP_REQUEST = 3
export const DHCP_DECLINE = 4
export const DHCP_ACK = 5
export const DHCP_NAK = 6
export const DHCP_RELEASE = 7
export const DHCP_INFORM = 8

const BOOT_REQUEST = 1
const BOOT_REPLY = 2
const HARDWARE_ETHERNET = 1
const FLAG_BROADCAST = 0x80
const COOKIE = 0x6382_5363
const COOKIE_AT = 236
const OPTIONS_AT = 240
/** Clients need not take more than 576 bytes of packet, and old ones expect this much at least. */
const SMALLEST_MESSAGE = 300

const OPTION_PAD = 0
const OPTION_MASK = 1
const OPTION_ROUTER = 3
const OPTION_DNS = 6
const OPTION_REQUESTED = 50
const OPTION_LEASE_TIME = 51
const OPTION_TYPE = 53
const OPTION_SERVER = 54
const OPTION_END = 255

export interface DhcpRequest {
  /** {@link DHCP_DISCOVER} and the like. */
  readonly type: number
  readonly transaction: number
  readonly client: MacAddress
  /** The address that the client has and uses; 0 if none. */
  readonly clientIp: Ipv4Address
  /** The address that it would like to have. */
  readonly requested: Ipv4Address | undefined
  /** The server that it means. */
  readonly server: Ipv4Address | undefined
  /** It can't take a message to an address that it does not have yet. */
  readonly broadcast: boolean
}

/** Undefined for what is no request of a client on Ethernet. */
export function parseDhcp(data: Uint8Array): DhcpRequest | undefined {
  if (data[0] !== BOOT_REQUEST || data[1] !== HARDWARE_ETHERNET || data[2] !== 6) return undefined
  const options = optionsOf(data)
  const type = options?.get(OPTION_TYPE)
  if (options === undefined || type?.length !== 1) return undefined
  const address = (option: number) => {
    const bytes = options.get(option)
    return bytes?.length === 4 ? read32(bytes, 0) : undefined
  }
  return {
    ...{ type: type[0], requested: address(OPTION_REQUESTED), server: address(OPTION_SERVER) },
    transaction: read32(data, 4),
    client: readMac(data, 28),
    clientIp: read32(data, 12),
    broadcast: (data[10] & FLAG_BROADCAST) !== 0,
  }
}

/** {@link DHCP_DISCOVER} and the like, of a message of a client or of a server; undefined if it is none. */
export function dhcpType(data: Uint8Array): number | undefined {
  return optionsOf(data)?.get(OPTION_TYPE)?.[0]
}

/** By code, of those that come twice the last; undefined for what is no DHCP message, or has options that end behind it. */
function optionsOf(data: Uint8Array): ReadonlyMap<number, Uint8Array> | undefined {
  if (data.length < OPTIONS_AT || read32(data, COOKIE_AT) !== COOKIE) return undefined
  const options = new Map<number, Uint8Array>()
  for (let at = OPTIONS_AT; at < data.length && data[at] !== OPTION_END; ) {
    if (data[at] === OPTION_PAD) {
      at++
      continue
    }
    const length = data[at + 1]
    if (length === undefined || at + 2 + length > data.length) return undefined
    options.set(data[at], data.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  return options
}

export interface DhcpReply {
  readonly type: typeof DHCP_OFFER | typeof DHCP_ACK | typeof DHCP_NAK
  readonly request: DhcpRequest
  /** What the client gets; {@link IPV4_ANY} if nothing. */
  readonly address: Ipv4Address
  readonly server: Ipv4Address
  /** What the client is told beside its address; nothing in a refusal. */
  readonly network?: {
    readonly mask: Ipv4Address
    readonly router: Ipv4Address
    readonly dns: Ipv4Address
    /** Of the lease; none if the client has its address from elsewhere. */
    readonly seconds?: number
  }
}

/** Data of a UDP datagram. */
export function buildDhcp({ type, request, address, server, network }: DhcpReply): Uint8Array {
  const options: number[] = [OPTION_TYPE, 1, type]
  const add = (code: number, value: number) =>
    options.push(code, 4, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
  add(OPTION_SERVER, server)
  if (network !== undefined) {
    if (network.seconds !== undefined) add(OPTION_LEASE_TIME, network.seconds)
    add(OPTION_MASK, network.mask)
    add(OPTION_ROUTER, network.router)
    add(OPTION_DNS, network.dns)
  }
  options.push(OPTION_END)
  const data = new Uint8Array(Math.max(SMALLEST_MESSAGE, OPTIONS_AT + options.length))
  data[0] = BOOT_REPLY
  data[1] = HARDWARE_ETHERNET
  data[2] = 6
  write32(data, 4, request.transaction)
  write16(data, 10, request.broadcast ? FLAG_BROADCAST << 8 : 0)
  write32(data, 12, type === DHCP_NAK ? IPV4_ANY : request.clientIp)
  write32(data, 16, address)
  write32(data, 20, type === DHCP_NAK ? IPV4_ANY : server)
  writeMac(data, 28, request.client)
  write32(data, COOKIE_AT, COOKIE)
  data.set(options, OPTIONS_AT)
  return data
}
