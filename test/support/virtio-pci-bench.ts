/** A virtio device behind PCI configuration space, for the driver double: its registers by those of virtio-mmio. */

import { SystemBus } from '../../src/devices/bus/system-bus.ts'
import { PciHost } from '../../src/devices/pci/pci-host.ts'
import * as pci from '../../src/devices/pci/registers.ts'
import * as m from '../../src/devices/virtio/mmio-registers.ts'
import { legacyAreas } from '../../src/devices/virtio/pci-legacy-interface.ts'
import * as p from '../../src/devices/virtio/pci-registers.ts'
import { type PciGeneration, VirtioPciTransport } from '../../src/devices/virtio/pci-transport.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import type { InterruptMessage } from '../../src/engine/processor.ts'
import { PciSlots } from '../../src/machine/pci-slots.ts'
import { type BenchOptions, DriverBench, type RingPlaces } from './virtio-driver.ts'

type Size = 1 | 2 | 4
type Place = readonly [offset: number, size: Size]

/** Virtio 1.2, 4.1.4.3: where the common configuration has what virtio-mmio has a register for. */
const COMMON: Readonly<Record<number, Place>> = {
  [m.MMIO_DRIVER_FEATURES_SEL]: [0x08, 4],
  [m.MMIO_DRIVER_FEATURES]: [0x0c, 4],
  [m.MMIO_STATUS]: [0x14, 1],
  [m.MMIO_QUEUE_SEL]: [0x16, 2],
  [m.MMIO_QUEUE_NUM]: [0x18, 2],
  [m.MMIO_QUEUE_NUM_MAX]: [0x18, 2],
  [m.MMIO_QUEUE_READY]: [0x1c, 2],
  [m.MMIO_QUEUE_DESC_LOW]: [0x20, 4],
  [m.MMIO_QUEUE_DESC_HIGH]: [0x24, 4],
  [m.MMIO_QUEUE_DRIVER_LOW]: [0x28, 4],
  [m.MMIO_QUEUE_DRIVER_HIGH]: [0x2c, 4],
  [m.MMIO_QUEUE_DEVICE_LOW]: [0x30, 4],
  [m.MMIO_QUEUE_DEVICE_HIGH]: [0x34, 4],
}

/** 4.1.4.10: the same of the legacy interface. */
const LEGACY: Readonly<Record<number, Place>> = {
  [m.MMIO_STATUS]: [p.LEGACY_STATUS, 1],
  [m.MMIO_QUEUE_SEL]: [p.LEGACY_QUEUE_SELECT, 2],
  [m.MMIO_QUEUE_NUM_MAX]: [p.LEGACY_QUEUE_SIZE, 2],
  [m.MMIO_QUEUE_NOTIFY]: [p.LEGACY_QUEUE_NOTIFY, 2],
  [m.MMIO_INTERRUPT_STATUS]: [p.LEGACY_ISR, 1],
}

export interface PciBenchOptions extends BenchOptions {
  readonly generation: PciGeneration
}

export class VirtioPciBench extends DriverBench {
  override readonly legacy: boolean
  readonly bus = new SystemBus()
  readonly transport: VirtioPciTransport
  readonly messages: InterruptMessage[] = []
  readonly #slot: number
  readonly #bars: readonly number[]
  #featureHalf = 0
  #ring = 0

  /** A transitional device is driven by its modern interface. */
  constructor(device: VirtioDevice, { generation, ...options }: PciBenchOptions) {
    super(device, options)
    this.legacy = generation === 'legacy'
    // Nobody takes messages here: as many as a test looks at are kept.
    const send = (message: InterruptMessage) => {
      if (this.messages.length < 1000) this.messages.push(message)
    }
    this.transport = new VirtioPciTransport({ core: this.core, generation, send })
    const resetControl = { readPort: () => 0, writePort: () => undefined }
    // Nothing else is plugged in: whichever request the pin is routed to, it is this function's.
    const host = new PciHost({ bus: this.bus, interrupt: () => this.interrupt, resetControl })
    host.attach()
    this.#slot = new PciSlots(host).plug(this.transport)
    this.#bars = Array.from({ length: pci.PCI_BARS }, (_, i) => this.config(pci.PCI_BAR0 + 4 * i, 4))
  }

  read(register: number): number {
    if (this.legacy) {
      const place = LEGACY[register]
      return place === undefined ? 0 : this.port(...place)
    }
    if (register === m.MMIO_INTERRUPT_STATUS) return this.memoryRead(p.ISR_AT, 1)
    const place = COMMON[register]
    return place === undefined ? 0 : this.memoryRead(p.COMMON_AT + place[0], place[1])
  }

  write(register: number, value: number): void {
    if (this.legacy) this.#writeLegacy(register, value)
    else if (register === m.MMIO_QUEUE_NOTIFY) this.memoryWrite(notifyAddress(value), 2, value)
    else {
      const place = COMMON[register]
      if (place !== undefined) this.memoryWrite(p.COMMON_AT + place[0], place[1], value)
    }
  }

  override allocateRing(size: number, driverBytes: number, deviceBytes: number): RingPlaces {
    if (!this.legacy) return super.allocateRing(size, driverBytes, deviceBytes)
    const { device } = legacyAreas(0, size)
    const page = this.memory.allocate(device + deviceBytes, p.LEGACY_PAGE) / p.LEGACY_PAGE
    return legacyAreas(page, size)
  }

  /** As firmware left it: windows where they were, and decoded. */
  restoreWindows(): void {
    for (const [i, value] of this.#bars.entries()) this.setConfig(pci.PCI_BAR0 + 4 * i, 4, value)
    const command = pci.PCI_COMMAND_IO | pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_MASTER
    this.setConfig(pci.PCI_COMMAND, 2, command)
  }

  config(offset: number, size: Size): number {
    this.#select(offset)
    return this.bus.readPort(0xcfc + (offset & 3), size)
  }

  /** @param offset with `size`, does not cross a multiple of 4. */
  setConfig(offset: number, size: Size, value: number): void {
    this.#select(offset)
    this.bus.writePort(0xcfc + (offset & 3), size, unsigned(value, size))
  }

  /** A register of the window of modern structures. */
  memoryRead(offset: number, size: Size): number {
    return Number(this.bus.readMmio(this.#window(p.MODERN_BAR) + offset, size))
  }

  memoryWrite(offset: number, size: Size, value: number): void {
    this.bus.writeMmio(this.#window(p.MODERN_BAR) + offset, size, BigInt(unsigned(value, size)))
  }

  /** A byte or more of the window with the MSI-X table. */
  messageRead(offset: number, size: Size): number {
    return Number(this.bus.readMmio(this.#window(p.MSIX_BAR) + offset, size))
  }

  messageWrite(offset: number, size: Size, value: number): void {
    this.bus.writeMmio(this.#window(p.MSIX_BAR) + offset, size, BigInt(unsigned(value, size)))
  }

  /** A register of the legacy interface. */
  port(offset: number, size: Size): number {
    return this.bus.readPort(this.#window(p.LEGACY_BAR) + offset, size)
  }

  setPort(offset: number, size: Size, value: number): void {
    this.bus.writePort(this.#window(p.LEGACY_BAR) + offset, size, unsigned(value, size))
  }

  #window(bar: number): number {
    return (this.#bars[bar] & (bar === p.LEGACY_BAR ? ~0x3 : ~0xf)) >>> 0
  }

  #select(offset: number): void {
    this.bus.writePort(0xcf8, 4, 0x8000_0000 + (this.#slot << 11) + (offset & 0xfc))
  }

  /** Features have one half there, a ring one page number, and a queue is ready when it has that. */
  #writeLegacy(register: number, value: number): void {
    if (register === m.MMIO_DRIVER_FEATURES_SEL) this.#featureHalf = value
    else if (register === m.MMIO_DRIVER_FEATURES) {
      if (this.#featureHalf === 0) this.setPort(p.LEGACY_DRIVER_FEATURES, 4, value)
    } else if (register === m.MMIO_QUEUE_DESC_LOW) this.#ring = value
    else if (register === m.MMIO_QUEUE_READY) this.setPort(p.LEGACY_QUEUE_ADDRESS, 4, this.#ring / p.LEGACY_PAGE)
    else {
      const place = LEGACY[register]
      if (place !== undefined) this.setPort(...place, value)
    }
  }
}

/** 4.1.4.4: each queue's own address; what lies outside the structure is a queue that isn't there. */
function notifyAddress(queue: number): number {
  return p.NOTIFY_AT + ((queue * p.NOTIFY_MULTIPLIER) % p.STRUCTURE_SIZE)
}

const unsigned = (value: number, size: Size): number => (size === 4 ? value >>> 0 : value & (2 ** (8 * size) - 1))
