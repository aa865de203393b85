/** The network of a machine as its configuration has it, and the reading of `--net`. */

import { isGroup, type MacAddress, parseMac } from '../backends/network/frame/mac-address.ts'
import { tapAddress } from '../backends/network/tap.ts'
import type { AccessOptions, PortRule, Transport } from '../backends/network/user/access-policy.ts'
import type { PortForward } from '../backends/network/user/forwards.ts'
import { ConfigurationError } from './configuration-error.ts'
import { DeviceOptions, type VirtioOptions, virtioOptions } from './device-configuration.ts'

export interface NetConfiguration extends VirtioOptions {
  readonly kind: 'net'
  readonly mac: MacAddress
  /** User-mode networking; with neither this nor `tap` the machine only has a bridge in common with others. */
  readonly user: UserConfiguration | undefined
  /** Device of a tap of the host. */
  readonly tap: string | undefined
}

export interface UserConfiguration {
  readonly access: AccessOptions
  readonly forwards: readonly PortForward[]
}

/** Locally administered. */
export const DEFAULT_MAC: MacAddress = 0x0252_5300_0001
const MOST_RULES = 64

/** Reads `--net`; undefined for `none`. @param what for messages. Throws {@link ConfigurationError}. */
export function parseNet(text: string, what = '--net'): NetConfiguration | undefined {
  const [network, ...parts] = text.split(',')
  if (network === 'none' && parts.length === 0) return undefined
  const tap = /^tap=(.+)$/.exec(network)?.[1]
  if (network !== 'user' && tap === undefined)
    throw new ConfigurationError(`${what} "${text}": there are user and tap=DEVICE, with options behind, and none`)
  const repeated = (name: string) =>
    parts.filter(part => part.startsWith(`${name}=`)).map(part => part.slice(name.length + 1))
  const [allow, forward] = [repeated('allow'), repeated('forward')]
  if (allow.length > MOST_RULES || forward.length > MOST_RULES)
    throw new ConfigurationError(`${what}: at most ${MOST_RULES} times allow= and forward=`)
  const options = new DeviceOptions(what, parts.filter(part => !/^(allow|forward)=/.test(part)).join(','))
  const mac = readMac(options.text('mac'), what) ?? (tap === undefined ? undefined : tapAddress(tap)) ?? DEFAULT_MAC
  const configuration: NetConfiguration = {
    kind: 'net',
    mac,
    user: tap === undefined ? readUser(options, allow, forward, what) : undefined,
    tap,
    ...virtioOptions(options),
  }
  if (tap !== undefined && allow.length + forward.length > 0)
    throw new ConfigurationError(`${what}: allow= and forward= belong to user; what a tap reaches, the host decides`)
  options.end()
  return configuration
}

function readUser(
  options: DeviceOptions,
  allow: readonly string[],
  forward: readonly string[],
  what: string,
): UserConfiguration {
  return {
    access: {
      outside: onOff(options, 'outside'),
      host: onOff(options, 'host'),
      allow: allow.map(rule => readRule(rule, what)),
    },
    forwards: forward.map(port => readForward(port, what)),
  }
}

function onOff(options: DeviceOptions, name: string): boolean {
  return options.choice(name, ['on', 'off'], 'off') === 'on'
}

function readMac(text: string | undefined, what: string): MacAddress | undefined {
  if (text === undefined) return undefined
  const mac = parseMac(text)
  if (mac === undefined || mac === 0 || isGroup(mac))
    throw new ConfigurationError(`${what}: mac=${text} is not the address of a station, such as 02:52:53:00:00:01`)
  return mac
}

function readRule(text: string, what: string): PortRule {
  const match = /^(tcp|udp):(\d+)$/.exec(text)
  if (match === null) throw new ConfigurationError(`${what}: allow=${text} is not like allow=tcp:8080`)
  return { transport: transportOf(match[1]), port: readPort(match[2], 1, what) }
}

function readForward(text: string, what: string): PortForward {
  const match = /^(tcp|udp):(\d+):(\d+)$/.exec(text)
  if (match === null)
    throw new ConfigurationError(
      `${what}: forward=${text} is not like forward=tcp:2222:22 (port of the host, of the guest)`,
    )
  return {
    transport: transportOf(match[1]),
    hostPort: readPort(match[2], 0, what),
    guestPort: readPort(match[3], 1, what),
  }
}

function transportOf(text: string): Transport {
  return text === 'udp' ? 'udp' : 'tcp'
}

/** Port 0 of the host is any that is free. */
function readPort(text: string, least: number, what: string): number {
  const port = Number(text)
  if (port < least || port > 65_535)
    throw new ConfigurationError(`${what}: ${text} is not a port from ${least} to 65535`)
  return port
}
