/** The 8254 programmable interval timer with its port 0x61: system timer on IRQ 0, DRAM refresh, speaker. */

import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { Oscillator } from '../oscillator.ts'
import { SavedState } from '../saved-state.ts'
import { PitCounter } from './pit-counter.ts'

/** A third of the NTSC colour subcarrier, as on every PC. */
export const PIT_HERTZ = 1193182

const COUNTER_PORT = 0x40
const CONTROL_PORT = 0x43
const PORT_B = 0x61

const PORT_B_GATE2 = 0x01
const PORT_B_STORED = 0x0f
const PORT_B_REFRESH = 0x10
const PORT_B_OUT2 = 0x20

/** Counter 1's customary count: a refresh request every 15.09 µs toggles bit 4 of port 0x61. */
const REFRESH_TICKS = 18

export interface PitOptions {
  readonly clock: VirtualClock
  /** IRQ 0: follows the output of counter 0. */
  readonly interrupt: InterruptLine
}

export class Pit implements Device, PortHandler {
  readonly name = 'pit'
  readonly #clock: VirtualClock
  readonly #oscillator: Oscillator
  readonly #interrupt: InterruptLine
  readonly #timer: Timer
  readonly #counters = [new PitCounter(), new PitCounter(), new PitCounter()]
  #portB = 0
  /** The HPET has taken IRQ 0 over. */
  #disconnected = false

  constructor(options: PitOptions) {
    this.#clock = options.clock
    this.#oscillator = new Oscillator(options.clock, PIT_HERTZ)
    this.#interrupt = options.interrupt
    this.#timer = options.clock.timer('pit-irq0', () => this.#rise())
    this.#resetCounters()
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(COUNTER_PORT, 4, this)
    bus.addPorts(PORT_B, 1, this)
  }

  reset(): void {
    this.#resetCounters()
    this.#portB = 0
    this.#disconnected = false
    this.#timer.cancel()
    this.#interrupt.set(false)
  }

  #resetCounters(): void {
    for (const [index, counter] of this.#counters.entries()) counter.reset(index !== 2)
  }

  /** HPET legacy replacement: cuts counter 0 off from IRQ 0, or connects it again. */
  setDisconnected(disconnected: boolean): void {
    if (disconnected === this.#disconnected) return
    this.#disconnected = disconnected
    if (disconnected) {
      this.#timer.cancel()
      this.#interrupt.set(false)
    } else this.#schedule()
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => this.#read(at))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => this.#write(at, byte))
  }

  #read(port: number): number {
    if (port === PORT_B) return this.#readPortB()
    // The control word can't be read.
    if (port === CONTROL_PORT) return 0xff
    return this.#counters[port - COUNTER_PORT].read(this.#oscillator.ticks)
  }

  #write(port: number, value: number): void {
    this.#fireIfDue()
    const tick = this.#oscillator.ticks
    if (port === PORT_B) {
      this.#portB = value & PORT_B_STORED
      this.#counters[2].setGate((value & PORT_B_GATE2) !== 0, tick)
      return
    }
    if (port === CONTROL_PORT) this.#writeControl(value, tick)
    else this.#counters[port - COUNTER_PORT].write(value, tick)
    this.#schedule()
  }

  #readPortB(): number {
    const tick = this.#oscillator.ticks
    const refresh = Math.floor(tick / REFRESH_TICKS) % 2 === 1
    return this.#portB | (refresh ? PORT_B_REFRESH : 0) | (this.#counters[2].output(tick) ? PORT_B_OUT2 : 0)
  }

  #writeControl(value: number, tick: number): void {
    const select = value >>> 6
    if (select === 3) {
      // Read-back command: bits 5 and 4 are active low.
      for (const [index, counter] of this.#counters.entries()) {
        if (!(value & (2 << index))) continue
        if (!(value & 0x20)) counter.latchCount(tick)
        if (!(value & 0x10)) counter.latchStatus(tick)
      }
    } else if ((value & 0x30) === 0) this.#counters[select].latchCount(tick)
    else this.#counters[select].control(value)
  }

  /** After a change of counter 0: the line follows its output, and the next rising edge is waited for. */
  #schedule(): void {
    if (this.#disconnected) return
    const tick = this.#oscillator.ticks
    this.#interrupt.set(this.#counters[0].output(tick))
    const rise = this.#counters[0].nextRise(tick)
    if (rise === undefined) this.#timer.cancel()
    else this.#timer.arm(this.#oscillator.timeOf(rise))
  }

  /** An access at the very moment of an edge comes after it, though the clock may not have fired yet. */
  #fireIfDue(): void {
    if (this.#timer.at === undefined || this.#timer.at > this.#clock.now) return
    this.#timer.cancel()
    this.#rise()
  }

  #rise(): void {
    // Only rising edges are of interest, so that the low time before this one is made up for here.
    this.#interrupt.set(false)
    this.#interrupt.set(true)
    // Later edges that have passed already, after a jump of the clock, are one with this.
    const rise = this.#counters[0].nextRise(this.#oscillator.ticks)
    if (rise !== undefined) this.#timer.arm(this.#oscillator.timeOf(rise))
  }

  save(): Json {
    // So that the saved form doesn't depend on when somebody last looked.
    for (const counter of this.#counters) counter.settle(this.#oscillator.ticks)
    return {
      counters: this.#counters.map(counter => counter.save()),
      portB: this.#portB,
      disconnected: this.#disconnected,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    for (const [index, counter] of saved.parts('counters', 3).entries()) this.#counters[index].restore(counter)
    this.#portB = saved.number('portB')
    this.#disconnected = saved.boolean('disconnected')
  }

  registers(): readonly RegisterView[] {
    const tick = this.#oscillator.ticks
    const counters = this.#counters.flatMap((counter, index): RegisterView[] => [
      { name: `counter ${index}`, value: counter.value(tick), width: 16, meaning: `mode ${counter.mode}` },
      { name: `status ${index}`, value: counter.status(tick), width: 8 },
    ])
    return [...counters, { name: 'port 0x61', value: this.#readPortB(), width: 8 }]
  }
}
