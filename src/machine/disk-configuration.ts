/** Disks of a machine, as its configuration has them. */

import { MAXIMUM_QUEUES } from '../devices/virtio/block/device.ts'
import { ConfigurationError } from './configuration-error.ts'
import { DeviceOptions, type VirtioOptions, virtioOptions } from './device-configuration.ts'

export const DISK_INTERFACES = ['virtio', 'ide'] as const
/** In whose thread requests are served: the machine's own, so that every run is the same, or one for each disk. */
export const DISK_BACKENDS = ['thread', 'worker'] as const

export interface DiskConfiguration extends VirtioOptions {
  readonly kind: 'disk'
  readonly path: string
  readonly readOnly: boolean
  readonly interface: (typeof DISK_INTERFACES)[number]
  readonly backend: (typeof DISK_BACKENDS)[number]
  /** Request queues of a virtio disk. */
  readonly queues: number
}

/**
 * Reads `--disk FILE[,readonly][,interface=...][,backend=...][,queues=N]`; a comma of the path is written twice.
 * @param what for messages.
 */
export function parseDisk(text: string, what = '--disk'): DiskConfiguration {
  const [, escaped = '', rest = ''] = /^((?:[^,]|,,)*)(?:,(.*))?$/s.exec(text) ?? []
  const path = escaped.replaceAll(',,', ',')
  if (path === '')
    throw new ConfigurationError(`${what}: which file? Its path comes first, then options like ,readonly`)
  const disk = `${what} ${path}`
  const options = new DeviceOptions(disk, rest)
  const configuration = {
    kind: 'disk',
    path,
    readOnly: options.flag('readonly'),
    interface: options.choice('interface', DISK_INTERFACES, 'virtio'),
    backend: options.choice('backend', DISK_BACKENDS, 'thread'),
    queues: readQueues(disk, options.text('queues')),
    ...virtioOptions(options),
  } as const
  options.end()
  return checked(disk, configuration)
}

function readQueues(what: string, text: string | undefined): number {
  if (text === undefined) return 1
  const queues = Number(text)
  if (!/^\d+$/.test(text) || queues < 1 || queues > MAXIMUM_QUEUES)
    throw new ConfigurationError(`${what}: queues=${text} is not a number from 1 to ${MAXIMUM_QUEUES}`)
  return queues
}

function checked(what: string, disk: DiskConfiguration): DiskConfiguration {
  if (disk.interface === 'virtio') return disk
  if (disk.backend === 'worker')
    throw new ConfigurationError(`${what}: an IDE disk is served in the machine's own thread only`)
  if (disk.packed || disk.queues > 1 || disk.transport !== 'pci')
    throw new ConfigurationError(`${what}: queues, transport and packed are of virtio disks only`)
  return disk
}
