/**
 * Virtio over PCI (Virtio 1.2, 4.1): a function with the modern structures behind one window of memory, the legacy
 * registers behind ports, or both, and MSI-X or the interrupt pin.
 */

import type { InterruptMessage } from '../../engine/processor.ts'
import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { MmioHandler, RegisterView } from '../device.ts'
import { MSIX_CAPABILITY, MSIX_MOST_VECTORS, MSIX_WINDOW, Msix, type MsixEntry } from '../pci/msix.ts'
import { type MessageUse, PciFunction, type PciIdentity } from '../pci/pci-function.ts'
import { SavedState } from '../saved-state.ts'
import { PciCommonConfiguration, type VectorTable } from './pci-common-configuration.ts'
import { PciLegacyInterface } from './pci-legacy-interface.ts'
import * as p from './pci-registers.ts'
import type { VirtioCore, VirtioTransport } from './virtio-core.ts'
import type { VirtioDevice } from './virtio-device.ts'

/** Which drivers it serves: those of virtio 1.0 and later, those of before, or both. */
export type PciGeneration = 'modern' | 'transitional' | 'legacy'

export interface VirtioPciOptions {
  readonly core: VirtioCore
  readonly generation: PciGeneration
  /** Takes a message-signalled interrupt to the local APICs. */
  readonly send: (message: InterruptMessage) => void
}

/** Body of a capability (4.1.4), behind id and link. */
const CAP_BODY = 2

export class VirtioPciTransport extends PciFunction implements VirtioTransport {
  readonly core: VirtioCore
  readonly generation: PciGeneration
  readonly #msix: Msix
  readonly #msixControl: number
  readonly #vectors: VectorTable
  readonly #common: PciCommonConfiguration
  readonly #legacy: PciLegacyInterface
  /** Where the capability for access through configuration space is; undefined without the modern interface. */
  readonly #access: number | undefined
  #isr = 0

  constructor({ core, generation, send }: VirtioPciOptions) {
    super(core.device.name, identityOf(core.device, generation))
    this.core = core
    this.generation = generation
    const vectors = Math.min(core.queues.length + 1, MSIX_MOST_VECTORS)
    this.#msix = new Msix(vectors, send)
    this.#vectors = {
      configuration: p.NO_VECTOR,
      queues: new Uint16Array(core.queues.length).fill(p.NO_VECTOR),
      usable: vector => (vector < vectors ? vector : p.NO_VECTOR),
    }
    this.#common = new PciCommonConfiguration(core, this.#vectors)
    this.#legacy = new PciLegacyInterface({
      core,
      vectors: this.#vectors,
      msixEnabled: () => this.#msix.enabled,
      takeIsr: () => this.#takeIsr(),
      base: () => this.barBase(p.LEGACY_BAR),
    })
    if (generation !== 'modern') {
      const size = PciLegacyInterface.windowSize(core.device.configurationSize)
      this.addBar(p.LEGACY_BAR, { kind: 'io', size, handler: this.#legacy })
    }
    this.addBar(p.MSIX_BAR, { kind: 'memory', size: MSIX_WINDOW, handler: this.#msix })
    const { body, writable } = this.#msix.capability(p.MSIX_BAR)
    this.#msixControl = this.addCapability(MSIX_CAPABILITY, body, writable) + CAP_BODY
    this.#access = generation === 'legacy' ? undefined : this.#addModernInterface()
    core.transport = this
  }

  queueInterrupt(queue: number): void {
    this.#interrupt(p.ISR_QUEUE, this.#vectors.queues[queue])
  }

  configurationInterrupt(): void {
    this.#interrupt(p.ISR_CONFIGURATION, this.#vectors.configuration)
  }

  /** 4.1.4.5.1, 4.1.5.1.2.1: no interrupt is pending, no vector assigned. */
  driverReset(): void {
    this.#vectors.configuration = p.NO_VECTOR
    this.#vectors.queues.fill(p.NO_VECTOR)
    this.#common.reset()
    this.#legacy.queueSelect = 0
    this.#isr = 0
    this.setInterrupt(false)
  }

  override guestReadConfig(offset: number, size: AccessSize): number {
    const at = this.#access === undefined ? -1 : offset - this.#access - p.CAP_PCI_DATA
    return at >= 0 && at < 4 ? this.#readByAccess(size) : super.guestReadConfig(offset, size)
  }

  protected override configWritten(offset: number, size: AccessSize, value: number): void {
    if (offset <= this.#msixControl + 1 && offset + size > this.#msixControl)
      this.#msix.setControl(this.readConfig(this.#msixControl, 2))
    const at = this.#access === undefined ? -1 : offset - this.#access - p.CAP_PCI_DATA
    if (at >= 0 && at < 4) this.#writeByAccess(size, value)
  }

  override reset(): void {
    super.reset()
    this.core.reset()
    this.#msix.reset()
    this.driverReset()
  }

  override save(): Json {
    return {
      function: super.save(),
      core: this.core.save(),
      msix: this.#msix.save(),
      isr: this.#isr,
      vectors: [this.#vectors.configuration, ...this.#vectors.queues],
      select: [
        this.#common.deviceFeatureSelect,
        this.#common.driverFeatureSelect,
        this.#common.queueSelect,
        this.#legacy.queueSelect,
      ],
    }
  }

  override restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    super.restore(saved.value('function'))
    this.core.restore(saved.value('core'))
    this.#msix.restore(saved.part('msix'), this.readConfig(this.#msixControl, 2))
    this.#isr = saved.number('isr')
    const [configuration, ...queues] = saved.numbers('vectors', 1 + this.#vectors.queues.length)
    this.#vectors.configuration = configuration
    this.#vectors.queues.set(queues)
    const [deviceFeatures, driverFeatures, queue, legacyQueue] = saved.numbers('select', 4)
    this.#common.deviceFeatureSelect = deviceFeatures
    this.#common.driverFeatureSelect = driverFeatures
    this.#common.queueSelect = queue
    this.#legacy.queueSelect = legacyQueue
  }

  override get messages(): readonly MsixEntry[] {
    return this.#msix.entries
  }

  override get messageUses(): readonly MessageUse[] {
    const { configuration, queues } = this.#vectors
    const uses = Array.from(queues, (entry, index) => ({ entry, cause: this.core.queues[index].name }))
    return [{ entry: configuration, cause: 'configuration' }, ...uses].filter(({ entry }) => entry !== p.NO_VECTOR)
  }

  override registers(): readonly RegisterView[] {
    const queues = Array.from(this.#vectors.queues, (vector, index) => `${this.core.queues[index].name} ${vector}`)
    return [
      ...super.registers(),
      { name: 'ISR', value: this.#isr, width: 8, meaning: 'bit 0: a queue, bit 1: the configuration' },
      { name: 'config vector', value: this.#vectors.configuration, width: 16, meaning: `queues: ${queues.join(', ')}` },
      ...this.#msix.registers(),
      ...this.core.registers(),
    ]
  }

  /** 4.1.5.3, 4.1.5.4: by a message if MSI-X is enabled, else by the pin. */
  #interrupt(cause: number, vector: number): void {
    if (this.#msix.enabled) {
      this.#msix.signal(vector)
      return
    }
    this.#isr |= cause
    this.setInterrupt(true)
  }

  #takeIsr(): number {
    const isr = this.#isr
    this.#isr = 0
    this.setInterrupt(false)
    return isr
  }

  #addModernInterface(): number {
    const window: MmioHandler = {
      readMmio: (offset, size) => this.#readStructure(offset, size),
      writeMmio: (offset, size, value) => this.#writeStructure(offset, size, value),
    }
    this.addBar(p.MODERN_BAR, { kind: 'memory64', size: p.MODERN_WINDOW, handler: window, prefetchable: true })
    const { configurationSize } = this.core.device
    this.#addStructure(p.CFG_TYPE_COMMON, p.COMMON_AT, p.COMMON_SIZE)
    this.#addStructure(p.CFG_TYPE_ISR, p.ISR_AT, 1)
    if (configurationSize > 0) this.#addStructure(p.CFG_TYPE_DEVICE, p.DEVICE_AT, configurationSize)
    const notify = p.NOTIFY_MULTIPLIER * Math.max(this.core.queues.length, 1)
    this.#addStructure(p.CFG_TYPE_NOTIFY, p.NOTIFY_AT, notify, p.NOTIFY_MULTIPLIER)
    const access = capabilityBody(p.CFG_TYPE_PCI, 0, 0, 0, 0)
    // Which bytes of which BAR it reaches, and the window itself, are the driver's to write.
    const writable = new Uint8Array(access.length)
    writable[p.CAP_BAR - CAP_BODY] = 0xff
    writable.fill(0xff, p.CAP_OFFSET - CAP_BODY)
    return this.addCapability(p.VENDOR_CAPABILITY, access, writable)
  }

  #addStructure(type: number, offset: number, length: number, multiplier?: number): void {
    this.addCapability(p.VENDOR_CAPABILITY, capabilityBody(type, p.MODERN_BAR, offset, length, multiplier))
  }

  #readStructure(offset: number, size: AccessSize): number {
    const within = offset % p.STRUCTURE_SIZE
    switch (offset - within) {
      case p.COMMON_AT:
        return this.#common.read(within, size)
      case p.ISR_AT:
        return within === 0 ? this.#takeIsr() : 0
      case p.DEVICE_AT:
        return this.core.readConfiguration(within, size)
      default:
        return 0
    }
  }

  #writeStructure(offset: number, size: AccessSize, value: number): void {
    const within = offset % p.STRUCTURE_SIZE
    switch (offset - within) {
      case p.COMMON_AT:
        this.#common.write(within, size, value)
        break
      case p.DEVICE_AT:
        this.core.writeConfiguration(within, size, value)
        break
      case p.NOTIFY_AT:
        // The queue's own address says which it is; what is written says it again (4.1.5.2).
        if (within % p.NOTIFY_MULTIPLIER === 0) this.core.kick(within / p.NOTIFY_MULTIPLIER)
        break
    }
  }

  /** 4.1.4.9: reaches the structures without a window of memory. Nothing but the modern BAR is reached so. */
  #readByAccess(size: AccessSize): number {
    const target = this.#accessTarget(size)
    return target === undefined ? 0 : this.#readStructure(target, size)
  }

  #writeByAccess(size: AccessSize, value: number): void {
    const target = this.#accessTarget(size)
    if (target !== undefined) this.#writeStructure(target, size, value)
  }

  #accessTarget(size: AccessSize): number | undefined {
    if (this.#access === undefined || this.readConfig(this.#access + p.CAP_BAR, 1) !== p.MODERN_BAR) return undefined
    const offset = this.readConfig(this.#access + p.CAP_OFFSET, 4)
    const length = this.readConfig(this.#access + p.CAP_LENGTH, 4)
    // 4.1.4.9.1: the length is the access's, and the offset a multiple of it.
    return length === size && offset % size === 0 && offset + size <= p.MODERN_WINDOW ? offset : undefined
  }
}

function identityOf({ type, classCode }: VirtioDevice, generation: PciGeneration): PciIdentity {
  const modern = generation === 'modern'
  const transitional = p.TRANSITIONAL_DEVICE_IDS[type]
  if (!modern && transitional === undefined)
    throw new Error(`virtio device type ${type}: there was none before virtio 1.0, so it has no ${generation} form`)
  return {
    vendor: p.VIRTIO_VENDOR,
    device: modern ? p.MODERN_DEVICE_ID + type : transitional,
    // 4.1.2.1, 4.1.2.3: 1 or more for modern devices, 0 for the others.
    revision: modern ? 1 : 0,
    classCode,
    subsystemVendor: p.VIRTIO_VENDOR,
    subsystem: modern ? p.MODERN_SUBSYSTEM : type,
    interruptPin: 1,
  }
}

/** `virtio_pci_cap` without id and link; `extra` is `notify_off_multiplier` or `pci_cfg_data`. */
function capabilityBody(type: number, bar: number, offset: number, length: number, extra?: number): Uint8Array {
  const total = p.CAP_SIZE + (extra === undefined ? 0 : 4)
  const body = new Uint8Array(total - CAP_BODY)
  const view = new DataView(body.buffer)
  body[0] = total
  body[1] = type
  body[p.CAP_BAR - CAP_BODY] = bar
  view.setUint32(p.CAP_OFFSET - CAP_BODY, offset, true)
  view.setUint32(p.CAP_LENGTH - CAP_BODY, length, true)
  if (extra !== undefined) view.setUint32(p.CAP_SIZE - CAP_BODY, extra, true)
  return body
}
