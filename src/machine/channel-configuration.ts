/** The virtio console, the balloon and shared folders of a machine, as its configuration has them. */

import { parseSize } from './configuration.ts'
import { ConfigurationError } from './configuration-error.ts'
import { DeviceOptions, type VirtioOptions, virtioOptions } from './device-configuration.ts'

/** A second console, hvc0, and further channels of bytes by name. */
export interface ConsoleConfiguration extends VirtioOptions {
  readonly kind: 'console'
  /** Names under /dev/virtio-ports of the guest. */
  readonly ports: readonly string[]
}

export interface BalloonConfiguration extends VirtioOptions {
  readonly kind: 'balloon'
  /** Bytes that the guest is asked to give away from the beginning. */
  readonly size: number
}

export interface ShareConfiguration extends VirtioOptions {
  readonly kind: 'share'
  /** A folder of the host. */
  readonly path: string
  readonly writable: boolean
  /** By which the guest mounts it. */
  readonly tag: string
}

/** With hvc0 the console device has 16 ports. */
const MOST_PORTS = 15
const DEFAULT_TAG = 'share'
const LONGEST_TAG = 31

/** Reads `--console[=port=NAME]...`. @param what for messages. Throws {@link ConfigurationError}. */
export function parseConsole(text: string, what = '--console'): ConsoleConfiguration {
  const parts = text.split(',')
  const ports = parts.filter(part => part.startsWith('port=')).map(part => part.slice('port='.length))
  const options = new DeviceOptions(what, parts.filter(part => !part.startsWith('port=')).join(','))
  const virtio = virtioOptions(options)
  options.end()
  const wrong = ports.find((name, i) => !/^[\w.-]{1,64}$/.test(name) || ports.indexOf(name) !== i)
  if (wrong !== undefined)
    throw new ConfigurationError(`${what}: port=${wrong} is not a name of its own of letters, digits, ".", "_" and "-"`)
  if (ports.length > MOST_PORTS)
    throw new ConfigurationError(`${what}: ${ports.length} ports; ${MOST_PORTS} are possible`)
  return { kind: 'console', ports, ...virtio }
}

/** Reads `--balloon[=size=SIZE]`. @param what for messages. Throws {@link ConfigurationError}. */
export function parseBalloon(text: string, what = '--balloon'): BalloonConfiguration {
  const options = new DeviceOptions(what, text)
  const size = options.text('size')
  const virtio = virtioOptions(options)
  options.end()
  return { kind: 'balloon', size: size === undefined ? 0 : parseSize(size, `${what}: size`), ...virtio }
}

/** Reads `--share DIR[,writable][,tag=NAME]`; a comma of the path is written twice. Throws {@link ConfigurationError}. */
export function parseShare(text: string, what = '--share'): ShareConfiguration {
  const [, escaped = '', rest = ''] = /^((?:[^,]|,,)*)(?:,(.*))?$/s.exec(text) ?? []
  const path = escaped.replaceAll(',,', ',')
  if (path === '')
    throw new ConfigurationError(`${what}: which folder? Write ${what} DIR, then options such as ,writable`)
  const options = new DeviceOptions(`${what} ${path}`, rest)
  const writable = options.flag('writable')
  const tag = options.text('tag') ?? DEFAULT_TAG
  const virtio = virtioOptions(options)
  options.end()
  if (Buffer.byteLength(tag) > LONGEST_TAG)
    throw new ConfigurationError(`${what} ${path}: tag=${tag} is longer than ${LONGEST_TAG} bytes`)
  return { kind: 'share', path, writable, tag, ...virtio }
}
