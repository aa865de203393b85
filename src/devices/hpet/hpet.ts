/** The high precision event timers: a 64-bit counter and three comparators. */

import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, MmioHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'
import { Comparator } from './comparator.ts'
import * as r from './registers.ts'

const MASK_64 = 0xffffffffffffffffn
/** Inputs of the I/O APIC above those of ISA and PCI. */
const DEFAULT_ROUTES = 0x00f00000
/** Outputs by number: inputs 0 to 31 of the I/O APIC, then requests 0 and 8 of legacy replacement. */
const LEGACY_OUTPUT = 32
const OUTPUTS = LEGACY_OUTPUT + 2
/** Virtual time does not get further in any run; a match beyond it is never. */
const FOREVER = BigInt(Number.MAX_SAFE_INTEGER)

export interface HpetOptions {
  readonly clock: VirtualClock
  /** Inputs of the I/O APIC, asked for once for each bit of `routes`. */
  readonly input: (pin: number) => InterruptLine
  /** Inputs that timers can be routed to, a bit each; 20 to 23 by default. */
  readonly routes?: number
  /** Requests 0 and 8, which timers 0 and 1 take over in legacy replacement mode. */
  readonly legacy: readonly [InterruptLine, InterruptLine]
  /** Legacy replacement was switched: PIT and RTC must be disconnected while it is on. */
  readonly onLegacy: (enabled: boolean) => void
}

export class Hpet implements Device, MmioHandler {
  readonly name = 'hpet'
  readonly memoryWindow = { base: r.HPET_BASE, size: r.HPET_SIZE }
  readonly #clock: VirtualClock
  readonly #routes: number
  readonly #outputs: readonly (InterruptLine | undefined)[]
  readonly #onLegacy: (enabled: boolean) => void
  readonly #comparators = Array.from({ length: r.HPET_TIMERS }, () => new Comparator())
  readonly #timers: readonly Timer[]
  #configuration = 0
  /** Timers with a level-triggered interrupt pending, a bit each. */
  #status = 0
  /** Main counter less the ticks since power-on while it runs; the counter itself while it stands. */
  #base = 0n
  /** Outputs held by a level-triggered interrupt. */
  #held = new Array<boolean>(OUTPUTS).fill(false)

  constructor(options: HpetOptions) {
    this.#clock = options.clock
    this.#routes = options.routes ?? DEFAULT_ROUTES
    this.#onLegacy = options.onLegacy
    this.#outputs = Array.from({ length: OUTPUTS }, (_, output) => {
      if (output >= LEGACY_OUTPUT) return options.legacy[output - LEGACY_OUTPUT]
      return (this.#routes >>> output) & 1 ? options.input(output) : undefined
    })
    this.#timers = this.#comparators.map((_, index) => options.clock.timer(`hpet-${index}`, () => this.#match(index)))
  }

  attach(bus: DeviceBus): void {
    bus.addMmio(r.HPET_BASE, r.HPET_SIZE, this)
  }

  reset(): void {
    for (const comparator of this.#comparators) comparator.reset()
    if (this.#configuration & r.HPET_LEGACY) this.#onLegacy(false)
    this.#configuration = 0
    this.#status = 0
    this.#base = 0n
    this.#update()
  }

  readMmio(offset: number, _size: AccessSize): number {
    // 2.3.1: registers are read in 32 or 64 bits; narrower reads get their part.
    const value = this.#readRegister(offset & ~7)
    return Number((value >> BigInt(8 * (offset & 7))) & 0xffffffffn)
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    if (size === 4 && (offset & 3) === 0) this.#writeRegister(offset & ~7, (offset & 4) !== 0, value)
  }

  #readRegister(offset: number): bigint {
    switch (offset) {
      case r.HPET_CAPABILITIES:
        return (BigInt(r.HPET_PERIOD_FEMTOSECONDS) << 32n) | BigInt(r.HPET_CAPABILITIES_LOW)
      case r.HPET_CONFIGURATION:
        return BigInt(this.#configuration)
      case r.HPET_STATUS:
        return BigInt(this.#status)
      case r.HPET_COUNTER:
        return this.#counter
    }
    const comparator = this.#comparators[Math.floor((offset - r.HPET_TIMER_0) / r.HPET_TIMER_STRIDE)]
    if (comparator === undefined) return 0n
    switch ((offset - r.HPET_TIMER_0) % r.HPET_TIMER_STRIDE) {
      case r.HPET_TIMER_CONFIGURATION: {
        const capable = r.TIMER_PERIODIC_CAPABLE | r.TIMER_64_BIT_CAPABLE
        return (BigInt(this.#routes) << 32n) | BigInt(comparator.configuration | capable)
      }
      case r.HPET_TIMER_COMPARATOR:
        return comparator.value
      default:
        // No timer delivers by message: there is no FSB route register.
        return 0n
    }
  }

  #writeRegister(offset: number, upper: boolean, value: number): void {
    this.#fireDue()
    if (offset === r.HPET_CONFIGURATION) {
      if (!upper) this.#configure(value & (r.HPET_ENABLE | r.HPET_LEGACY))
    } else if (offset === r.HPET_STATUS) {
      if (!upper) this.#status &= ~value
    } else if (offset === r.HPET_COUNTER) this.#writeCounter(upper, value)
    else {
      const comparator = this.#comparators[Math.floor((offset - r.HPET_TIMER_0) / r.HPET_TIMER_STRIDE)]
      const register = (offset - r.HPET_TIMER_0) % r.HPET_TIMER_STRIDE
      if (comparator === undefined) return
      if (register === r.HPET_TIMER_CONFIGURATION && !upper) comparator.configure(value)
      else if (register === r.HPET_TIMER_COMPARATOR) comparator.write(upper, value)
    }
    this.#update()
  }

  #configure(value: number): void {
    const changed = value ^ this.#configuration
    const counter = this.#counter
    this.#configuration = value
    if (changed & r.HPET_ENABLE) this.#setCounter(counter)
    if (changed & r.HPET_LEGACY) this.#onLegacy((value & r.HPET_LEGACY) !== 0)
  }

  /** 2.3.7: writes are for a counter that stands; while it runs they have their effect all the same. */
  #writeCounter(upper: boolean, half: number): void {
    const counter = this.#counter
    const bits = BigInt(half)
    this.#setCounter(upper ? (counter & 0xffffffffn) | (bits << 32n) : (counter & ~0xffffffffn) | bits)
  }

  #setCounter(counter: bigint): void {
    this.#base = this.#enabled ? (counter - this.#ticks) & MASK_64 : counter
  }

  get #enabled(): boolean {
    return (this.#configuration & r.HPET_ENABLE) !== 0
  }

  /** Since power-on. */
  get #ticks(): bigint {
    return BigInt(Math.floor(this.#clock.now / r.HPET_TICK_NANOSECONDS))
  }

  get #counter(): bigint {
    return this.#enabled ? (this.#base + this.#ticks) & MASK_64 : this.#base
  }

  /** An access at the very moment of a match comes after it, though the clock may not have fired yet. */
  #fireDue(): void {
    for (const [index, timer] of this.#timers.entries())
      if (timer.at !== undefined && timer.at <= this.#clock.now) {
        timer.cancel()
        this.#match(index)
      }
  }

  #match(index: number): void {
    const comparator = this.#comparators[index]
    comparator.advance(this.#counter)
    if (comparator.has(r.TIMER_LEVEL)) this.#status |= 1 << index
    else if (comparator.has(r.TIMER_INTERRUPT)) {
      const output = this.#outputs[this.#outputOf(index)]
      output?.set(true)
      output?.set(false)
    }
    this.#update()
  }

  #outputOf(index: number): number {
    const legacy = (this.#configuration & r.HPET_LEGACY) !== 0 && index < 2
    return legacy ? LEGACY_OUTPUT + index : this.#comparators[index].route
  }

  /** Outputs and clock timers follow the registers. */
  #update(): void {
    const held = new Array<boolean>(OUTPUTS).fill(false)
    for (const [index, comparator] of this.#comparators.entries()) {
      const active = this.#enabled && comparator.has(r.TIMER_INTERRUPT) && comparator.has(r.TIMER_LEVEL)
      if (active && this.#status & (1 << index)) held[this.#outputOf(index)] = true
      this.#schedule(this.#timers[index], comparator)
    }
    for (let output = 0; output < OUTPUTS; output++)
      if (held[output] !== this.#held[output]) this.#outputs[output]?.set(held[output])
    this.#held = held
  }

  #schedule(timer: Timer, comparator: Comparator): void {
    const ticks = this.#ticks + comparator.ticksToMatch(this.#counter)
    if (!this.#enabled || ticks > FOREVER / BigInt(r.HPET_TICK_NANOSECONDS)) timer.cancel()
    else timer.arm(Number(ticks) * r.HPET_TICK_NANOSECONDS)
  }

  save(): Json {
    return {
      comparators: this.#comparators.map(comparator => comparator.save()),
      configuration: this.#configuration,
      status: this.#status,
      base: this.#base.toString(),
      held: this.#held.map(Number),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    for (const [index, part] of saved.parts('comparators', r.HPET_TIMERS).entries())
      this.#comparators[index].restore(part)
    this.#configuration = saved.number('configuration')
    this.#status = saved.number('status')
    this.#base = saved.bigint('base')
    this.#held = saved.numbers('held', OUTPUTS).map(Boolean)
  }

  registers(): readonly RegisterView[] {
    const timers = this.#comparators.flatMap((comparator, index): RegisterView[] => {
      const mode = comparator.has(r.TIMER_PERIODIC) ? 'periodic' : 'one-shot'
      return [
        { name: `T${index}_CONF`, value: comparator.configuration, width: 32, meaning: mode },
        ...halves(`T${index}_COMP`, comparator.value),
      ]
    })
    return [
      { name: 'GEN_CONF', value: this.#configuration, width: 32 },
      { name: 'GINTR_STA', value: this.#status, width: 32 },
      ...halves('MAIN_CNT', this.#counter),
      ...timers,
    ]
  }
}

function halves(name: string, value: bigint): RegisterView[] {
  return [
    { name: `${name} low`, value: Number(value & 0xffffffffn), width: 32 },
    { name: `${name} high`, value: Number(value >> 32n), width: 32 },
  ]
}
