/** One counter of an 8254 (Intel data sheet 231164, 1993), computed from the time at which it was started. */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'

const ACCESS_LOW = 1
const ACCESS_HIGH = 2
const ACCESS_BOTH = 3

/**
 * Times are ticks of the 1.193182 MHz clock. What a counter shows follows from the ticks since it was started, so
 * nothing runs between accesses. Counting starts with the write of the count, not a clock later.
 */
export class PitCounter {
  #mode = 3
  #bcd = false
  #access = ACCESS_BOTH
  /** The count as written, in BCD mode in BCD; 0 stands for the largest. */
  #reload = 0
  /** Modes 2 and 3: a count that takes over at tick #boundary. Modes 1 and 5: one that waits for the trigger. */
  #nextReload: number | undefined
  #boundary = 0
  /** Counting; it never stops once it has begun until the next control word. */
  #running = false
  /** Modes 1 and 5: a count has been written, the gate may trigger. */
  #armed = false
  #gate = true
  #start = 0
  /** Ticks counted when the gate went low; they stand still meanwhile in modes 0, 2, 3 and 4. */
  #held = 0
  #lowByte: number | undefined
  #latchedCount: number[] = []
  #latchedStatus: number | undefined
  #readHighNext = false

  get mode(): number {
    return this.#mode
  }

  get gate(): boolean {
    return this.#gate
  }

  /** Power-on state. @param gate level of the gate input. */
  reset(gate: boolean): void {
    this.control(0x36)
    this.#reload = 0
    this.#boundary = 0
    this.#start = 0
    this.#held = 0
    this.#gate = gate
  }

  /** A control word for this counter that is neither a latch nor a read-back command. */
  control(word: number): void {
    const mode = (word >>> 1) & 7
    // The upper bit of the mode is "don't care" in modes 2 and 3.
    this.#mode = mode > 5 ? mode - 4 : mode
    this.#bcd = (word & 1) !== 0
    this.#access = (word >>> 4) & 3
    this.#running = false
    this.#armed = false
    this.#nextReload = undefined
    this.#lowByte = undefined
    this.#latchedCount = []
    this.#latchedStatus = undefined
    this.#readHighNext = false
  }

  /** One byte of a count. */
  write(value: number, tick: number): void {
    if (this.#access === ACCESS_LOW) this.#load(value, tick)
    else if (this.#access === ACCESS_HIGH) this.#load(value << 8, tick)
    else if (this.#lowByte === undefined) {
      this.#lowByte = value
      // Mode 0: the first byte stops the counter and takes the output low.
      if (this.#mode === 0) this.#running = false
    } else {
      const low = this.#lowByte
      this.#lowByte = undefined
      this.#load(low | (value << 8), tick)
    }
  }

  #load(count: number, tick: number): void {
    this.settle(tick)
    if (this.#gateTriggers) {
      this.#nextReload = count
      this.#armed = true
    } else if (this.#periodic && this.#running) {
      // Mode 3 would take the count over after half a period already; no software can rely on which half it is in.
      this.#nextReload = count
      this.#boundary = this.#start + (Math.floor((tick - this.#start) / this.#period) + 1) * this.#period
    } else {
      this.#reload = count
      this.#running = true
      this.#start = tick
      this.#held = 0
    }
  }

  /** Takes over the count that was written during a period which has ended. Nothing that can be read changes by it. */
  settle(tick: number): void {
    if (this.#nextReload === undefined || !this.#periodic || !this.#gate || tick < this.#boundary) return
    this.#reload = this.#nextReload
    this.#nextReload = undefined
    this.#start = this.#boundary
  }

  setGate(gate: boolean, tick: number): void {
    if (gate === this.#gate) return
    this.settle(tick)
    if (!gate) {
      this.#held = this.#elapsed(tick)
      this.#gate = false
      return
    }
    this.#gate = true
    if (this.#mode === 0 || this.#mode === 4) {
      this.#start = tick - this.#held
      return
    }
    // A rising edge restarts modes 2 and 3 and triggers modes 1 and 5.
    if (this.#armed) this.#running = true
    if (this.#nextReload !== undefined) this.#reload = this.#nextReload
    this.#nextReload = undefined
    this.#start = tick
  }

  /** The OUT pin. */
  output(tick: number): boolean {
    this.settle(tick)
    const elapsed = this.#elapsed(tick)
    switch (this.#mode) {
      case 0:
        return this.#running && elapsed >= this.#count
      case 1:
        return !this.#running || elapsed >= this.#count
      case 2:
        return !this.#running || !this.#gate || elapsed % this.#period !== this.#period - 1
      case 3:
        return !this.#running || !this.#gate || elapsed % this.#period < this.#highHalf
      default:
        return !this.#running || elapsed !== this.#count
    }
  }

  /** First tick after `tick` at which OUT goes from low to high if nobody touches the counter; undefined for never. */
  nextRise(tick: number): number | undefined {
    this.settle(tick)
    if (!this.#running || (!this.#gate && !this.#gateTriggers)) return undefined
    if (this.#periodic) return this.#start + (Math.floor((tick - this.#start) / this.#period) + 1) * this.#period
    // Modes 4 and 5 are low for one tick at the end of the count.
    const rise = this.#start + this.#count + (this.#mode >= 4 ? 1 : 0)
    return rise > tick ? rise : undefined
  }

  latchCount(tick: number): void {
    if (this.#latchedCount.length > 0) return
    const value = this.value(tick)
    const low = value & 0xff
    const high = value >>> 8
    this.#latchedCount = this.#access === ACCESS_LOW ? [low] : this.#access === ACCESS_HIGH ? [high] : [low, high]
    this.#readHighNext = false
  }

  latchStatus(tick: number): void {
    this.#latchedStatus ??= this.status(tick)
  }

  /** A read of the counter's port: latched status first, then latched count, else the count as it is. */
  read(tick: number): number {
    if (this.#latchedStatus !== undefined) {
      const status = this.#latchedStatus
      this.#latchedStatus = undefined
      return status
    }
    const latched = this.#latchedCount.shift()
    if (latched !== undefined) return latched
    const value = this.value(tick)
    if (this.#access === ACCESS_LOW) return value & 0xff
    if (this.#access === ACCESS_HIGH) return value >>> 8
    const byte = this.#readHighNext ? value >>> 8 : value & 0xff
    this.#readHighNext = !this.#readHighNext
    return byte
  }

  /** Status byte of the read-back command. */
  status(tick: number): number {
    const nullCount = this.#nextReload !== undefined || !(this.#running || this.#armed)
    return (
      (this.output(tick) ? 0x80 : 0) |
      (nullCount ? 0x40 : 0) |
      (this.#access << 4) |
      (this.#mode << 1) |
      (this.#bcd ? 1 : 0)
    )
  }

  /** The counting element, 16 bits, in BCD mode as BCD. */
  value(tick: number): number {
    this.settle(tick)
    if (!this.#running) return this.#reload
    const elapsed = this.#elapsed(tick)
    let value = this.#count - elapsed
    if (this.#mode === 2) value = this.#period - (elapsed % this.#period)
    else if (this.#mode === 3) {
      // Counts down by two, twice a period; an odd count starts from the even one below, once for one tick longer.
      const phase = elapsed % this.#period
      value = (this.#period & ~1) - 2 * (phase < this.#highHalf ? phase : phase - this.#highHalf)
    }
    const wrapped = ((value % this.#modulus) + this.#modulus) % this.#modulus
    return this.#bcd ? toBcd(wrapped) : wrapped
  }

  get #periodic(): boolean {
    return this.#mode === 2 || this.#mode === 3
  }

  /** In modes 1 and 5 the gate starts the count and doesn't hold it. */
  get #gateTriggers(): boolean {
    return this.#mode === 1 || this.#mode === 5
  }

  get #modulus(): number {
    return this.#bcd ? 10000 : 65536
  }

  /** The count in ticks. */
  get #count(): number {
    return (this.#bcd ? fromBcd(this.#reload) : this.#reload) || this.#modulus
  }

  /** Ticks in a period; a count of 1, which is illegal in modes 2 and 3, acts as 2. */
  get #period(): number {
    return Math.max(2, this.#count)
  }

  get #highHalf(): number {
    return (this.#period + 1) >>> 1
  }

  #elapsed(tick: number): number {
    return this.#gate || this.#gateTriggers ? tick - this.#start : this.#held
  }

  save(): Json {
    return {
      mode: this.#mode,
      bcd: this.#bcd,
      access: this.#access,
      reload: this.#reload,
      nextReload: this.#nextReload ?? -1,
      boundary: this.#boundary,
      running: this.#running,
      armed: this.#armed,
      gate: this.#gate,
      start: this.#start,
      held: this.#held,
      lowByte: this.#lowByte ?? -1,
      latchedCount: [...this.#latchedCount],
      latchedStatus: this.#latchedStatus ?? -1,
      readHighNext: this.#readHighNext,
    }
  }

  restore(saved: SavedState): void {
    const optional = (key: string): number | undefined => {
      const value = saved.number(key)
      return value < 0 ? undefined : value
    }
    this.#mode = saved.number('mode')
    this.#bcd = saved.boolean('bcd')
    this.#access = saved.number('access')
    this.#reload = saved.number('reload')
    this.#nextReload = optional('nextReload')
    this.#boundary = saved.number('boundary')
    this.#running = saved.boolean('running')
    this.#armed = saved.boolean('armed')
    this.#gate = saved.boolean('gate')
    this.#start = saved.number('start')
    this.#held = saved.number('held')
    this.#lowByte = optional('lowByte')
    this.#latchedCount = saved.numbers('latchedCount')
    this.#latchedStatus = optional('latchedStatus')
    this.#readHighNext = saved.boolean('readHighNext')
  }
}

/** Digits above 9, which are nonsense, count as they stand. */
function fromBcd(value: number): number {
  return (value >>> 12) * 1000 + ((value >>> 8) & 15) * 100 + ((value >>> 4) & 15) * 10 + (value & 15)
}

function toBcd(value: number): number {
  const digit = (place: number): number => Math.floor(value / place) % 10
  return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1)
}
