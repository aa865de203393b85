/** The PC's pair of 8259A interrupt controllers, the slave at the master's input 2, with the chipset's ELCR. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'
import { PicChip, SPURIOUS } from './pic-chip.ts'

const MASTER_PORT = 0x20
const SLAVE_PORT = 0xa0
const ELCR_PORT = 0x4d0
const CASCADE = 2

/** Inputs that can't be level-triggered: timer, keyboard, cascade, RTC and FPU error (82371SB data sheet, 2.5.2). */
const EDGE_ONLY = 0x2107

export interface PicOptions {
  /** INTR to the processor. */
  readonly output: InterruptLine
  /** Level-triggered inputs after a reset, a bit each, as firmware would leave ELCR. None by default. */
  readonly levelTriggered?: number
}

export class Pic implements Device, PortHandler {
  readonly name = 'pic'
  readonly #master = new PicChip(CASCADE)
  readonly #slave = new PicChip()
  readonly #output: InterruptLine
  readonly #levelTriggered: number
  #asserted = false

  constructor(options: PicOptions) {
    this.#output = options.output
    this.#levelTriggered = (options.levelTriggered ?? 0) & ~EDGE_ONLY
    this.#resetChips()
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(MASTER_PORT, 2, this)
    bus.addPorts(SLAVE_PORT, 2, this)
    bus.addPorts(ELCR_PORT, 2, this)
  }

  /** One of the 16 interrupt requests; 2 is the cascade and leads nowhere. */
  line(irq: number): InterruptLine {
    return { set: asserted => this.#setRequest(irq, asserted) }
  }

  /** INTR: there is a request to acknowledge. */
  get output(): boolean {
    return this.#asserted
  }

  /**
   * The processor's interrupt acknowledge cycle.
   * @returns the vector. Without a request it is that of a spurious IRQ 7, or IRQ 15 when the slave's request is the
   *   one that went away.
   */
  acknowledge(): number {
    const request = this.#master.pending()
    if (request === undefined) return this.#master.vectorBase + SPURIOUS
    this.#master.acknowledge(request)
    let vector = this.#master.vectorBase + request
    if (request === CASCADE) {
      const slaveRequest = this.#slave.pending()
      if (slaveRequest !== undefined) this.#slave.acknowledge(slaveRequest)
      vector = this.#slave.vectorBase + (slaveRequest ?? SPURIOUS)
    }
    this.#update()
    return vector
  }

  reset(): void {
    this.#resetChips()
    this.#update()
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => this.#read(at))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => this.#write(at, byte))
  }

  #setRequest(irq: number, asserted: boolean): void {
    if (irq === CASCADE) return
    if (irq < 8) this.#master.setPin(irq, asserted)
    else this.#slave.setPin(irq - 8, asserted)
    this.#update()
  }

  #resetChips(): void {
    this.#master.reset()
    this.#slave.reset()
    this.#master.levels = this.#levelTriggered & 0xff
    this.#slave.levels = this.#levelTriggered >>> 8
  }

  #read(port: number): number {
    switch (port) {
      case MASTER_PORT:
      case MASTER_PORT + 1: {
        const value = this.#master.read(port === MASTER_PORT ? 0 : 1)
        this.#update()
        return value
      }
      case SLAVE_PORT:
      case SLAVE_PORT + 1: {
        const value = this.#slave.read(port === SLAVE_PORT ? 0 : 1)
        this.#update()
        return value
      }
      case ELCR_PORT:
        return this.#master.levels
      default:
        return this.#slave.levels
    }
  }

  #write(port: number, value: number): void {
    switch (port) {
      case MASTER_PORT:
      case MASTER_PORT + 1:
        this.#master.write(port === MASTER_PORT ? 0 : 1, value)
        break
      case SLAVE_PORT:
      case SLAVE_PORT + 1:
        this.#slave.write(port === SLAVE_PORT ? 0 : 1, value)
        break
      case ELCR_PORT:
        this.#master.levels = value & ~EDGE_ONLY & 0xff
        break
      default:
        this.#slave.levels = value & ~(EDGE_ONLY >>> 8) & 0xff
    }
    this.#update()
  }

  #update(): void {
    this.#master.setPin(CASCADE, this.#slave.pending() !== undefined)
    const asserted = this.#master.pending() !== undefined
    if (asserted === this.#asserted) return
    this.#asserted = asserted
    this.#output.set(asserted)
  }

  save(): Json {
    return { master: this.#master.save(), slave: this.#slave.save(), asserted: this.#asserted }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#master.restore(saved.part('master'))
    this.#slave.restore(saved.part('slave'))
    this.#asserted = saved.boolean('asserted')
  }

  registers(): readonly RegisterView[] {
    return [
      ...chipRegisters('master', this.#master),
      ...chipRegisters('slave', this.#slave),
      { name: 'INTR', value: this.#asserted ? 1 : 0, width: 1 },
    ]
  }
}

function chipRegisters(which: string, chip: PicChip): RegisterView[] {
  return [
    { name: `${which} IRR`, value: chip.requests, width: 8, meaning: 'requested' },
    { name: `${which} ISR`, value: chip.inService, width: 8, meaning: 'in service' },
    { name: `${which} IMR`, value: chip.mask, width: 8, meaning: 'masked' },
    { name: `${which} ELCR`, value: chip.levels, width: 8, meaning: 'level-triggered' },
    { name: `${which} vector base`, value: chip.vectorBase, width: 8 },
  ]
}
