/** The real-time clock with its battery-backed RAM. */

import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { Oscillator } from '../oscillator.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import { loadTime, nextAlarm, storeTime, TIME_REGISTERS } from './calendar.ts'
import * as r from './registers.ts'

const CMOS_SIZE = 128
const NANOSECONDS_PER_SECOND = 1e9
const CRYSTAL_HERTZ = 32768
/** Update-in-progress rises this long before the time changes (data sheet, figure 19: t(BUC) = 244 µs). */
const UPDATE_WARNING = 244_000
/** After the divider's reset ends, the first update comes half a second later. */
const FIRST_UPDATE = NANOSECONDS_PER_SECOND / 2

export interface RtcOptions {
  readonly clock: VirtualClock
  /** IRQ 8. */
  readonly interrupt: InterruptLine
  /** Date and time at power-on, in seconds since 1970-01-01 UTC. */
  readonly start: number
  /** Contents of RAM at power-on, by register number; see `cmosMemorySize`. */
  readonly cmos?: ReadonlyMap<number, number>
}

/**
 * The time is a base and the virtual time since. Flags of register C are brought up to date when something looks;
 * timers run only for interrupts that are enabled.
 */
export class Rtc implements Device, PortHandler {
  readonly name = 'rtc'
  readonly #clock: VirtualClock
  readonly #crystal: Oscillator
  readonly #interrupt: InterruptLine
  readonly #timer: Timer
  /** RAM; the time registers hold the time only while it stands still. */
  readonly #cmos = new Uint8Array(CMOS_SIZE)
  #index = 0
  #flags = 0
  /** The time was #baseSeconds at virtual time #baseTime. */
  #baseSeconds: number
  #baseTime = 0
  /** Second and tick of the periodic divider up to which the flags are right. */
  #checkedSecond: number
  #checkedPeriod = 0
  /** The HPET has taken IRQ 8 over. */
  #disconnected = false

  constructor(options: RtcOptions) {
    this.#clock = options.clock
    this.#crystal = new Oscillator(options.clock, CRYSTAL_HERTZ)
    this.#interrupt = options.interrupt
    this.#timer = options.clock.timer('rtc', () => this.#update())
    this.#baseSeconds = Math.floor(options.start)
    this.#checkedSecond = this.#baseSeconds
    for (const [register, value] of options.cmos ?? []) if (register < CMOS_SIZE) this.#cmos[register] = value
    this.#cmos[r.RTC_A] = r.RTC_A_DEFAULT
    this.#cmos[r.RTC_B] = r.RTC_B_DEFAULT
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(r.RTC_INDEX_PORT, 2, this)
  }

  /** The battery keeps time and RAM; a reset disables the interrupts (data sheet, RESET pin). */
  reset(): void {
    this.#index = 0
    this.#flags = 0
    this.#disconnected = false
    this.#cmos[r.RTC_B] &= ~(r.RTC_C_FLAGS | r.RTC_B_SQUARE_WAVE)
    this.#timer.cancel()
    this.#interrupt.set(false)
  }

  /** HPET legacy replacement: cuts the clock off from IRQ 8, or connects it again. */
  setDisconnected(disconnected: boolean): void {
    this.#disconnected = disconnected
    this.#update()
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => (at === r.RTC_DATA_PORT ? this.#read() : 0xff))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => {
      // Bit 7 of the index masks NMIs on a PC; no device here raises one.
      if (at === r.RTC_INDEX_PORT) this.#index = byte & 0x7f
      else this.#write(this.#index, byte)
    })
  }

  #read(): number {
    if (this.#index !== r.RTC_C) return this.#peek(this.#index)
    this.#noteEvents()
    const value = this.#registerC
    this.#flags = 0
    this.#update()
    return value
  }

  #peek(register: number): number {
    if (register === r.RTC_A) return this.#cmos[r.RTC_A] | (this.#updateInProgress ? r.RTC_A_UPDATE_IN_PROGRESS : 0)
    if (register === r.RTC_C) return this.#registerC
    if (register === r.RTC_D) return r.RTC_D_VALID
    if (!TIME_REGISTERS.includes(register) || this.#stopped) return this.#cmos[register]
    const registers = new Uint8Array(CMOS_SIZE)
    storeTime(registers, this.#seconds, this.#cmos[r.RTC_B])
    return registers[register]
  }

  #write(register: number, value: number): void {
    switch (register) {
      case r.RTC_A:
        this.#writeControl(r.RTC_A, value & ~r.RTC_A_UPDATE_IN_PROGRESS)
        return
      case r.RTC_B:
        // Setting SET clears the update-ended interrupt's enable bit.
        this.#writeControl(r.RTC_B, value & r.RTC_B_SET ? value & ~r.RTC_B_UPDATE_ENDED : value)
        return
      case r.RTC_C:
      case r.RTC_D:
        return
    }
    this.#noteEvents()
    if (!TIME_REGISTERS.includes(register) || this.#stopped) this.#cmos[register] = value
    else {
      storeTime(this.#cmos, this.#seconds, this.#cmos[r.RTC_B])
      this.#cmos[register] = value
      this.#setTime(loadTime(this.#cmos, this.#cmos[r.RTC_B]), this.#clock.now - this.#fraction)
    }
    this.#update()
  }

  /** Registers A and B can stop the time and let it go on. */
  #writeControl(register: number, value: number): void {
    this.#noteEvents()
    const wasStopped = this.#stopped
    const wasInReset = this.#dividerInReset
    if (!wasStopped) storeTime(this.#cmos, this.#seconds, this.#cmos[r.RTC_B])
    const fraction = wasStopped ? this.#clock.now % NANOSECONDS_PER_SECOND : this.#fraction
    this.#cmos[register] = value
    if (wasStopped && !this.#stopped) {
      const since = wasInReset ? NANOSECONDS_PER_SECOND - FIRST_UPDATE : fraction
      this.#setTime(loadTime(this.#cmos, this.#cmos[r.RTC_B]), this.#clock.now - since)
    }
    this.#checkedPeriod = this.#period
    this.#update()
  }

  #setTime(seconds: number, time: number): void {
    this.#baseSeconds = seconds
    this.#baseTime = time
    this.#checkedSecond = this.#seconds
  }

  get #dividerInReset(): boolean {
    return (this.#cmos[r.RTC_A] & r.RTC_A_DIVIDER_RESET) === r.RTC_A_DIVIDER_RESET
  }

  /** Time stands still: being set, or without divider. */
  get #stopped(): boolean {
    return (this.#cmos[r.RTC_B] & r.RTC_B_SET) !== 0 || this.#dividerInReset
  }

  /** Seconds since 1970 while the time runs. */
  get #seconds(): number {
    return this.#baseSeconds + Math.floor((this.#clock.now - this.#baseTime) / NANOSECONDS_PER_SECOND)
  }

  /** Nanoseconds into the second. */
  get #fraction(): number {
    return (this.#clock.now - this.#baseTime) % NANOSECONDS_PER_SECOND
  }

  get #updateInProgress(): boolean {
    return !this.#stopped && this.#fraction >= NANOSECONDS_PER_SECOND - UPDATE_WARNING
  }

  /** Register C, with what has happened up to now. */
  get #registerC(): number {
    const flags = this.#flags | this.#newEvents
    return flags | (flags & this.#cmos[r.RTC_B] & r.RTC_C_FLAGS ? r.RTC_C_INTERRUPT : 0)
  }

  /** Crystal ticks between periodic interrupts, or undefined when there are none (data sheet, table 5). */
  get #periodTicks(): number | undefined {
    const rate = this.#cmos[r.RTC_A] & r.RTC_A_RATE
    if (rate === 0 || this.#dividerInReset) return undefined
    return 1 << (rate < 3 ? rate + 6 : rate - 1)
  }

  /** Periods since power-on at the present rate. */
  get #period(): number {
    const ticks = this.#periodTicks
    return ticks === undefined ? 0 : Math.floor(this.#crystal.ticks / ticks)
  }

  /** Flags of what has happened since they were last brought up to date. */
  get #newEvents(): number {
    let flags = this.#period === this.#checkedPeriod ? 0 : r.RTC_C_PERIODIC
    if (this.#stopped || this.#seconds <= this.#checkedSecond) return flags
    flags |= r.RTC_C_UPDATE_ENDED
    const alarm = nextAlarm(this.#cmos, this.#checkedSecond, this.#cmos[r.RTC_B])
    if (alarm !== undefined && alarm <= this.#seconds) flags |= r.RTC_C_ALARM
    return flags
  }

  #noteEvents(): void {
    this.#flags |= this.#newEvents
    this.#checkedPeriod = this.#period
    if (!this.#stopped) this.#checkedSecond = Math.max(this.#checkedSecond, this.#seconds)
  }

  #update(): void {
    this.#noteEvents()
    this.#interrupt.set(!this.#disconnected && (this.#registerC & r.RTC_C_INTERRUPT) !== 0)
    const next = this.#nextInterrupt()
    if (next === undefined) this.#timer.cancel()
    else this.#timer.arm(next)
  }

  /** Virtual time of the next event that raises the interrupt; one whose flag is set already raises it no more. */
  #nextInterrupt(): number | undefined {
    const wanted = this.#cmos[r.RTC_B] & ~this.#flags
    const times: number[] = []
    const ticks = this.#periodTicks
    if (wanted & r.RTC_B_PERIODIC && ticks !== undefined)
      times.push(this.#crystal.timeOf((this.#checkedPeriod + 1) * ticks))
    if (!this.#stopped) {
      const timeOf = (second: number): number => this.#baseTime + (second - this.#baseSeconds) * NANOSECONDS_PER_SECOND
      if (wanted & r.RTC_B_UPDATE_ENDED) times.push(timeOf(this.#checkedSecond + 1))
      const alarm = wanted & r.RTC_B_ALARM ? nextAlarm(this.#cmos, this.#checkedSecond, this.#cmos[r.RTC_B]) : undefined
      if (alarm !== undefined) times.push(timeOf(alarm))
    }
    return times.length === 0 ? undefined : Math.min(...times)
  }

  save(): Json {
    return {
      cmos: encodeBytes(this.#cmos),
      index: this.#index,
      flags: this.#flags,
      baseSeconds: this.#baseSeconds,
      baseTime: this.#baseTime,
      checkedSecond: this.#checkedSecond,
      checkedPeriod: this.#checkedPeriod,
      disconnected: this.#disconnected,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#cmos.set(saved.bytes('cmos', CMOS_SIZE))
    this.#index = saved.number('index')
    this.#flags = saved.number('flags')
    this.#baseSeconds = saved.number('baseSeconds')
    this.#baseTime = saved.number('baseTime')
    this.#checkedSecond = saved.number('checkedSecond')
    this.#checkedPeriod = saved.number('checkedPeriod')
    this.#disconnected = saved.boolean('disconnected')
  }

  registers(): readonly RegisterView[] {
    const byte = (name: string, register: number): RegisterView => ({ name, value: this.#peek(register), width: 8 })
    const seconds = this.#stopped ? loadTime(this.#cmos, this.#cmos[r.RTC_B]) : this.#seconds
    return [
      { name: 'index', value: this.#index, width: 7 },
      { ...byte('seconds', r.RTC_SECONDS), meaning: new Date(seconds * 1000).toISOString() },
      byte('minutes', r.RTC_MINUTES),
      byte('hours', r.RTC_HOURS),
      byte('weekday', r.RTC_WEEKDAY),
      byte('day', r.RTC_DAY),
      byte('month', r.RTC_MONTH),
      byte('year', r.RTC_YEAR),
      byte('century', r.RTC_CENTURY),
      byte('A', r.RTC_A),
      byte('B', r.RTC_B),
      byte('C', r.RTC_C),
      byte('D', r.RTC_D),
    ]
  }
}
