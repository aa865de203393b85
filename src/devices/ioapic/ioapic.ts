/** The I/O APIC: 24 interrupt inputs, each with an entry that says what message it becomes. */

import type { InterruptMessage } from '../../engine/processor.ts'
import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import { deliveryModeOf } from '../bus/delivery-mode.ts'
import type { Device, DeviceBus, InterruptLine, MmioHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'
import * as r from './registers.ts'

export interface IoApicOptions {
  /** Takes a message to the local APICs. */
  readonly send: (message: InterruptMessage) => void
  /** APIC id after a reset; firmware gives it one that no processor has. 0 by default. */
  readonly id?: number
}

/** Inputs are asserted or not; the polarity bit of an entry is stored and changes nothing. */
export class IoApic implements Device, MmioHandler {
  readonly name = 'ioapic'
  readonly memoryWindow = { base: r.IOAPIC_BASE, size: r.IOAPIC_SIZE }
  readonly #send: (message: InterruptMessage) => void
  readonly #initialId: number
  #id: number
  #select = 0
  #pins = 0
  readonly #low = new Uint32Array(r.IOAPIC_PINS)
  readonly #high = new Uint32Array(r.IOAPIC_PINS)

  constructor(options: IoApicOptions) {
    this.#send = options.send
    this.#initialId = options.id ?? 0
    this.#id = this.#initialId
    this.#low.fill(r.REDIR_MASKED)
  }

  attach(bus: DeviceBus): void {
    bus.addMmio(r.IOAPIC_BASE, r.IOAPIC_SIZE, this)
  }

  line(pin: number): InterruptLine {
    if (pin < 0 || pin >= r.IOAPIC_PINS) throw new Error(`I/O APIC pin ${pin}: there are 0 to ${r.IOAPIC_PINS - 1}`)
    return { set: asserted => this.#setPin(pin, asserted) }
  }

  /** A local APIC has finished a level-triggered interrupt with this vector: inputs still asserted send it again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < r.IOAPIC_PINS; pin++) {
      const entry = this.#low[pin]
      if (!(entry & r.REDIR_REMOTE_IRR) || (entry & r.REDIR_VECTOR) !== vector) continue
      this.#low[pin] = entry & ~r.REDIR_REMOTE_IRR
      this.#deliverLevel(pin)
    }
  }

  reset(): void {
    this.#id = this.#initialId
    this.#select = 0
    this.#pins = 0
    this.#low.fill(r.REDIR_MASKED)
    this.#high.fill(0)
  }

  readMmio(offset: number, _size: AccessSize): number {
    // Registers are 32 bits wide; narrower reads get their part.
    const shift = 8 * (offset & 3)
    switch (offset & ~3) {
      case r.IOREGSEL:
        return this.#select >>> shift
      case r.IOWIN:
        return this.#readRegister(this.#select) >>> shift
      default:
        return 0
    }
  }

  writeMmio(offset: number, _size: AccessSize, value: number): void {
    switch (offset) {
      case r.IOREGSEL:
        this.#select = value & 0xff
        break
      case r.IOWIN:
        this.#writeRegister(this.#select, value)
        break
      case r.IOEOI:
        this.endOfInterrupt(value & 0xff)
        break
    }
  }

  #readRegister(register: number): number {
    switch (register) {
      case r.IOAPICID:
      case r.IOAPICARB:
        return (this.#id << 24) >>> 0
      case r.IOAPICVER:
        return ((r.IOAPIC_PINS - 1) << 16) | r.IOAPIC_VERSION
    }
    const pin = (register - r.IOREDTBL) >> 1
    if (pin < 0 || pin >= r.IOAPIC_PINS) return 0
    return register & 1 ? this.#high[pin] : this.#low[pin]
  }

  #writeRegister(register: number, value: number): void {
    if (register === r.IOAPICID) this.#id = (value >>> 24) & 0x0f
    const pin = (register - r.IOREDTBL) >> 1
    if (pin < 0 || pin >= r.IOAPIC_PINS) return
    if (register & 1) {
      this.#high[pin] = value & 0xff000000
      return
    }
    let entry = (value & r.REDIR_WRITABLE) | (this.#low[pin] & r.REDIR_REMOTE_IRR)
    // Software clears a stuck Remote IRR by making the entry edge-triggered for a moment; Linux does so.
    if (!(entry & r.REDIR_LEVEL)) entry &= ~r.REDIR_REMOTE_IRR
    this.#low[pin] = entry
    this.#deliverLevel(pin)
  }

  #setPin(pin: number, asserted: boolean): void {
    const bit = 1 << pin
    const rose = asserted && !(this.#pins & bit)
    this.#pins = asserted ? this.#pins | bit : this.#pins & ~bit
    if (!rose) return
    const entry = this.#low[pin]
    if (entry & r.REDIR_LEVEL) this.#deliverLevel(pin)
    // 82093AA, 3.2.4: an edge at a masked input is neither delivered nor held.
    else if (!(entry & r.REDIR_MASKED)) this.#deliver(pin)
  }

  #deliverLevel(pin: number): void {
    const entry = this.#low[pin]
    const ready = (entry & (r.REDIR_LEVEL | r.REDIR_REMOTE_IRR | r.REDIR_MASKED)) === r.REDIR_LEVEL
    if (!ready || !(this.#pins & (1 << pin))) return
    this.#low[pin] = entry | r.REDIR_REMOTE_IRR
    this.#deliver(pin)
  }

  #deliver(pin: number): void {
    const entry = this.#low[pin]
    const mode = deliveryModeOf(entry)
    if (mode === undefined) return
    this.#send({
      mode,
      vector: entry & r.REDIR_VECTOR,
      destination: this.#high[pin] >>> 24,
      logical: (entry & r.REDIR_LOGICAL) !== 0,
      level: (entry & r.REDIR_LEVEL) !== 0,
    })
  }

  save(): Json {
    return {
      id: this.#id,
      select: this.#select,
      pins: this.#pins,
      low: [...this.#low],
      high: [...this.#high],
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#id = saved.number('id')
    this.#select = saved.number('select')
    this.#pins = saved.number('pins')
    this.#low.set(saved.numbers('low', r.IOAPIC_PINS))
    this.#high.set(saved.numbers('high', r.IOAPIC_PINS))
  }

  registers(): readonly RegisterView[] {
    const entries = Array.from(this.#low, (entry, pin): RegisterView[] => [
      { name: `IOREDTBL${pin} low`, value: entry, width: 32, meaning: describe(entry) },
      { name: `IOREDTBL${pin} high`, value: this.#high[pin], width: 32 },
    ])
    return [
      { name: 'IOREGSEL', value: this.#select, width: 8 },
      { name: 'IOAPICID', value: this.#readRegister(r.IOAPICID), width: 32 },
      { name: 'IOAPICVER', value: this.#readRegister(r.IOAPICVER), width: 32 },
      { name: 'pins', value: this.#pins, width: r.IOAPIC_PINS, meaning: 'inputs asserted' },
      ...entries.flat(),
    ]
  }
}

function describe(entry: number): string {
  if (entry & r.REDIR_MASKED) return 'masked'
  const mode = deliveryModeOf(entry) ?? 'reserved'
  const trigger = entry & r.REDIR_LEVEL ? 'level' : 'edge'
  return `${mode}, vector ${entry & r.REDIR_VECTOR}, ${trigger}${entry & r.REDIR_REMOTE_IRR ? ', in service' : ''}`
}
