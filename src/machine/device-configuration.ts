/** Paravirtual devices of a machine, as its configuration has them, and the reading of their options from text. */

import type { BalloonConfiguration, ConsoleConfiguration, ShareConfiguration } from './channel-configuration.ts'
import { ConfigurationError } from './configuration-error.ts'
import type { DiskConfiguration } from './disk-configuration.ts'
import type { NetConfiguration } from './net-configuration.ts'

/** How a driver reaches a virtio device. */
export const VIRTIO_TRANSPORTS = ['pci', 'pci-transitional', 'pci-legacy', 'mmio'] as const
export type VirtioTransportName = (typeof VIRTIO_TRANSPORTS)[number]

/** What every virtio device can be told. */
export interface VirtioOptions {
  readonly transport: VirtioTransportName
  /** Offer packed rings; only a driver by a modern transport can take them. */
  readonly packed: boolean
  /** False: VIRTIO_F_EVENT_IDX is not offered. */
  readonly eventIndex?: false
}

export const DEFAULT_VIRTIO_OPTIONS: VirtioOptions = { transport: 'pci', packed: false }

export interface EntropyConfiguration extends VirtioOptions {
  readonly kind: 'entropy'
}

/** One member a kind of device; they are plugged in in the order of the configuration. */
export type DeviceConfiguration =
  | EntropyConfiguration
  | DiskConfiguration
  | NetConfiguration
  | ConsoleConfiguration
  | BalloonConfiguration
  | ShareConfiguration

/** Options such as `transport=mmio,packed=on`, by name; those without a value have undefined. */
export class DeviceOptions {
  readonly #what: string
  readonly #options: Map<string, string | undefined>

  /** @param what for messages: `--rng`. Throws {@link ConfigurationError} for an option that comes twice. */
  constructor(what: string, text: string) {
    this.#what = what
    this.#options = new Map()
    for (const part of text.split(',').filter(part => part !== '')) {
      const equals = part.indexOf('=')
      const name = equals < 0 ? part : part.slice(0, equals)
      if (this.#options.has(name)) throw new ConfigurationError(`${what}: "${name}" comes twice`)
      this.#options.set(name, equals < 0 ? undefined : part.slice(equals + 1))
    }
  }

  /** An option with a value from a list. */
  choice<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    if (!this.#options.has(name)) return otherwise
    const given = this.#take(name)
    const value = values.find(value => value === given)
    if (value === undefined)
      throw new ConfigurationError(`${this.#what}: ${name}=${given ?? ''} is not one of ${values.join(', ')}`)
    return value
  }

  /** An option without a value. */
  flag(name: string): boolean {
    if (!this.#options.has(name)) return false
    if (this.#take(name) !== undefined) throw new ConfigurationError(`${this.#what}: "${name}" takes no value`)
    return true
  }

  /** An option with any value. */
  text(name: string): string | undefined {
    if (!this.#options.has(name)) return undefined
    const value = this.#take(name)
    if (value === undefined || value === '') throw new ConfigurationError(`${this.#what}: "${name}" needs a value`)
    return value
  }

  /** An option that may come several times is told apart by the caller; what is left over is an error. */
  end(): void {
    const [unknown] = this.#options.keys()
    if (unknown !== undefined) throw new ConfigurationError(`${this.#what}: unknown option "${unknown}"`)
  }

  #take(name: string): string | undefined {
    const value = this.#options.get(name)
    this.#options.delete(name)
    return value
  }
}

/** Takes `transport=` and `packed=` out of a device's options. */
export function virtioOptions(options: DeviceOptions): VirtioOptions {
  const transport = options.choice('transport', VIRTIO_TRANSPORTS, DEFAULT_VIRTIO_OPTIONS.transport)
  const packed = options.choice('packed', ['on', 'off'], DEFAULT_VIRTIO_OPTIONS.packed ? 'on' : 'off') === 'on'
  if (packed && transport === 'pci-legacy')
    throw new ConfigurationError('packed=on: the legacy interface has split rings only; choose another transport')
  const eventIndex = options.choice('event-index', ['on', 'off'], 'on')
  return { transport, packed, ...(eventIndex === 'off' ? { eventIndex: false } : {}) }
}

/** Reads `--rng`. @param what for messages. */
export function parseEntropy(text: string, what = '--rng'): EntropyConfiguration {
  const options = new DeviceOptions(what, text)
  const virtio = virtioOptions(options)
  options.end()
  return { kind: 'entropy', ...virtio }
}
