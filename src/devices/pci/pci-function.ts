/** One PCI function: its configuration space, and what hangs on it. Devices derive from this. */

import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { MovableBus } from '../bus/system-bus.ts'
import type { Device, InterruptLine, RegisterView } from '../device.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import { type BarDescription, BaseAddress } from './base-address.ts'
import type { MsixEntry } from './msix.ts'
import * as r from './registers.ts'

export interface PciIdentity {
  readonly vendor: number
  readonly device: number
  readonly revision: number
  /** Base class, subclass and programming interface, 24 bits. */
  readonly classCode: number
  readonly subsystemVendor?: number
  readonly subsystem?: number
  /** The slot has other functions. */
  readonly multifunction?: boolean
  /** Bits of the status register that are always set; none by default. */
  readonly status?: number
  /** 0: none; 1 to 4: INTA to INTD. */
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4
}

/** A window of a function, for inspection: its size can't be read from configuration space without writing there. */
export interface PciWindow {
  /** Of the base address register. */
  readonly bar: number
  readonly kind: BarDescription['kind']
  readonly prefetchable: boolean
  /** Bytes, or ports. */
  readonly size: number
  /** Where it is on the bus; undefined while it is not. */
  readonly mapped: number | undefined
}

/** Which entry of its MSI-X table a function uses for what. */
export interface MessageUse {
  readonly entry: number
  /** `requestq`, `configuration`. */
  readonly cause: string
}

/** What the host bridge gives a function that is plugged in. */
export interface PciSlot {
  readonly bus: MovableBus
  /** The function's interrupt pin. */
  readonly interrupt: InterruptLine
  /** Command or base addresses have changed. */
  readonly remap: () => void
}

export class PciFunction implements Device {
  readonly name: string
  protected readonly config = new Uint8Array(r.PCI_CONFIG_SIZE)
  /** Bits that software can change, a mask for each byte. */
  protected readonly writable = new Uint8Array(r.PCI_CONFIG_SIZE)
  readonly #configView = new DataView(this.config.buffer)
  readonly #writableView = new DataView(this.writable.buffer)
  readonly #bars: BaseAddress[] = []
  /** Configuration space after a reset. */
  #initial: Uint8Array | undefined
  #slot: PciSlot | undefined
  #nextCapability = r.PCI_DEVICE_SPECIFIC
  #lastCapability = r.PCI_CAPABILITIES
  #interrupt = false

  /** @param name unique in the machine. */
  constructor(name: string, identity: PciIdentity) {
    this.name = name
    const config = this.#configView
    config.setUint16(r.PCI_VENDOR_ID, identity.vendor, true)
    config.setUint16(r.PCI_DEVICE_ID, identity.device, true)
    config.setUint16(r.PCI_STATUS, identity.status ?? 0, true)
    config.setUint8(r.PCI_REVISION, identity.revision)
    config.setUint8(r.PCI_CLASS, identity.classCode & 0xff)
    config.setUint16(r.PCI_CLASS + 1, identity.classCode >>> 8, true)
    config.setUint8(r.PCI_HEADER_TYPE, identity.multifunction ? 0x80 : 0)
    config.setUint16(r.PCI_SUBSYSTEM_VENDOR_ID, identity.subsystemVendor ?? 0, true)
    config.setUint16(r.PCI_SUBSYSTEM_ID, identity.subsystem ?? 0, true)
    config.setUint8(r.PCI_INTERRUPT_PIN, identity.interruptPin ?? 0)
    const command =
      r.PCI_COMMAND_IO | r.PCI_COMMAND_MEMORY | r.PCI_COMMAND_MASTER | r.PCI_COMMAND_SERR | r.PCI_COMMAND_INTX_DISABLE
    this.#writableView.setUint16(r.PCI_COMMAND, command, true)
    this.writable[r.PCI_INTERRUPT_LINE] = 0xff
  }

  get interruptPin(): number {
    return this.config[r.PCI_INTERRUPT_PIN]
  }

  /** For inspection. */
  get windows(): readonly PciWindow[] {
    return this.#bars.map(({ offset, description, mapped }) => ({
      ...{ bar: (offset - r.PCI_BAR0) / 4, kind: description.kind, size: description.size, mapped },
      prefetchable: description.kind === 'memory64' && description.prefetchable,
    }))
  }

  /** The MSI-X table, for inspection; undefined for a function without. */
  get messages(): readonly MsixEntry[] | undefined {
    return undefined
  }

  /** What its MSI-X entries are used for, for inspection. */
  get messageUses(): readonly MessageUse[] {
    return []
  }

  /** Puts a window behind base address register `index`. While the machine is built only. */
  protected addBar(index: number, description: BarDescription): void {
    const bar = new BaseAddress(index, description)
    bar.initialize(this.#configView, this.#writableView)
    this.#bars.push(bar)
  }

  /** First address of the window behind base address register `index`: where the register says at present. */
  protected barBase(index: number): number {
    const bar = this.#bars.find(({ offset }) => offset === r.PCI_BAR0 + 4 * index)
    return bar?.base(this.#configView) ?? 0
  }

  /**
   * Gives every window a place, as firmware does, and has the function decode them. While the machine is built only.
   * @param allocate gives so many ports, or bytes of memory, aligned to their size.
   */
  placeBars(allocate: (kind: 'io' | 'memory', size: number) => number): void {
    for (const bar of this.#bars)
      bar.place(this.#configView, allocate(bar.description.kind === 'io' ? 'io' : 'memory', bar.description.size))
    const command = r.PCI_COMMAND_IO | r.PCI_COMMAND_MEMORY | r.PCI_COMMAND_MASTER
    this.#configView.setUint16(r.PCI_COMMAND, command, true)
  }

  /**
   * Adds a capability to the list (PCI 3.0, 6.7). While the machine is built only.
   * @param body what follows the two bytes of id and link.
   * @param writable mask of the bits in `body` that software can change; none when absent.
   * @returns its offset in configuration space.
   * @throws Error when configuration space is full.
   */
  protected addCapability(id: number, body: Uint8Array, writable?: Uint8Array): number {
    const offset = this.#nextCapability
    if (offset + 2 + body.length > r.PCI_CONFIG_SIZE)
      throw new Error(`${this.name}: no room in configuration space for capability 0x${id.toString(16)}`)
    this.config[this.#lastCapability] = offset
    this.config[offset] = id
    this.config.set(body, offset + 2)
    if (writable !== undefined) this.writable.set(writable, offset + 2)
    this.config[r.PCI_STATUS] |= r.PCI_STATUS_CAPABILITIES
    this.#lastCapability = offset + 1
    // Capabilities start at multiples of 4.
    this.#nextCapability = (offset + 2 + body.length + 3) & ~3
    return offset
  }

  /**
   * Plugs the function in; called by the host bridge, once. What configuration space holds now comes back at a reset.
   * @param line what firmware would write into the interrupt line register, unless the function has a value of its own.
   */
  plug(slot: PciSlot, line: number): void {
    this.#slot = slot
    if (this.interruptPin !== 0 && this.config[r.PCI_INTERRUPT_LINE] === 0) this.config[r.PCI_INTERRUPT_LINE] = line
    this.#initial = this.config.slice()
    slot.remap()
  }

  /** Asserts or releases the function's interrupt pin (INTx). */
  protected setInterrupt(asserted: boolean): void {
    this.#interrupt = asserted
    this.#updateInterrupt()
  }

  #updateInterrupt(): void {
    const disabled = (this.#configView.getUint16(r.PCI_COMMAND, true) & r.PCI_COMMAND_INTX_DISABLE) !== 0
    this.#slot?.interrupt.set(this.#interrupt && !disabled)
  }

  /** @param offset with `size`, does not cross a multiple of 4. Changes nothing. */
  readConfig(offset: number, size: AccessSize): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= this.#readByte(offset + i) << (8 * i)
    return value >>> 0
  }

  /** A read by the guest, which may have an effect where the device says so. */
  guestReadConfig(offset: number, size: AccessSize): number {
    return this.readConfig(offset, size)
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const mask = this.writable[offset + i]
      const byte = (value >>> (8 * i)) & 0xff
      this.config[offset + i] = (this.config[offset + i] & ~mask) | (byte & mask)
    }
    if (offset < r.PCI_STATUS || (offset >= r.PCI_BAR0 && offset < r.PCI_BAR0 + 4 * r.PCI_BARS)) this.#slot?.remap()
    this.#updateInterrupt()
    this.configWritten(offset, size, value)
  }

  /** For devices to act on a write to their registers in configuration space, which has happened already. */
  protected configWritten(_offset: number, _size: AccessSize, _value: number): void {}

  #readByte(offset: number): number {
    const interrupt = offset === r.PCI_STATUS && this.#interrupt ? r.PCI_STATUS_INTERRUPT : 0
    return this.config[offset] | interrupt
  }

  /** For the host bridge: first every window that moved is taken off the bus, then all are placed. */
  unmapBars(): void {
    if (this.#slot !== undefined) for (const bar of this.#bars) bar.unmap(this.#slot.bus, this.#configView)
  }

  mapBars(): void {
    if (this.#slot !== undefined) for (const bar of this.#bars) bar.map(this.#slot.bus, this.#configView)
  }

  reset(): void {
    if (this.#initial !== undefined) this.config.set(this.#initial)
    this.#interrupt = false
    this.#slot?.remap()
    this.#updateInterrupt()
  }

  save(): Json {
    return { config: encodeBytes(this.config), interrupt: this.#interrupt }
  }

  /** The bus follows: windows are where the restored registers say. */
  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.config.set(saved.bytes('config', r.PCI_CONFIG_SIZE))
    this.#interrupt = saved.boolean('interrupt')
    this.#slot?.remap()
  }

  registers(): readonly RegisterView[] {
    const word = (name: string, offset: number): RegisterView => ({
      name,
      value: this.readConfig(offset, 2),
      width: 16,
    })
    const bars = this.#bars.map(bar => ({
      name: `BAR${(bar.offset - r.PCI_BAR0) / 4}`,
      value: this.readConfig(bar.offset, 4),
      width: 32,
      meaning: `${bar.description.kind}, ${bar.description.size} bytes`,
    }))
    return [
      word('vendor', r.PCI_VENDOR_ID),
      word('device', r.PCI_DEVICE_ID),
      word('command', r.PCI_COMMAND),
      word('status', r.PCI_STATUS),
      { name: 'class', value: this.readConfig(r.PCI_REVISION, 4) >>> 8, width: 24 },
      ...bars,
      { name: 'interrupt line', value: this.config[r.PCI_INTERRUPT_LINE], width: 8 },
      { name: 'interrupt pin', value: this.interruptPin, width: 8 },
    ]
  }
}
