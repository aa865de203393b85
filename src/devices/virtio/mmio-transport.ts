/** Virtio over MMIO, version 2 (Virtio 1.2, 4.2): one page of registers and one interrupt, wherever a bus is too much. */

import type { Json } from '../../util/json.ts'
import type { Device, DeviceBus, InterruptLine, MemoryWindow, MmioHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'
import { hasFeature, VIRTIO_F_NOTIFICATION_DATA } from './features.ts'
import * as m from './mmio-registers.ts'
import type { VirtioCore, VirtioTransport } from './virtio-core.ts'
import type { QueueArea, VirtQueue } from './virtqueue/virt-queue.ts'

/** Bytes of a device's window: a page, which an EPT can tell apart. */
export const MMIO_WINDOW = 0x1000

export interface VirtioMmioOptions {
  readonly core: VirtioCore
  /** Guest-physical address of the window. */
  readonly base: number
  readonly interrupt: InterruptLine
}

/** Low and high register of the address of each part of a queue. */
const ADDRESSES: Readonly<Record<number, readonly [QueueArea, 0 | 1]>> = {
  [m.MMIO_QUEUE_DESC_LOW]: ['descriptors', 0],
  [m.MMIO_QUEUE_DESC_HIGH]: ['descriptors', 1],
  [m.MMIO_QUEUE_DRIVER_LOW]: ['driver', 0],
  [m.MMIO_QUEUE_DRIVER_HIGH]: ['driver', 1],
  [m.MMIO_QUEUE_DEVICE_LOW]: ['device', 0],
  [m.MMIO_QUEUE_DEVICE_HIGH]: ['device', 1],
}

export class VirtioMmioTransport implements Device, MmioHandler, VirtioTransport {
  readonly name: string
  readonly core: VirtioCore
  readonly base: number
  readonly #line: InterruptLine
  #deviceFeaturesSelect = 0
  #driverFeaturesSelect = 0
  #queueSelect = 0
  #interruptStatus = 0

  constructor({ core, base, interrupt }: VirtioMmioOptions) {
    this.name = core.device.name
    this.core = core
    this.base = base
    this.#line = interrupt
    core.transport = this
  }

  get memoryWindow(): MemoryWindow {
    return { base: this.base, size: MMIO_WINDOW }
  }

  attach(bus: DeviceBus): void {
    bus.addMmio(this.base, MMIO_WINDOW, this)
  }

  queueInterrupt(): void {
    this.#raise(m.INTERRUPT_QUEUE)
  }

  configurationInterrupt(): void {
    this.#raise(m.INTERRUPT_CONFIGURATION)
  }

  driverReset(): void {
    this.#deviceFeaturesSelect = 0
    this.#driverFeaturesSelect = 0
    this.#queueSelect = 0
    this.#interruptStatus = 0
    this.#line.set(false)
  }

  /** Registers are 32 bits wide and accessed as such (4.2.2.2); the device's configuration as its fields are. */
  readMmio(offset: number, size: 1 | 2 | 4): number {
    if (offset >= m.MMIO_CONFIG) return this.core.readConfiguration(offset - m.MMIO_CONFIG, size)
    return size === 4 ? this.#read(offset) >>> 0 : 0
  }

  writeMmio(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset >= m.MMIO_CONFIG) this.core.writeConfiguration(offset - m.MMIO_CONFIG, size, value)
    else if (size === 4) this.#write(offset, value)
  }

  reset(): void {
    this.core.reset()
    this.driverReset()
  }

  save(): Json {
    return {
      core: this.core.save(),
      interruptStatus: this.#interruptStatus,
      select: [this.#deviceFeaturesSelect, this.#driverFeaturesSelect, this.#queueSelect],
    }
  }

  /** The interrupt line's state is its controller's to restore. */
  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.core.restore(saved.value('core'))
    this.#interruptStatus = saved.number('interruptStatus')
    const [deviceFeatures, driverFeatures, queue] = saved.numbers('select', 3)
    this.#deviceFeaturesSelect = deviceFeatures
    this.#driverFeaturesSelect = driverFeatures
    this.#queueSelect = queue
  }

  registers(): readonly RegisterView[] {
    return [
      {
        name: 'InterruptStatus',
        value: this.#interruptStatus,
        width: 32,
        meaning: 'bit 0: a queue, bit 1: the configuration',
      },
      { name: 'QueueSel', value: this.#queueSelect, width: 32 },
      ...this.core.registers(),
    ]
  }

  get #queue(): VirtQueue | undefined {
    return this.core.queues[this.#queueSelect]
  }

  #read(offset: number): number {
    const { core } = this
    switch (offset) {
      case m.MMIO_MAGIC_VALUE:
        return m.MAGIC
      case m.MMIO_VERSION:
        return m.VERSION
      case m.MMIO_DEVICE_ID:
        return core.device.type
      case m.MMIO_VENDOR_ID:
        return m.VENDOR
      case m.MMIO_DEVICE_FEATURES:
        return this.#deviceFeaturesSelect < 2
          ? Number((core.offered('modern') >> BigInt(32 * this.#deviceFeaturesSelect)) & 0xffff_ffffn)
          : 0
      case m.MMIO_QUEUE_NUM_MAX:
        return this.#queue?.maximumSize ?? 0
      case m.MMIO_QUEUE_READY:
        return this.#queue?.enabled ? 1 : 0
      case m.MMIO_INTERRUPT_STATUS:
        return this.#interruptStatus
      case m.MMIO_STATUS:
        return core.status
      // 4.2.2.1: a region of shared memory that is not there has all ones for its length.
      case m.MMIO_SHM_LEN_LOW:
      case m.MMIO_SHM_LEN_HIGH:
      case m.MMIO_SHM_BASE_LOW:
      case m.MMIO_SHM_BASE_HIGH:
        return 0xffff_ffff
      case m.MMIO_CONFIG_GENERATION:
        return core.configurationGeneration
      default:
        return 0
    }
  }

  #write(offset: number, value: number): void {
    const { core } = this
    const address = ADDRESSES[offset]
    if (address !== undefined) {
      this.#queue?.setAddressHalf(...address, value)
      return
    }
    switch (offset) {
      case m.MMIO_DEVICE_FEATURES_SEL:
        this.#deviceFeaturesSelect = value
        break
      case m.MMIO_DRIVER_FEATURES_SEL:
        this.#driverFeaturesSelect = value
        break
      case m.MMIO_DRIVER_FEATURES:
        core.accept(this.#driverFeaturesSelect, value)
        break
      case m.MMIO_QUEUE_SEL:
        this.#queueSelect = value
        break
      case m.MMIO_QUEUE_NUM:
        this.#queue?.setSize(value)
        break
      case m.MMIO_QUEUE_READY:
        if (value === 1) core.enableQueue(this.#queueSelect)
        else if (value === 0) this.#queue?.disable()
        break
      case m.MMIO_QUEUE_NOTIFY:
        // 2.9: with NOTIFICATION_DATA the upper half tells how far the driver has got, which the ring tells too.
        core.kick(hasFeature(core.features, VIRTIO_F_NOTIFICATION_DATA) ? value & 0xffff : value)
        break
      case m.MMIO_INTERRUPT_ACK:
        this.#acknowledge(value)
        break
      case m.MMIO_STATUS:
        core.writeStatus(value & 0xff)
        break
    }
  }

  #raise(cause: number): void {
    this.#interruptStatus |= cause
    this.#line.set(true)
  }

  /** Where the controller wants an edge, what is still pending must make one. */
  #acknowledge(causes: number): void {
    this.#interruptStatus &= ~causes
    this.#line.set(false)
    if (this.#interruptStatus !== 0) this.#line.set(true)
  }
}
