/** MSI-X (PCI 3.0, 6.8.2): a table of messages in the function's memory, one for each cause of an interrupt. */

import type { InterruptMessage } from '../../engine/processor.ts'
import type { Json } from '../../util/json.ts'
import type { MmioHandler, RegisterView } from '../device.ts'
import { encodeBytes, type SavedState } from '../saved-state.ts'
import { decodeMsi } from './msi-message.ts'

export const MSIX_CAPABILITY = 0x11
/** Bytes of the capability behind id and link: message control, place of the table, place of the PBA. */
const BODY_SIZE = 10
const CONTROL_FUNCTION_MASK = 1 << 14
const CONTROL_ENABLE = 1 << 15

/** Bytes of the window that holds both. */
export const MSIX_WINDOW = 0x1000
const PBA_AT = 0x800
const ENTRY_SIZE = 16
/** So many entries fit before the pending bits. */
export const MSIX_MOST_VECTORS = PBA_AT / ENTRY_SIZE
const ENTRY_DATA = 8
const ENTRY_CONTROL = 12
const ENTRY_MASKED = 1

/** An entry of the table as software has filled it, for inspection. */
export interface MsixEntry {
  readonly addressLow: number
  readonly addressHigh: number
  readonly data: number
  /** By its own bit. */
  readonly masked: boolean
  readonly pending: boolean
}

export class Msix implements MmioHandler {
  readonly vectors: number
  readonly #send: (message: InterruptMessage) => void
  readonly #table: Uint8Array
  readonly #view: DataView
  readonly #pending: Uint8Array
  #enabled = false
  #masked = false

  /** @param vectors 1 to {@link MSIX_MOST_VECTORS}. @param send takes a message to the local APICs. */
  constructor(vectors: number, send: (message: InterruptMessage) => void) {
    if (vectors < 1 || vectors > MSIX_MOST_VECTORS)
      throw new Error(`MSI-X with ${vectors} vectors: 1 to ${MSIX_MOST_VECTORS} are possible here`)
    this.vectors = vectors
    this.#send = send
    this.#table = new Uint8Array(vectors * ENTRY_SIZE)
    this.#view = new DataView(this.#table.buffer)
    this.#pending = new Uint8Array(Math.ceil(vectors / 64) * 8)
    this.reset()
  }

  /** Body of the capability, and which bits of it software can write. @param bar that the window is behind. */
  capability(bar: number): { readonly body: Uint8Array; readonly writable: Uint8Array } {
    const body = new Uint8Array(BODY_SIZE)
    const view = new DataView(body.buffer)
    view.setUint16(0, this.vectors - 1, true)
    view.setUint32(2, bar, true)
    view.setUint32(6, PBA_AT | bar, true)
    const writable = new Uint8Array(BODY_SIZE)
    new DataView(writable.buffer).setUint16(0, CONTROL_ENABLE | CONTROL_FUNCTION_MASK, true)
    return { body, writable }
  }

  get enabled(): boolean {
    return this.#enabled
  }

  /** Software wrote the message control register. */
  setControl(control: number): void {
    this.#enabled = (control & CONTROL_ENABLE) !== 0
    this.#masked = (control & CONTROL_FUNCTION_MASK) !== 0
    this.#sendPending()
  }

  /** Sends a vector's message, or keeps it pending while it is masked. Vectors that are not there send nothing. */
  signal(vector: number): void {
    if (!this.#enabled || vector < 0 || vector >= this.vectors) return
    if (this.#isMasked(vector)) this.#pending[vector >> 3] |= 1 << (vector & 7)
    else this.#deliver(vector)
  }

  readMmio(offset: number, size: 1 | 2 | 4): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= this.#byteAt(offset + i) << (8 * i)
    return value >>> 0
  }

  writeMmio(offset: number, size: 1 | 2 | 4, value: number): void {
    // The pending bits are read-only; what is behind the table is nothing.
    if (offset + size > this.#table.length) return
    for (let i = 0; i < size; i++) this.#table[offset + i] = value >>> (8 * i)
    const control = offset - (offset % ENTRY_SIZE) + ENTRY_CONTROL
    this.#view.setUint32(control, this.#view.getUint32(control, true) & ENTRY_MASKED, true)
    this.#sendPending()
  }

  reset(): void {
    this.#table.fill(0)
    for (let vector = 0; vector < this.vectors; vector++)
      this.#view.setUint32(vector * ENTRY_SIZE + ENTRY_CONTROL, ENTRY_MASKED, true)
    this.#pending.fill(0)
    this.#enabled = false
    this.#masked = false
  }

  /** For the inspector. */
  get entries(): readonly MsixEntry[] {
    return Array.from({ length: this.vectors }, (_, vector) => {
      const [addressLow, addressHigh, data] = this.#entry(vector)
      const control = this.#view.getUint32(vector * ENTRY_SIZE + ENTRY_CONTROL, true)
      const pending = ((this.#pending[vector >> 3] >> (vector & 7)) & 1) !== 0
      return { addressLow, addressHigh, data, masked: (control & ENTRY_MASKED) !== 0, pending }
    })
  }

  /** For the inspector: the message of each vector that software has set up. */
  registers(): readonly RegisterView[] {
    const views: RegisterView[] = []
    for (let vector = 0; vector < this.vectors; vector++) {
      const [low, high, data] = this.#entry(vector)
      if (low === 0 && high === 0) continue
      const message = decodeMsi(low, high, data)
      const to =
        message === undefined
          ? 'not a message to local APICs'
          : `${message.mode}, vector 0x${message.vector.toString(16)}, to ${message.logical ? 'logical' : 'APIC'} ${message.destination}`
      const pending = (this.#pending[vector >> 3] >> (vector & 7)) & 1 ? ', pending' : ''
      const masked = this.#isMasked(vector) ? ', masked' : ''
      views.push({ name: `MSI-X ${vector}`, value: data, width: 32, meaning: to + masked + pending })
    }
    return views
  }

  save(): Json {
    return { table: encodeBytes(this.#table), pending: encodeBytes(this.#pending) }
  }

  /** Without effect: what is pending stays so. @param control as configuration space has it. */
  restore(saved: SavedState, control: number): void {
    this.#table.set(saved.bytes('table', this.#table.length))
    this.#pending.set(saved.bytes('pending', this.#pending.length))
    this.#enabled = (control & CONTROL_ENABLE) !== 0
    this.#masked = (control & CONTROL_FUNCTION_MASK) !== 0
  }

  #byteAt(offset: number): number {
    if (offset < this.#table.length) return this.#table[offset]
    const pending = offset - PBA_AT
    return pending >= 0 && pending < this.#pending.length ? this.#pending[pending] : 0
  }

  #isMasked(vector: number): boolean {
    return this.#masked || (this.#view.getUint32(vector * ENTRY_SIZE + ENTRY_CONTROL, true) & ENTRY_MASKED) !== 0
  }

  #sendPending(): void {
    if (!this.#enabled) return
    for (let vector = 0; vector < this.vectors; vector++) {
      const bit = 1 << (vector & 7)
      if ((this.#pending[vector >> 3] & bit) === 0 || this.#isMasked(vector)) continue
      this.#pending[vector >> 3] &= ~bit
      this.#deliver(vector)
    }
  }

  #entry(vector: number): readonly [number, number, number] {
    const at = vector * ENTRY_SIZE
    return [
      this.#view.getUint32(at, true),
      this.#view.getUint32(at + 4, true),
      this.#view.getUint32(at + ENTRY_DATA, true),
    ]
  }

  #deliver(vector: number): void {
    const message = decodeMsi(...this.#entry(vector))
    if (message !== undefined) this.#send(message)
  }
}
