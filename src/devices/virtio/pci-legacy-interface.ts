/** The legacy interface: virtio before 1.0, by ports, with rings where one page number says (Virtio 1.2, 4.1.4.10). */

import { readByBytes } from '../bus/byte-ports.ts'
import type { PortHandler } from '../device.ts'
import type { VectorTable } from './pci-common-configuration.ts'
import * as p from './pci-registers.ts'
import type { VirtioCore } from './virtio-core.ts'
import type { VirtQueue } from './virtqueue/virt-queue.ts'

const DESCRIPTOR_SIZE = 16
const AVAILABLE_HEADER = 4
const AVAILABLE_ENTRY = 2
const USED_EVENT = 2

export interface LegacyOptions {
  readonly core: VirtioCore
  readonly vectors: VectorTable
  readonly msixEnabled: () => boolean
  /** Reads the ISR, which clears it. */
  readonly takeIsr: () => number
  /** First port of the window at present. */
  readonly base: () => number
}

/** 2.7.2: the used ring begins at the next page behind the available ring. */
export function legacyAreas(page: number, size: number): { descriptors: number; driver: number; device: number } {
  const descriptors = page * p.LEGACY_PAGE
  const driver = descriptors + DESCRIPTOR_SIZE * size
  const end = driver + AVAILABLE_HEADER + AVAILABLE_ENTRY * size + USED_EVENT
  return { descriptors, driver, device: Math.ceil(end / p.LEGACY_PAGE) * p.LEGACY_PAGE }
}

export class PciLegacyInterface implements PortHandler {
  readonly #options: LegacyOptions
  queueSelect = 0

  constructor(options: LegacyOptions) {
    this.#options = options
  }

  /** Bytes of the window for a device with so much configuration space: a power of two. */
  static windowSize(configurationSize: number): number {
    return 2 ** Math.ceil(Math.log2(p.LEGACY_DEVICE_AT_MSIX + Math.max(configurationSize, 1)))
  }

  readPort(port: number, size: 1 | 2 | 4): number {
    const offset = port - this.#options.base()
    const at = this.#deviceAt()
    if (offset >= at) return this.#options.core.readConfiguration(offset - at, size)
    const register = this.#read(offset, size)
    if (register !== undefined) return register >>> 0
    // Not one register as a whole: byte by byte, without the side effect that the ISR has.
    return readByBytes(offset, size, byte => this.#byteAt(byte))
  }

  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    const offset = port - this.#options.base()
    const at = this.#deviceAt()
    if (offset >= at) this.#options.core.writeConfiguration(offset - at, size, value)
    else this.#write(offset, size, value)
  }

  #deviceAt(): number {
    return this.#options.msixEnabled() ? p.LEGACY_DEVICE_AT_MSIX : p.LEGACY_DEVICE_AT
  }

  get #queue(): VirtQueue | undefined {
    return this.#options.core.queues[this.queueSelect]
  }

  #byteAt(offset: number): number {
    for (const size of [4, 2, 1] as const) {
      const start = offset - (offset % size)
      const register = start === p.LEGACY_ISR ? 0 : this.#read(start, size)
      if (register !== undefined) return (register >>> (8 * (offset - start))) & 0xff
    }
    return 0
  }

  /** @returns undefined where no register of this size is. */
  #read(offset: number, size: number): number | undefined {
    const { core, vectors, takeIsr, msixEnabled } = this.#options
    switch (size === widthOf(offset) ? offset : -1) {
      case p.LEGACY_DEVICE_FEATURES:
        return Number(core.offered('legacy') & 0xffff_ffffn)
      case p.LEGACY_DRIVER_FEATURES:
        return Number(core.accepted & 0xffff_ffffn)
      case p.LEGACY_QUEUE_ADDRESS:
        return this.#queue?.enabled ? Math.floor(this.#queue.address('descriptors') / p.LEGACY_PAGE) : 0
      case p.LEGACY_QUEUE_SIZE:
        return this.#queue?.maximumSize ?? 0
      case p.LEGACY_QUEUE_SELECT:
        return this.queueSelect
      case p.LEGACY_QUEUE_NOTIFY:
        return 0
      case p.LEGACY_STATUS:
        return core.status
      case p.LEGACY_ISR:
        return takeIsr()
      case p.LEGACY_CONFIGURATION_VECTOR:
        return msixEnabled() ? vectors.configuration : undefined
      case p.LEGACY_QUEUE_VECTOR:
        return msixEnabled() ? (vectors.queues[this.queueSelect] ?? p.NO_VECTOR) : undefined
      default:
        return undefined
    }
  }

  #write(offset: number, size: number, value: number): void {
    const { core, vectors } = this.#options
    switch (size === widthOf(offset) ? offset : -1) {
      case p.LEGACY_DRIVER_FEATURES:
        core.accept(0, value, 'legacy')
        break
      case p.LEGACY_QUEUE_ADDRESS:
        this.#placeQueue(value)
        break
      case p.LEGACY_QUEUE_SELECT:
        this.queueSelect = value
        break
      case p.LEGACY_QUEUE_NOTIFY:
        core.kick(value)
        break
      case p.LEGACY_STATUS:
        core.writeStatus(value, 'legacy')
        break
      case p.LEGACY_CONFIGURATION_VECTOR:
        vectors.configuration = vectors.usable(value)
        break
      case p.LEGACY_QUEUE_VECTOR:
        if (this.queueSelect < vectors.queues.length) vectors.queues[this.queueSelect] = vectors.usable(value)
        break
    }
  }

  /** Where a queue lies, by page; 0 takes it away. Its size is the device's to say (4.1.5.1.4.1). */
  #placeQueue(page: number): void {
    const queue = this.#queue
    if (queue === undefined) return
    if (page === 0) {
      queue.reset()
      return
    }
    const areas = legacyAreas(page, queue.maximumSize)
    queue.setSize(queue.maximumSize)
    for (const area of ['descriptors', 'driver', 'device'] as const) {
      queue.setAddressHalf(area, 0, areas[area] % 2 ** 32)
      queue.setAddressHalf(area, 1, Math.floor(areas[area] / 2 ** 32))
    }
    this.#options.core.enableQueue(this.queueSelect, 'legacy')
  }
}

function widthOf(offset: number): number {
  if (offset < p.LEGACY_QUEUE_SIZE) return 4
  return offset === p.LEGACY_STATUS || offset === p.LEGACY_ISR ? 1 : 2
}
