/** The disks of a machine: their files are opened before anything else is made, and closed with it. */

import { type Disk, DiskError } from '../backends/disk/disk.ts'
import { type DiskBackend, InThreadBackend } from '../backends/disk/disk-backend.ts'
import { RawDisk } from '../backends/disk/raw-disk.ts'
import { WorkerBackend } from '../backends/disk/worker/worker-backend.ts'
import type { DeviceBus, InterruptLine } from '../devices/device.ts'
import { IDE_DRIVES, IDE_PLACE, Piix3Ide } from '../devices/ide/piix3-ide.ts'
import type { BlockDevice } from '../devices/virtio/block/device.ts'
import type { DmaMemory } from '../devices/virtio/virtqueue/queue-memory.ts'
import type { VirtualClock } from '../util/virtual-clock.ts'
import { FileError } from './configuration.ts'
import { ConfigurationError } from './configuration-error.ts'
import { DeliveryJournal } from './delivery-journal.ts'
import type { DeviceConfiguration } from './device-configuration.ts'
import type { DiskConfiguration } from './disk-configuration.ts'
import type { PciSlots } from './pci-slots.ts'

/** Different messages that people are shown: a guest can make a host fail as often as it likes. */
const MOST_WARNINGS = 20

export class Disks {
  /** In the order of the configuration. */
  readonly ide: readonly Disk[]
  /** Tells people of a request that failed on the host; of the same one once. */
  readonly warn: (message: string) => void
  /** Those that workers serve: their answers are delivered between slices. */
  readonly workers: readonly WorkerBackend[]
  readonly journal = new DeliveryJournal()
  readonly #backends = new Map<DiskConfiguration, DiskBackend>()

  /** Throws {@link FileError} for a file that is no disk, {@link ConfigurationError} for more than there is room for. */
  constructor(configurations: readonly DeviceConfiguration[], show: (message: string) => void = () => {}) {
    this.warn = fewWarnings(show)
    const ide: Disk[] = []
    const workers: WorkerBackend[] = []
    this.ide = ide
    this.workers = workers
    try {
      for (const configuration of configurations) {
        if (configuration.kind !== 'disk') continue
        const { path, readOnly, backend } = configuration
        if (configuration.interface === 'ide') ide.push(opened(() => new RawDisk(path, { readOnly })))
        else if (backend === 'thread')
          this.#backends.set(configuration, new InThreadBackend(opened(() => new RawDisk(path, { readOnly }))))
        else {
          const worker = opened(() => new WorkerBackend(path, { readOnly }))
          workers.push(worker)
          this.#backends.set(configuration, worker)
        }
      }
      if (ide.length > IDE_DRIVES)
        throw new ConfigurationError(`${ide.length} disks with interface=ide: there is room for ${IDE_DRIVES}`)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** What serves a virtio disk of the configuration. */
  backendOf(configuration: DiskConfiguration): DiskBackend {
    const backend = this.#backends.get(configuration)
    if (backend === undefined) throw new Error(`disk "${configuration.path}" was not opened`)
    return backend
  }

  /** Tells a device of the answers of its worker, if it has one. */
  connect(configuration: DiskConfiguration, device: BlockDevice, clock: VirtualClock): void {
    const backend = this.backendOf(configuration)
    if (!(backend instanceof WorkerBackend)) return
    backend.onDelivered = (answers, failed) => {
      this.journal.record({ count: clock.count, skipped: clock.skipped, device: device.name, answers, failed })
      device.answersCame()
    }
  }

  /** Waits until nothing is under way. Throws `DiskError` when the host takes too long. */
  drain(): void {
    for (const worker of this.workers) worker.drain()
  }

  close(): void {
    for (const backend of this.#backends.values()) backend.close()
    for (const disk of this.ide) disk.close()
  }
}

function opened<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    if (error instanceof DiskError) throw new FileError(error.message, { cause: error })
    throw error
  }
}

function fewWarnings(show: (message: string) => void): (message: string) => void {
  const shown = new Set<string>()
  return message => {
    if (shown.has(message) || shown.size > MOST_WARNINGS) return
    shown.add(message)
    show(shown.size > MOST_WARNINGS ? 'further failures of disks are not shown' : message)
  }
}

/** Plugs the IDE function in, if there is a disk for it. */
export function plugIde(
  { ide, warn }: Disks,
  machine: {
    readonly memory: DmaMemory
    readonly clock: VirtualClock
    readonly slots: PciSlots
    readonly interrupt: (irq: number) => InterruptLine
    readonly bus: DeviceBus
  },
): void {
  if (ide.length === 0) return
  const { memory, clock, interrupt } = machine
  const controller = new Piix3Ide({ memory, clock, interrupt, disks: ide, onFailure: warn })
  machine.slots.plug(controller, IDE_PLACE)
  controller.attach(machine.bus)
}
