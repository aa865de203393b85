/** Base address registers (PCI 3.0, 6.2.5.1): windows of a function that software places where it likes. */

import type { MovableBus } from '../bus/system-bus.ts'
import type { MmioHandler, PortHandler } from '../device.ts'
import * as r from './registers.ts'

/** What a function puts behind one of its base address registers. Sizes are powers of two. */
export type BarDescription =
  | { readonly kind: 'io'; readonly size: number; readonly handler: PortHandler }
  | { readonly kind: 'memory'; readonly size: number; readonly handler: MmioHandler }
  /** Takes this register and the next. */
  | { readonly kind: 'memory64'; readonly size: number; readonly handler: MmioHandler; readonly prefetchable: boolean }

const MIN_IO_SIZE = 4
const MIN_MEMORY_SIZE = 16
/** A larger address can't be a guest-physical one. */
const ADDRESS_LIMIT = 2 ** 52

export class BaseAddress {
  /** Offset of the register in configuration space. */
  readonly offset: number
  readonly description: BarDescription
  /** Where it is on the bus at present. */
  #mapped: number | undefined

  /** @throws Error when the size is not a power of two or too small. */
  constructor(index: number, description: BarDescription) {
    const { kind, size } = description
    const smallest = kind === 'io' ? MIN_IO_SIZE : MIN_MEMORY_SIZE
    if (size < smallest || !Number.isInteger(Math.log2(size)) || size > 2 ** 31)
      throw new Error(`BAR ${index}: ${size} bytes is not a power of two from ${smallest} to 2 GiB`)
    if (index + (kind === 'memory64' ? 2 : 1) > r.PCI_BARS)
      throw new Error(`BAR ${index}: a function has ${r.PCI_BARS}`)
    this.offset = r.PCI_BAR0 + 4 * index
    this.description = description
  }

  /** Where the window is on the bus; undefined while it is not. */
  get mapped(): number | undefined {
    return this.#mapped
  }

  /** Bytes of configuration space it takes. */
  get length(): number {
    return this.description.kind === 'memory64' ? 8 : 4
  }

  /** Sets up the register: type bits, and which bits can be written; the others read 0, which tells the size. */
  initialize(config: DataView, writable: DataView): void {
    const { description, offset } = this
    const sizeMask = -description.size >>> 0
    if (description.kind === 'io') config.setUint32(offset, r.PCI_BAR_IO, true)
    else if (description.kind === 'memory') config.setUint32(offset, 0, true)
    else {
      const type = r.PCI_BAR_MEMORY_64 | (description.prefetchable ? r.PCI_BAR_PREFETCHABLE : 0)
      config.setUint32(offset, type, true)
      config.setUint32(offset + 4, 0, true)
      writable.setUint32(offset + 4, 0xffffffff, true)
    }
    writable.setUint32(offset, sizeMask, true)
  }

  /** The address in the register. */
  base(config: DataView): number {
    const low = config.getUint32(this.offset, true)
    const high = this.description.kind === 'memory64' ? config.getUint32(this.offset + 4, true) : 0
    return high * 2 ** 32 + ((low & (this.description.kind === 'io' ? ~3 : ~15)) >>> 0)
  }

  /** Writes an address below 4 GiB into the register, as firmware does. */
  place(config: DataView, base: number): void {
    const type = config.getUint32(this.offset, true) & (this.description.kind === 'io' ? 3 : 15)
    config.setUint32(this.offset, base | type, true)
  }

  /**
   * Where software wants the window, or undefined when it does not want it: decoding disabled, not placed yet, or
   * being sized.
   */
  #wanted(config: DataView): number | undefined {
    const { description } = this
    const io = description.kind === 'io'
    const command = config.getUint16(r.PCI_COMMAND, true)
    if (!(command & (io ? r.PCI_COMMAND_IO : r.PCI_COMMAND_MEMORY))) return undefined
    const base = this.base(config)
    // All ones, which software writes to find out the size, is the last window of the space: never a place for one.
    const limit = io ? 0x10000 : description.kind === 'memory' ? 2 ** 32 : ADDRESS_LIMIT
    return base === 0 || base + description.size >= limit ? undefined : base
  }

  /** Takes the window off the bus if it has moved. */
  unmap(bus: MovableBus, config: DataView): void {
    if (this.#mapped === undefined || this.#mapped === this.#wanted(config)) return
    if (this.description.kind === 'io') bus.removePorts(this.#mapped)
    else bus.removeMmio(this.#mapped)
    this.#mapped = undefined
  }

  /** Puts the window where software wants it, unless another device is there: that one keeps its place. */
  map(bus: MovableBus, config: DataView): void {
    const base = this.#wanted(config)
    if (base === undefined || this.#mapped !== undefined) return
    const { description } = this
    if (description.kind === 'io') {
      if (!bus.portsAreFree(base, description.size)) return
      bus.addPorts(base, description.size, description.handler)
    } else {
      if (!bus.mmioIsFree(base, description.size)) return
      bus.addMmio(base, description.size, description.handler)
    }
    this.#mapped = base
  }
}
