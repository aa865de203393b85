/** The local APIC of one vCPU, as xAPIC and as x2APIC (SDM vol. 3, chapter 11). */

import type { VirtualClock } from '../../util/virtual-clock.ts'
import type { ApicBus, DeliveryMode, InterruptMessage } from '../processor.ts'
import * as R from './apic-registers.ts'
import { ApicTimer, type ApicTimerState, type TimerMode } from './apic-timer.ts'
import { InterruptSet } from './interrupt-set.ts'

/** What the APIC tells its vCPU. */
export interface ApicListener {
  /** {@link LocalApic.highestPending} may have changed: an interrupt arrived, or a priority sank. */
  interruptPending(): void
  nmi(): void
  /** INIT: reset the vCPU and wait for a SIPI, then call {@link LocalApic.init}. */
  init(): void
  /** SIPI: start at CS = vector << 8, IP = 0, if the vCPU waits for one. */
  startUp(vector: number): void
}

export interface LocalApicOptions {
  /** Initial APIC id, also the index of the vCPU; 0 is the bootstrap processor. */
  readonly id: number
  readonly bus: ApicBus
  readonly clock: VirtualClock
  readonly listener: ApicListener
  /** Virtual time in nanoseconds, exact also in the middle of a block. */
  now(): number
  tsc(): bigint
}

export interface LocalApicState {
  readonly base: number
  readonly tpr: number
  readonly ldr: number
  readonly dfr: number
  readonly svr: number
  readonly esr: number
  readonly errors: number
  readonly icr: number
  readonly icrHigh: number
  readonly lvt: readonly number[]
  readonly irr: readonly number[]
  readonly isr: readonly number[]
  readonly tmr: readonly number[]
  readonly timer: ApicTimerState
}

/** A register for inspection. */
export interface ApicRegisterView {
  readonly name: string
  readonly value: number
  /** In bits. */
  readonly width: number
}

const MSR_APIC_BASE = 0x1b
const MSR_TSC_DEADLINE = 0x6e0
const MSR_X2APIC = 0x800

/** Version 0x14, six LVT entries. */
const VERSION = 0x50014
const SVR_WRITABLE = 0x3ff
const BASE_ADDRESS = (value: bigint): number => Number(value & 0xfffffff000n)

const DELIVERY_MODES: readonly (DeliveryMode | undefined)[] = [
  'fixed',
  'lowest-priority',
  'smi',
  undefined,
  'nmi',
  'init',
  'start-up',
  undefined,
]
const SHORTHANDS = [undefined, 'self', 'all', 'others'] as const
const TIMER_MODES: readonly TimerMode[] = ['one-shot', 'periodic', 'tsc-deadline', 'one-shot']
const LVT_LINT0 = (R.APIC_LVT_LINT0 - R.APIC_LVT_TIMER) >> 4
const LVT_LINT1 = (R.APIC_LVT_LINT1 - R.APIC_LVT_TIMER) >> 4
const LVT_ERROR = (R.APIC_LVT_ERROR - R.APIC_LVT_TIMER) >> 4

/** Bits that an x2APIC write may set; others are reserved and fault. Registers that are absent can't be written. */
const X2APIC_WRITABLE: Readonly<Record<number, number>> = {
  [R.APIC_TPR]: 0xff,
  [R.APIC_EOI]: 0,
  [R.APIC_SVR]: SVR_WRITABLE,
  [R.APIC_ESR]: 0,
  [R.APIC_LVT_TIMER]: 0x700ff,
  [R.APIC_LVT_THERMAL]: 0x107ff,
  [R.APIC_LVT_PERFORMANCE]: 0x107ff,
  [R.APIC_LVT_LINT0]: 0x1a7ff,
  [R.APIC_LVT_LINT1]: 0x1a7ff,
  [R.APIC_LVT_ERROR]: 0x100ff,
  [R.APIC_TIMER_INITIAL]: 0xffffffff,
  [R.APIC_TIMER_DIVIDE]: 0xb,
  [R.APIC_SELF_IPI]: 0xff,
}

export class LocalApic {
  readonly #options: LocalApicOptions
  readonly #irr = new InterruptSet()
  readonly #isr = new InterruptSet()
  readonly #tmr = new InterruptSet()
  readonly #timer: ApicTimer
  readonly #lvt = new Int32Array(6)
  #base = 0
  #tpr = 0
  #ldr = 0
  #dfr = 0
  #svr = 0
  #esr = 0
  /** Errors since the last write to the ESR, which publishes them. */
  #errors = 0
  #icr = 0
  #icrHigh = 0

  constructor(options: LocalApicOptions) {
    this.#options = options
    this.#timer = new ApicTimer({
      name: `apic${options.id}`,
      clock: options.clock,
      now: () => options.now(),
      tsc: () => options.tsc(),
      expired: () => this.#localInterrupt(0),
    })
    this.reset()
  }

  /** Power-on: xAPIC mode at the default address. */
  reset(): void {
    this.#base = R.APIC_BASE_DEFAULT + R.APIC_BASE_ENABLED + (this.#options.id === 0 ? R.APIC_BASE_BSP : 0)
    this.init()
  }

  /**
   * State after INIT (SDM vol. 3, 11.4.7.3): all but the base register.
   * LINT0 of the bootstrap processor is ExtINT: virtual wire mode, which firmware sets up and there is none.
   */
  init(): void {
    this.#irr.clear()
    this.#isr.clear()
    this.#tmr.clear()
    this.#tpr = 0
    this.#ldr = 0
    this.#dfr = 0xffffffff
    this.#svr = 0xff
    this.#esr = 0
    this.#errors = 0
    this.#icr = 0
    this.#icrHigh = 0
    this.#lvt.fill(R.LVT_MASKED)
    if (this.#options.id === 0) this.#lvt[LVT_LINT0] = R.DELIVERY_EXTINT << 8
    this.#timer.reset()
  }

  get enabled(): boolean {
    return (this.#base & R.APIC_BASE_ENABLED) !== 0
  }

  get x2apic(): boolean {
    return (this.#base & R.APIC_BASE_X2APIC) !== 0
  }

  /** Guest-physical address of the register page, or undefined while it isn't mapped (disabled, x2APIC). */
  get mmioBase(): number | undefined {
    return this.enabled && !this.x2apic ? this.#base - (this.#base % 4096) : undefined
  }

  /** CR8: the upper half of the task priority register. */
  get taskPriority(): number {
    return this.#tpr >> 4
  }

  set taskPriority(value: number) {
    this.#setTpr((value & 0xf) << 4)
  }

  /** Processor priority (SDM vol. 3, 11.8.3.1). */
  get priority(): number {
    const highest = this.#isr.highest()
    const inService = highest < 0 ? 0 : highest & 0xf0
    return (this.#tpr & 0xf0) >= inService ? this.#tpr : inService
  }

  /** Does a PIC's interrupt reach the processor: LINT0 as ExtINT and unmasked, or the APIC disabled? */
  get acceptsExtint(): boolean {
    if (!this.enabled) return true
    const lint0 = this.#lvt[LVT_LINT0]
    return !(lint0 & R.LVT_MASKED) && R.deliveryMode(lint0) === R.DELIVERY_EXTINT
  }

  /** The vector to deliver next: the highest requested one, if its class is above the processor priority. */
  highestPending(): number | undefined {
    const requested = this.#irr.highest()
    if (requested < 0 || !this.enabled) return undefined
    return (requested & 0xf0) > (this.priority & 0xf0) ? requested : undefined
  }

  /** Takes {@link highestPending} into service. */
  acknowledge(): number {
    const vector = this.#irr.highest()
    this.#irr.remove(vector)
    this.#isr.add(vector)
    return vector
  }

  /** Does `message` name this APIC? Shorthands other than self name every APIC; the bus leaves out the sender. */
  matches(message: InterruptMessage): boolean {
    if (!this.enabled) return false
    if (message.shorthand) return message.shorthand !== 'self'
    const { destination, logical } = message
    const id = this.#options.id
    if (destination === 0xffffffff || (destination === 0xff && (!this.x2apic || !logical))) return true
    if (!logical) return destination === id
    if (this.x2apic) {
      const own = this.#x2apicLdr
      return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0
    }
    const own = this.#ldr >>> 24
    if (this.#dfr >>> 28 === 0xf) return (own & destination) !== 0
    return own >> 4 === destination >> 4 && (own & destination & 0xf) !== 0
  }

  /** Takes a message from the bus that {@link matches}. SMIs are dropped, for there is no SMM, and so is ExtINT. */
  accept(message: InterruptMessage): void {
    const { listener } = this.#options
    if (!this.enabled) return
    switch (message.mode) {
      case 'fixed':
      case 'lowest-priority':
        this.#request(message.vector, message.level)
        break
      case 'nmi':
        listener.nmi()
        break
      case 'init':
        if (!message.deassert) listener.init()
        break
      case 'start-up':
        listener.startUp(message.vector)
        break
      default:
        break
    }
  }

  /** A rising edge at LINT0 or LINT1. ExtINT is not signalled here, see {@link acceptsExtint}. */
  signalPin(pin: 0 | 1): void {
    if (this.enabled) this.#localInterrupt(pin === 0 ? LVT_LINT0 : LVT_LINT1)
  }

  // Registers by MMIO.

  /** A load from the register page: 32-bit registers at multiples of 16. Reading has no side effect. */
  readMmio(offset: number, size: number): number {
    if ((offset & 0xf) + size > 4) return 0
    const value = this.readRegister(offset & 0xff0) ?? this.#illegalRegister()
    return (value >>> ((offset & 3) * 8)) & (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff)
  }

  /** A store to the register page; only aligned 32-bit stores count (SDM vol. 3, 11.4.1). */
  writeMmio(offset: number, size: number, value: number): void {
    if (size !== 4 || offset & 0xf) return
    if (offset === R.APIC_SELF_IPI || !this.#write(offset, value >>> 0)) this.#illegalRegister()
  }

  /** Value of a register by its xAPIC offset, unsigned; undefined where there is none. No side effect. */
  readRegister(offset: number): number | undefined {
    const value = this.#read(offset)
    return value === undefined ? undefined : value >>> 0
  }

  #read(offset: number): number | undefined {
    const index = (offset >> 4) & 7
    switch (offset & 0xf80) {
      case R.APIC_ISR:
        return this.#isr.words[index]
      case R.APIC_TMR:
        return this.#tmr.words[index]
      case R.APIC_IRR:
        return this.#irr.words[index]
    }
    if (offset >= R.APIC_LVT_TIMER && offset <= R.APIC_LVT_ERROR) return this.#lvt[(offset - R.APIC_LVT_TIMER) >> 4]
    switch (offset) {
      case R.APIC_ID:
        return this.x2apic ? this.#options.id : this.#options.id << 24
      case R.APIC_VERSION:
        return VERSION
      case R.APIC_TPR:
        return this.#tpr
      case R.APIC_APR:
      case R.APIC_PPR:
        return this.priority
      case R.APIC_EOI:
      case R.APIC_RRD:
        return 0
      case R.APIC_LDR:
        return this.x2apic ? this.#x2apicLdr : this.#ldr
      case R.APIC_DFR:
        return this.#dfr
      case R.APIC_SVR:
        return this.#svr
      case R.APIC_ESR:
        return this.#esr
      case R.APIC_ICR:
        return this.#icr
      case R.APIC_ICR_HIGH:
        return this.#icrHigh
      case R.APIC_TIMER_INITIAL:
        return this.#timer.initial
      case R.APIC_TIMER_CURRENT:
        return this.#timer.current
      case R.APIC_TIMER_DIVIDE:
        return this.#timer.divide
      default:
        return undefined
    }
  }

  /** False where there is no register; read-only ones ignore writes. */
  #write(offset: number, value: number): boolean {
    if (offset >= R.APIC_LVT_TIMER && offset <= R.APIC_LVT_ERROR) {
      this.#writeLvt((offset - R.APIC_LVT_TIMER) >> 4, value)
      return true
    }
    switch (offset) {
      case R.APIC_EOI:
        this.#endOfInterrupt()
        return true
      case R.APIC_TPR:
        this.#setTpr(value & 0xff)
        return true
      case R.APIC_LDR:
        this.#ldr = value & 0xff000000
        return true
      case R.APIC_DFR:
        this.#dfr = value | 0x0fffffff
        return true
      case R.APIC_SVR:
        this.#svr = value & SVR_WRITABLE
        if (!(value & R.SVR_ENABLED)) for (let i = 0; i < this.#lvt.length; i++) this.#lvt[i] |= R.LVT_MASKED
        return true
      case R.APIC_ESR:
        this.#esr = this.#errors
        this.#errors = 0
        return true
      case R.APIC_ICR:
        this.#icr = value & 0xccfff
        this.#sendIcr(this.#icrHigh >>> 24)
        return true
      case R.APIC_ICR_HIGH:
        this.#icrHigh = value & 0xff000000
        return true
      case R.APIC_TIMER_INITIAL:
        this.#timer.start(value)
        return true
      case R.APIC_TIMER_DIVIDE:
        this.#timer.divide = value
        return true
      case R.APIC_SELF_IPI:
        this.#request(value & 0xff, false)
        return true
      default:
        return this.#read(offset) !== undefined
    }
  }

  #writeLvt(index: number, value: number): void {
    let entry = value & R.LVT_WRITABLE[index]
    if (!(this.#svr & R.SVR_ENABLED)) entry |= R.LVT_MASKED
    this.#lvt[index] = entry
    if (index === 0) this.#timer.setMode(TIMER_MODES[(entry >> 17) & 3])
  }

  // Registers by MSR.

  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and x2APIC registers; undefined is #GP. */
  readMsr(msr: number): bigint | undefined {
    if (msr === MSR_APIC_BASE) return BigInt(this.#base)
    if (msr === MSR_TSC_DEADLINE) return this.#timer.deadline
    if (!this.enabled || !this.x2apic) return undefined
    const offset = (msr - MSR_X2APIC) << 4
    if (offset === R.APIC_ICR) return (BigInt(this.#icrHigh >>> 0) << 32n) | BigInt(this.#icr >>> 0)
    if (offset === R.APIC_ICR_HIGH || offset === R.APIC_DFR || offset === R.APIC_EOI) return undefined
    if (offset === R.APIC_APR || offset === R.APIC_RRD) return undefined
    const value = this.readRegister(offset)
    return value === undefined ? undefined : BigInt(value)
  }

  /** False is #GP: no such register, read-only, or a reserved bit set. */
  writeMsr(msr: number, value: bigint): boolean {
    if (msr === MSR_APIC_BASE) return this.#writeBase(value)
    if (msr === MSR_TSC_DEADLINE) {
      this.#timer.deadline = value
      return true
    }
    if (!this.enabled || !this.x2apic) return false
    const offset = (msr - MSR_X2APIC) << 4
    const low = Number(value & 0xffffffffn)
    if (offset === R.APIC_ICR) {
      if (low & ~0xccfff) return false
      this.#icr = low
      this.#icrHigh = Number(value >> 32n)
      this.#sendIcr(this.#icrHigh >>> 0)
      return true
    }
    const writable = X2APIC_WRITABLE[offset]
    if (writable === undefined || value >> 32n || low & ~writable) return false
    return this.#write(offset, low)
  }

  /** Transitions of SDM vol. 3, figure 11-27: to x2APIC only from xAPIC, out of it only by disabling. */
  #writeBase(value: bigint): boolean {
    const bits = Number(value & 0xfffn)
    const known = R.APIC_BASE_BSP | R.APIC_BASE_X2APIC | R.APIC_BASE_ENABLED
    if (bits & ~known || value >> 40n) return false
    const enable = (bits & R.APIC_BASE_ENABLED) !== 0
    const extend = (bits & R.APIC_BASE_X2APIC) !== 0
    if (extend && !enable) return false
    if (extend && !this.x2apic && !this.enabled) return false
    if (this.x2apic && enable && !extend) return false
    const wasEnabled = this.enabled
    this.#base = BASE_ADDRESS(value) + (bits & known)
    if (wasEnabled && !enable) this.init()
    return true
  }

  /** Clusters of 16 by APIC id (SDM vol. 3, 11.12.10.2). */
  get #x2apicLdr(): number {
    const { id } = this.#options
    return ((id >> 4) << 16) | (1 << (id & 15))
  }

  // Interrupts.

  #setTpr(value: number): void {
    const sinks = value < this.#tpr
    this.#tpr = value
    if (sinks) this.#options.listener.interruptPending()
  }

  #endOfInterrupt(): void {
    const vector = this.#isr.highest()
    if (vector < 0) return
    this.#isr.remove(vector)
    if (this.#tmr.has(vector)) this.#options.bus.endOfInterrupt(vector)
    if (this.#irr.highest() >= 0) this.#options.listener.interruptPending()
  }

  #request(vector: number, level: boolean): void {
    if (!(this.#svr & R.SVR_ENABLED)) return
    if (vector < 16) {
      this.#error(R.ESR_RECEIVE_ILLEGAL_VECTOR)
      return
    }
    this.#irr.add(vector)
    if (level) this.#tmr.add(vector)
    else this.#tmr.remove(vector)
    this.#options.listener.interruptPending()
  }

  /** An LVT entry's source fires. */
  #localInterrupt(index: number): void {
    const entry = this.#lvt[index]
    if (entry & R.LVT_MASKED) return
    switch (R.deliveryMode(entry)) {
      case R.DELIVERY_FIXED:
        this.#request(entry & 0xff, index !== 0 && (entry & R.LVT_LEVEL) !== 0)
        break
      case R.DELIVERY_NMI:
        this.#options.listener.nmi()
        break
      case R.DELIVERY_INIT:
        this.#options.listener.init()
        break
      default:
        break
    }
  }

  #error(bit: number): void {
    this.#errors |= bit
    const entry = this.#lvt[LVT_ERROR]
    // An illegal vector in the error entry itself must not report itself again.
    if (!(entry & R.LVT_MASKED) && (entry & 0xff) >= 16) this.#request(entry & 0xff, false)
  }

  #illegalRegister(): number {
    this.#error(R.ESR_ILLEGAL_REGISTER)
    return 0
  }

  #sendIcr(destination: number): void {
    const icr = this.#icr
    const mode = DELIVERY_MODES[R.deliveryMode(icr)]
    const vector = icr & 0xff
    if (mode === undefined) return
    if ((mode === 'fixed' || mode === 'lowest-priority') && vector < 16) {
      this.#error(R.ESR_SEND_ILLEGAL_VECTOR)
      return
    }
    const shorthand = SHORTHANDS[(icr >> 18) & 3]
    if (shorthand === 'self') {
      if (mode === 'fixed') this.#request(vector, false)
      return
    }
    const { bus, id } = this.#options
    bus.send(id, {
      mode,
      vector,
      destination,
      logical: (icr & R.ICR_LOGICAL) !== 0,
      level: false,
      deassert: mode === 'init' && (icr & R.ICR_LEVEL) !== 0 && !(icr & R.ICR_ASSERT),
      ...(shorthand ? { shorthand } : {}),
    })
  }

  // Saved state and inspection.

  save(): LocalApicState {
    return {
      base: this.#base,
      tpr: this.#tpr,
      ldr: this.#ldr,
      dfr: this.#dfr,
      svr: this.#svr,
      esr: this.#esr,
      errors: this.#errors,
      icr: this.#icr,
      icrHigh: this.#icrHigh,
      lvt: Array.from(this.#lvt),
      irr: this.#irr.save(),
      isr: this.#isr.save(),
      tmr: this.#tmr.save(),
      timer: this.#timer.save(),
    }
  }

  /** Of the timer only what the clock doesn't restore itself. */
  restore(state: LocalApicState): void {
    this.#base = state.base
    this.#tpr = state.tpr
    this.#ldr = state.ldr
    this.#dfr = state.dfr
    this.#svr = state.svr
    this.#esr = state.esr
    this.#errors = state.errors
    this.#icr = state.icr
    this.#icrHigh = state.icrHigh
    this.#lvt.set(state.lvt)
    this.#irr.restore(state.irr)
    this.#isr.restore(state.isr)
    this.#tmr.restore(state.tmr)
    this.#timer.restore(state.timer)
  }

  /** Every register that this mode has, for inspection. */
  registers(): readonly ApicRegisterView[] {
    const names: readonly (readonly [string, number])[] = [
      ['ID', R.APIC_ID],
      ['VERSION', R.APIC_VERSION],
      ['TPR', R.APIC_TPR],
      ['PPR', R.APIC_PPR],
      ['LDR', R.APIC_LDR],
      ['DFR', R.APIC_DFR],
      ['SVR', R.APIC_SVR],
      ['ESR', R.APIC_ESR],
      ['ICR', R.APIC_ICR],
      ['ICR_HIGH', R.APIC_ICR_HIGH],
      ['LVT_TIMER', R.APIC_LVT_TIMER],
      ['LVT_THERMAL', R.APIC_LVT_THERMAL],
      ['LVT_PERFORMANCE', R.APIC_LVT_PERFORMANCE],
      ['LVT_LINT0', R.APIC_LVT_LINT0],
      ['LVT_LINT1', R.APIC_LVT_LINT1],
      ['LVT_ERROR', R.APIC_LVT_ERROR],
      ['TIMER_INITIAL', R.APIC_TIMER_INITIAL],
      ['TIMER_CURRENT', R.APIC_TIMER_CURRENT],
      ['TIMER_DIVIDE', R.APIC_TIMER_DIVIDE],
    ]
    const views = names.map(([name, offset]) => ({ name, value: this.readRegister(offset) ?? 0, width: 32 }))
    for (const [name, offset] of [
      ['ISR', R.APIC_ISR] as const,
      ['TMR', R.APIC_TMR] as const,
      ['IRR', R.APIC_IRR] as const,
    ])
      for (let i = 0; i < 8; i++)
        views.push({ name: `${name}${i}`, value: this.readRegister(offset + i * 16) ?? 0, width: 32 })
    return views
  }
}
