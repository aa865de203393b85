/** The common configuration structure of virtio over PCI (Virtio 1.2, 4.1.4.3). */

import type { VirtioCore } from './virtio-core.ts'
import type { QueueArea, VirtQueue } from './virtqueue/virt-queue.ts'

interface Field {
  readonly offset: number
  readonly size: 1 | 2 | 4
  read(): number
  /** Absent where the field is read-only. */
  write?(value: number): void
}

/** What a queue, or the configuration, has for an interrupt. */
export interface VectorTable {
  configuration: number
  readonly queues: Uint16Array
  /** The vector, or NO_VECTOR if there is no such one (4.1.5.1.2.1). */
  usable(vector: number): number
}

export class PciCommonConfiguration {
  readonly #core: VirtioCore
  readonly #vectors: VectorTable
  readonly #fields: readonly Field[]
  deviceFeatureSelect = 0
  driverFeatureSelect = 0
  queueSelect = 0

  constructor(core: VirtioCore, vectors: VectorTable) {
    this.#core = core
    this.#vectors = vectors
    this.#fields = this.#layout()
  }

  reset(): void {
    this.deviceFeatureSelect = 0
    this.driverFeatureSelect = 0
    this.queueSelect = 0
  }

  /** Any size at any offset; without side effect. */
  read(offset: number, size: number): number {
    const exact = this.#fields.find(field => field.offset === offset && field.size === size)
    if (exact !== undefined) return exact.read() >>> 0
    let value = 0
    for (let i = 0; i < size; i++) value |= this.#byteAt(offset + i) << (8 * i)
    return value >>> 0
  }

  /** A driver accesses each field as a whole (4.1.3.1); other writes change nothing. */
  write(offset: number, size: number, value: number): void {
    this.#fields.find(field => field.offset === offset && field.size === size)?.write?.(value)
  }

  #byteAt(offset: number): number {
    const field = this.#fields.find(({ offset: at, size }) => offset >= at && offset < at + size)
    return field === undefined ? 0 : (field.read() >>> (8 * (offset - field.offset))) & 0xff
  }

  get #queue(): VirtQueue | undefined {
    return this.#core.queues[this.queueSelect]
  }

  #layout(): Field[] {
    const core = this.#core
    const word = (features: bigint, select: number) =>
      select < 2 ? Number((features >> BigInt(32 * select)) & 0xffff_ffffn) : 0
    return [
      this.#selector(0x00, 4, 'deviceFeatureSelect'),
      { offset: 0x04, size: 4, read: () => word(core.offered('modern'), this.deviceFeatureSelect) },
      this.#selector(0x08, 4, 'driverFeatureSelect'),
      {
        offset: 0x0c,
        size: 4,
        read: () => word(core.accepted, this.driverFeatureSelect),
        write: value => core.accept(this.driverFeatureSelect, value),
      },
      {
        offset: 0x10,
        size: 2,
        read: () => this.#vectors.configuration,
        write: value => {
          this.#vectors.configuration = this.#vectors.usable(value)
        },
      },
      { offset: 0x12, size: 2, read: () => core.queues.length },
      { offset: 0x14, size: 1, read: () => core.status, write: value => core.writeStatus(value) },
      { offset: 0x15, size: 1, read: () => core.configurationGeneration },
      this.#selector(0x16, 2, 'queueSelect'),
      ...this.#queueFields(),
    ]
  }

  #selector(offset: number, size: 2 | 4, name: 'deviceFeatureSelect' | 'driverFeatureSelect' | 'queueSelect'): Field {
    return {
      offset,
      size,
      read: () => this[name],
      write: value => {
        this[name] = value
      },
    }
  }

  /** A queue that is not there has a size of 0 (4.1.4.3.1). */
  #queueFields(): Field[] {
    const { queues } = this.#vectors
    return [
      {
        offset: 0x18,
        size: 2,
        read: () => this.#queue?.size ?? 0,
        write: value => this.#queue?.setSize(value),
      },
      {
        offset: 0x1a,
        size: 2,
        read: () => queues[this.queueSelect] ?? 0xffff,
        write: value => {
          if (this.queueSelect < queues.length) queues[this.queueSelect] = this.#vectors.usable(value)
        },
      },
      {
        offset: 0x1c,
        size: 2,
        read: () => (this.#queue?.enabled ? 1 : 0),
        write: value => {
          // 4.1.4.3.2: a driver must not write 0.
          if (value === 1) this.#core.enableQueue(this.queueSelect)
        },
      },
      { offset: 0x1e, size: 2, read: () => (this.#queue === undefined ? 0 : this.queueSelect) },
      ...this.#addressFields(0x20, 'descriptors'),
      ...this.#addressFields(0x28, 'driver'),
      ...this.#addressFields(0x30, 'device'),
    ]
  }

  #addressFields(offset: number, area: QueueArea): Field[] {
    return ([0, 1] as const).map(half => ({
      offset: offset + 4 * half,
      size: 4 as const,
      read: () => this.#queue?.addressHalf(area, half) ?? 0,
      write: value => this.#queue?.setAddressHalf(area, half, value),
    }))
  }
}
