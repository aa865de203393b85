/** What a machine is made of: one validated configuration, and the reading of its parts from text. */

import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { type CpuModel, CpuModelError, DEFAULT_MODEL, parseCpuModel } from '../engine/cpu-model.ts'
import type { Json } from '../util/json.ts'
import { GUEST_RAM_LIMIT } from '../vmm/guest-memory.ts'
import { MAXIMUM_CPUS } from '../vmm/vm.ts'
import { ConfigurationError } from './configuration-error.ts'
import type { DeviceConfiguration } from './device-configuration.ts'
import { mmioWindows } from './virtio-mmio-windows.ts'

export { ConfigurationError }

/** A file that can't be read. */
export class FileError extends Error {}

const MEBIBYTE = 2 ** 20
export const DEFAULT_MEMORY = 256 * MEBIBYTE
const MINIMUM_MEMORY = 2 * MEBIBYTE
/** Fixed, so that every run is the same run. */
export const DEFAULT_START_DATE = new Date('2026-01-01T00:00:00Z')

export interface ImageFile {
  /** As the user named it. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface MachineOptions {
  readonly image: ImageFile
  readonly initrd?: ImageFile | undefined
  readonly cmdline?: string | undefined
  /** Boot protocol, when the image alone does not tell. */
  readonly protocol?: string | undefined
  /** Bytes of RAM; {@link DEFAULT_MEMORY} if absent. */
  readonly memory?: number | undefined
  readonly cpus?: number | undefined
  /** Model of the processor as `parseCpuModel` reads it; {@link DEFAULT_MODEL} if absent. */
  readonly cpu?: string | undefined
  /** What the real-time clock shows at power-on. */
  readonly startDate?: Date
  readonly acpi?: boolean
  readonly hpet?: boolean
  /** Paravirtual devices, in the order in which they are plugged in; none if absent. */
  readonly devices?: readonly DeviceConfiguration[] | undefined
  /** File that what passes the network is written to. */
  readonly capture?: string | undefined
}

export interface MachineConfiguration {
  readonly image: ImageFile
  readonly initrd: ImageFile | undefined
  readonly cmdline: string
  readonly protocol: string | undefined
  readonly memory: number
  readonly cpus: number
  readonly model: CpuModel
  readonly startDate: Date
  readonly acpi: boolean
  readonly hpet: boolean
  readonly devices: readonly DeviceConfiguration[]
  readonly capture: string | undefined
}

/** Fills in defaults and checks every value; throws {@link ConfigurationError}. */
export function configure(options: MachineOptions): MachineConfiguration {
  const configuration: MachineConfiguration = {
    image: options.image,
    initrd: options.initrd,
    cmdline: options.cmdline ?? '',
    protocol: options.protocol,
    memory: options.memory ?? DEFAULT_MEMORY,
    cpus: options.cpus ?? 1,
    model: readModel(options.cpu ?? DEFAULT_MODEL),
    startDate: options.startDate ?? DEFAULT_START_DATE,
    acpi: options.acpi ?? true,
    hpet: options.hpet ?? false,
    devices: options.devices ?? [],
    capture: options.capture,
  }
  checkNetwork(configuration)
  checkMemory(configuration.memory)
  checkCpus(configuration.cpus)
  mmioWindows(configuration.devices)
  if (Number.isNaN(configuration.startDate.getTime())) throw new ConfigurationError('the start date is not a date')
  return configuration
}

/** A size such as `256M`, `1G`, `65536K` or a plain number of bytes. */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+)([KMG]?)(?:iB|B)?$/i.exec(text.trim())
  if (match === null)
    throw new ConfigurationError(`${what} "${text}" is not a size: write it like 256M or 1G (units K, M and G)`)
  const unit = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2].toUpperCase()] ?? 1
  return Number(match[1]) * unit
}

/** A whole number from `minimum` to `maximum`. */
export function parseCount(text: string, what: string, minimum: number, maximum: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < minimum || value > maximum)
    throw new ConfigurationError(`${what} "${text}" is not a whole number from ${minimum} to ${maximum}`)
  return value
}

/** Reads an image or an initrd; throws {@link FileError}. */
export function readImage(path: string, what: string): ImageFile {
  try {
    // A device such as /dev/zero would go on for ever.
    const stats = statSync(path)
    if (stats.isCharacterDevice() || stats.isBlockDevice()) throw new Error('it is a device')
    return { name: path, bytes: new Uint8Array(readFileSync(path)) }
  } catch (error) {
    throw new FileError(`${what} "${path}" can't be read: ${reason(error)}`, { cause: error })
  }
}

/** What two machines must have in common for one to continue the other's snapshot. */
export function identityOf(configuration: MachineConfiguration): Json {
  return {
    image: digest(configuration.image),
    initrd: configuration.initrd === undefined ? null : digest(configuration.initrd),
    cmdline: configuration.cmdline,
    protocol: configuration.protocol ?? null,
    memory: configuration.memory,
    cpus: configuration.cpus,
    model: configuration.model.name,
    startDate: configuration.startDate.toISOString(),
    acpi: configuration.acpi,
    hpet: configuration.hpet,
    devices: configuration.devices.map(identityOfDevice),
  }
}

/** Where a guest may go, and what leads to it, can be another after a snapshot. */
function identityOfDevice(device: DeviceConfiguration): Json {
  if (device.kind !== 'net') return { ...device }
  const { user, tap, ...card } = device
  return { ...card, user: user !== undefined, tap: tap !== undefined }
}

function checkNetwork({ devices, capture }: MachineConfiguration): void {
  const networks = devices.filter(({ kind }) => kind === 'net').length
  if (networks > 1) throw new ConfigurationError(`${networks} networks: a machine has at most one`)
  if (capture !== undefined && networks === 0)
    throw new ConfigurationError(`a capture to "${capture}" needs a network: add --net user`)
}

function checkMemory(bytes: number): void {
  if (bytes > GUEST_RAM_LIMIT) throw tooMuchMemory(bytes)
  if (!(bytes >= MINIMUM_MEMORY) || bytes % 65536 !== 0)
    throw new ConfigurationError(
      `${bytes} bytes of memory: at least ${MINIMUM_MEMORY / MEBIBYTE} MiB, in multiples of 64 KiB, are needed`,
    )
}

export function tooMuchMemory(bytes: number): ConfigurationError {
  return new ConfigurationError(
    `${bytes / MEBIBYTE} MiB of memory is more than there is: ` +
      `all guests together can have at most ${GUEST_RAM_LIMIT / 2 ** 30} GiB`,
  )
}

function readModel(text: string): CpuModel {
  try {
    return parseCpuModel(text)
  } catch (error) {
    if (error instanceof CpuModelError) throw new ConfigurationError(error.message)
    throw error
  }
}

function checkCpus(cpus: number): void {
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAXIMUM_CPUS)
    throw new ConfigurationError(`${cpus} processors: a machine has 1 to ${MAXIMUM_CPUS}`)
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a directory'
  if (code === 'EACCES') return 'permission denied'
  return error.message
}

const digest = (file: ImageFile): string => createHash('sha256').update(file.bytes).digest('hex')
