/** The channel by which QEMU hands tables, images and command lines to firmware and guests. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, GuestMemory, PortHandler, RegisterView } from '../device.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import * as r from './registers.ts'

/** Zeros that a DMA read past the end of an item may ask for; more is an error, so that no transfer takes long. */
const PADDING_LIMIT = 1 << 20

interface Item {
  readonly bytes: Uint8Array
  /** Contents after a reset. */
  readonly initial: Uint8Array
  /** Called after the guest wrote to it; read-only when absent. */
  readonly onWrite: (() => void) | undefined
}

export class FwCfg implements Device, PortHandler {
  readonly name = 'fw-cfg'
  readonly #memory: GuestMemory
  readonly #items = new Map<number, Item>()
  readonly #files: { readonly name: string; readonly key: number; readonly size: number }[] = []
  #key = 0
  #offset = 0
  /** Upper half of the DMA address. */
  #dmaHigh = 0
  #dmaLow = 0

  constructor(memory: GuestMemory) {
    this.#memory = memory
    this.addItem(r.FW_CFG_SIGNATURE, new TextEncoder().encode('QEMU'))
    this.addItem(r.FW_CFG_ID, Uint8Array.of(r.FW_CFG_FEATURES, 0, 0, 0))
    this.#writeDirectory()
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(r.FW_CFG_SELECTOR_PORT, 2, this)
    bus.addPorts(r.FW_CFG_DMA_PORT, 8, this)
  }

  /** Adds what a fixed key selects, little-endian where it is a number; it replaces an earlier one. */
  addItem(key: number, bytes: Uint8Array): void {
    this.#items.set(key, { bytes, initial: bytes, onWrite: undefined })
  }

  /**
   * Adds a file to the directory.
   * @param onWrite makes the file writable by DMA, and is told of each write.
   * @throws Error when the name is too long or taken.
   */
  addFile(name: string, bytes: Uint8Array, onWrite?: (bytes: Uint8Array) => void): void {
    if (new TextEncoder().encode(name).length >= r.FW_CFG_FILE_NAME_SIZE)
      throw new Error(`fw_cfg file "${name}": a name has at most ${r.FW_CFG_FILE_NAME_SIZE - 1} bytes`)
    if (this.#files.some(file => file.name === name)) throw new Error(`fw_cfg file "${name}": there is one already`)
    const key = r.FW_CFG_FIRST_FILE + this.#files.length
    const contents = bytes.slice()
    this.#items.set(key, {
      bytes: contents,
      initial: bytes.slice(),
      onWrite: onWrite && (() => onWrite(contents.slice())),
    })
    this.#files.push({ name, key, size: contents.length })
    this.#writeDirectory()
  }

  #writeDirectory(): void {
    const bytes = new Uint8Array(4 + r.FW_CFG_FILE_ENTRY_SIZE * this.#files.length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, this.#files.length)
    for (const [index, file] of this.#files.entries()) {
      const entry = 4 + r.FW_CFG_FILE_ENTRY_SIZE * index
      view.setUint32(entry, file.size)
      view.setUint16(entry + 4, file.key)
      bytes.set(new TextEncoder().encode(file.name), entry + 8)
    }
    this.addItem(r.FW_CFG_FILE_DIRECTORY, bytes)
  }

  reset(): void {
    this.#key = 0
    this.#offset = 0
    this.#dmaHigh = 0
    this.#dmaLow = 0
    for (const { bytes, initial } of this.#items.values()) bytes.set(initial)
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at =>
      at >= r.FW_CFG_DMA_PORT ? r.FW_CFG_DMA_SIGNATURE[at - r.FW_CFG_DMA_PORT] : this.#readData(),
    )
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port === r.FW_CFG_SELECTOR_PORT && size === 2) this.#select(value)
    else if (port >= r.FW_CFG_DMA_PORT) this.#writeDmaAddress(port - r.FW_CFG_DMA_PORT, size, value)
    // Bytes written to the data port are ignored since QEMU 2.4.
  }

  #select(key: number): void {
    this.#key = key
    this.#offset = 0
  }

  #readData(): number {
    const bytes = this.#items.get(this.#key)?.bytes
    // Past the end, and where no item is, there are zeros.
    return bytes !== undefined && this.#offset < bytes.length ? bytes[this.#offset++] : 0
  }

  /** The register is big endian: what a guest writes has its bytes swapped. */
  #writeDmaAddress(offset: number, size: AccessSize, value: number): void {
    const address = new DataView(new ArrayBuffer(8))
    address.setUint32(0, this.#dmaHigh)
    address.setUint32(4, this.#dmaLow)
    writeByBytes(offset, size, value, (at, byte) => address.setUint8(at, byte))
    this.#dmaHigh = address.getUint32(0)
    this.#dmaLow = address.getUint32(4)
    if (offset + size === 8) {
      const control = this.#dmaHigh * 2 ** 32 + this.#dmaLow
      this.#dmaHigh = 0
      this.#dmaLow = 0
      this.#dma(control)
    }
  }

  /** @param at guest-physical address of the control structure. */
  #dma(at: number): void {
    try {
      const view = new DataView(this.#memory.read(at, r.FW_CFG_DMA_CONTROL_SIZE).slice().buffer)
      const control = view.getUint32(0)
      const done = this.#transfer(control, view.getUint32(4), view.getUint32(8) * 2 ** 32 + view.getUint32(12))
      this.#memory.write(at, Uint8Array.of(0, 0, 0, done ? 0 : r.FW_CFG_DMA_ERROR))
    } catch (error) {
      // There is no RAM for the structure: nowhere to report it.
      if (!(error instanceof RangeError)) throw error
    }
  }

  /** @returns false for an error. */
  #transfer(control: number, length: number, address: number): boolean {
    if (control & r.FW_CFG_DMA_SELECT) this.#select(control >>> 16)
    const item = this.#items.get(this.#key)
    const rest = item === undefined ? 0 : Math.max(0, item.bytes.length - this.#offset)
    const count = Math.min(length, rest)
    const bytes = item?.bytes.subarray(this.#offset, this.#offset + count) ?? new Uint8Array(0)
    try {
      if (control & r.FW_CFG_DMA_READ) {
        if (length - count > PADDING_LIMIT) return false
        this.#memory.write(address, bytes)
        this.#memory.write(address + count, new Uint8Array(length - count))
      } else if (control & r.FW_CFG_DMA_WRITE) {
        if (item?.onWrite === undefined || length > rest) return false
        bytes.set(this.#memory.read(address, length))
      } else if (!(control & r.FW_CFG_DMA_SKIP)) return true
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
    this.#offset += count
    if (!(control & r.FW_CFG_DMA_READ) && control & r.FW_CFG_DMA_WRITE) item?.onWrite?.()
    return true
  }

  save(): Json {
    const written = [...this.#items].filter(([, item]) => item.onWrite !== undefined)
    return {
      key: this.#key,
      offset: this.#offset,
      dmaHigh: this.#dmaHigh,
      dmaLow: this.#dmaLow,
      // What the guest can't write is part of the machine's configuration.
      written: written.map(([key, item]) => ({ key, bytes: encodeBytes(item.bytes) })),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#key = saved.number('key')
    this.#offset = saved.number('offset')
    this.#dmaHigh = saved.number('dmaHigh')
    this.#dmaLow = saved.number('dmaLow')
    for (const part of saved.parts('written')) {
      const item = this.#items.get(part.number('key'))
      if (item !== undefined) item.bytes.set(part.bytes('bytes', item.bytes.length))
    }
  }

  registers(): readonly RegisterView[] {
    const file = this.#files.find(({ key }) => key === this.#key)
    return [
      { name: 'selector', value: this.#key, width: 16, ...(file === undefined ? {} : { meaning: file.name }) },
      { name: 'offset', value: this.#offset, width: 32 },
    ]
  }
}
