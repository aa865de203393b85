/** ACPI power management: events, soft off, the power management timer. */

import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { Oscillator } from '../oscillator.ts'
import { SavedState } from '../saved-state.ts'
import * as r from './registers.ts'

const TIMER_PERIOD = 2 ** r.PM_TIMER_BITS
/** The timer's status bit is set whenever the top bit changes (4.8.1.4). */
const CARRY_TICKS = TIMER_PERIOD / 2

export interface AcpiPmOptions {
  readonly clock: VirtualClock
  /** SCI, level-triggered, request {@link r.SCI_IRQ}. */
  readonly interrupt: InterruptLine
  /** The guest has asked for S5. */
  readonly onPowerOff: () => void
}

export class AcpiPm implements Device, PortHandler {
  readonly name = 'acpi-pm'
  readonly #oscillator: Oscillator
  readonly #interrupt: InterruptLine
  readonly #onPowerOff: () => void
  readonly #carryTimer: Timer
  #status = 0
  #enable = 0
  #control = 0
  #gpeStatus = 0
  #gpeEnable = 0
  /** Changes of the timer's top bit that the status bit has told of. */
  #carriesSeen = 0

  constructor(options: AcpiPmOptions) {
    this.#oscillator = new Oscillator(options.clock, r.PM_TIMER_HERTZ)
    this.#interrupt = options.interrupt
    this.#onPowerOff = options.onPowerOff
    this.#carryTimer = options.clock.timer('acpi-pm-carry', () => this.#update())
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(r.PM1A_EVENT, r.PM1_EVENT_LENGTH, this)
    bus.addPorts(r.PM1A_CONTROL, r.PM1_CONTROL_LENGTH, this)
    bus.addPorts(r.PM_TIMER, r.PM_TIMER_LENGTH, this)
    bus.addPorts(r.GPE0, r.GPE0_LENGTH, this)
  }

  /** The user presses the power button. */
  pressPowerButton(): void {
    this.#status |= r.PM1_POWER_BUTTON
    this.#update()
  }

  /** A general-purpose event, 0 to 15, has happened. */
  raiseEvent(event: number): void {
    this.#gpeStatus |= (1 << event) & 0xffff
    this.#update()
  }

  reset(): void {
    this.#status = 0
    this.#enable = 0
    this.#control = 0
    this.#gpeStatus = 0
    this.#gpeEnable = 0
    this.#carriesSeen = this.#carries
    this.#carryTimer.cancel()
    this.#interrupt.set(false)
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => this.#read(at))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => this.#write(at, byte))
    this.#update()
  }

  #read(port: number): number {
    const shift = 8 * (port & 1)
    switch (port & ~1) {
      case r.PM1A_EVENT:
        this.#noteCarry()
        return (this.#status >>> shift) & 0xff
      case r.PM1A_EVENT + 2:
        return (this.#enable >>> shift) & 0xff
      case r.PM1A_CONTROL:
        return ((this.#control | r.PM1_SCI_ENABLED) >>> shift) & 0xff
      case r.GPE0:
        return (this.#gpeStatus >>> shift) & 0xff
      case r.GPE0 + 2:
        return (this.#gpeEnable >>> shift) & 0xff
      default:
        return (this.#timer >>> (8 * (port & 3))) & 0xff
    }
  }

  #write(port: number, byte: number): void {
    const shift = 8 * (port & 1)
    const value = byte << shift
    const kept = 0xff00 >>> shift
    switch (port & ~1) {
      case r.PM1A_EVENT:
        this.#noteCarry()
        this.#status &= ~value
        break
      case r.PM1A_EVENT + 2:
        this.#enable = (this.#enable & kept) | (value & r.PM1_EVENTS)
        break
      case r.PM1A_CONTROL:
        this.#control = (this.#control & kept) | (value & (r.PM1_BUS_MASTER_RELOAD | r.PM1_SLEEP_TYPE))
        if (value & r.PM1_SLEEP_ENABLE && this.#control >>> r.PM1_SLEEP_TYPE_SHIFT === r.SLP_TYP_S5) this.#onPowerOff()
        break
      case r.GPE0:
        this.#gpeStatus &= ~value
        break
      case r.GPE0 + 2:
        this.#gpeEnable = (this.#gpeEnable & kept) | value
        break
      // The timer can't be written.
    }
  }

  get #timer(): number {
    return this.#oscillator.ticks % TIMER_PERIOD
  }

  get #carries(): number {
    return Math.floor(this.#oscillator.ticks / CARRY_TICKS)
  }

  #noteCarry(): void {
    const carries = this.#carries
    if (carries === this.#carriesSeen) return
    this.#carriesSeen = carries
    this.#status |= r.PM1_TIMER
  }

  #update(): void {
    this.#noteCarry()
    const pending = (this.#status & this.#enable & r.PM1_EVENTS) | (this.#gpeStatus & this.#gpeEnable)
    this.#interrupt.set(pending !== 0)
    const waiting = this.#enable & r.PM1_TIMER && !(this.#status & r.PM1_TIMER)
    if (waiting) this.#carryTimer.arm(this.#oscillator.timeOf((this.#carriesSeen + 1) * CARRY_TICKS))
    else this.#carryTimer.cancel()
  }

  save(): Json {
    return {
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      gpeStatus: this.#gpeStatus,
      gpeEnable: this.#gpeEnable,
      carriesSeen: this.#carriesSeen,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#status = saved.number('status')
    this.#enable = saved.number('enable')
    this.#control = saved.number('control')
    this.#gpeStatus = saved.number('gpeStatus')
    this.#gpeEnable = saved.number('gpeEnable')
    this.#carriesSeen = saved.number('carriesSeen')
  }

  registers(): readonly RegisterView[] {
    const carried = this.#carries === this.#carriesSeen ? 0 : r.PM1_TIMER
    const sleepType = this.#control >>> r.PM1_SLEEP_TYPE_SHIFT
    return [
      { name: 'PM1_STS', value: this.#status | carried, width: 16 },
      { name: 'PM1_EN', value: this.#enable, width: 16 },
      {
        name: 'PM1_CNT',
        value: this.#control | r.PM1_SCI_ENABLED,
        width: 16,
        meaning: `SCI enabled, SLP_TYP ${sleepType}`,
      },
      { name: 'PM_TMR', value: this.#timer, width: r.PM_TIMER_BITS },
      { name: 'GPE0_STS', value: this.#gpeStatus, width: 16 },
      { name: 'GPE0_EN', value: this.#gpeEnable, width: 16 },
    ]
  }
}
