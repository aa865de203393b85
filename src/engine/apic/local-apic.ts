/** The local APIC of one vCPU, as xAPIC and as x2APIC (SDM vol. 3, chapter 11). */

import type { VirtualClock } from '../../util/virtual-clock.ts'
import type { CpuModel } from '../cpu-model.ts'
import type { ApicBus, ApicRegister, DeliveryMode, InterruptMessage } from '../processor.ts'
import { isEnabled, isLegalBase, isX2apic } from './apic-base.ts'
import { isAddressed, widenDestination, x2apicLogicalId } from './apic-destination.ts'
import * as R from './apic-registers.ts'
import { ApicTimer, type ApicTimerState, type TimerMode } from './apic-timer.ts'
import { apicRegisters } from './apic-view.ts'
import { ErrorStatus } from './error-status.ts'
import { InterruptSet } from './interrupt-set.ts'
import { LocalVectorTable, LVT_ERROR, LVT_LINT0, LVT_LINT1, LVT_TIMER, lvtEntryAt } from './local-vector-table.ts'
import { isReadable, isWritable, isWritableIcr, offsetOfMsr } from './x2apic-registers.ts'

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
  /** Has it x2APIC mode, and a timer with a deadline? */
  readonly model: CpuModel
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
  readonly extint: boolean
  readonly lvt: readonly number[]
  readonly irr: readonly number[]
  readonly isr: readonly number[]
  readonly tmr: readonly number[]
  readonly timer: ApicTimerState
}

const MSR_APIC_BASE = 0x1b
const MSR_TSC_DEADLINE = 0x6e0

/** Version 0x14, six LVT entries, EOI broadcasts can be suppressed. */
const VERSION = 0x1050014

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
/** ICR: shorthand self. */
const ICR_SELF = 1 << 18
/** Vectors below are reserved and not deliverable (SDM vol. 3, 11.5.2). */
const LOWEST_VECTOR = 16
const TIMER_MODES: readonly TimerMode[] = ['one-shot', 'periodic', 'tsc-deadline', 'one-shot']

export class LocalApic {
  readonly #options: LocalApicOptions
  readonly #irr = new InterruptSet()
  readonly #isr = new InterruptSet()
  readonly #tmr = new InterruptSet()
  readonly #timer: ApicTimer
  readonly #lvt = new LocalVectorTable()
  readonly #errors = new ErrorStatus()
  #base = 0
  #tpr = 0
  #ldr = 0
  #dfr = 0
  #svr = 0
  #icr = 0
  #icrHigh = 0
  /** An ExtINT message waits for the PIC's vector. */
  #extint = false

  constructor(options: LocalApicOptions) {
    this.#options = options
    this.#timer = new ApicTimer({
      name: `apic${options.id}`,
      clock: options.clock,
      now: () => options.now(),
      tsc: () => options.tsc(),
      expired: () => this.#localInterrupt(LVT_TIMER),
    })
    this.reset()
  }

  /**
   * Power-on: xAPIC mode at the default address.
   * LINT0 of the bootstrap processor is ExtINT: virtual wire mode, which firmware sets up and there is none.
   */
  reset(): void {
    const first = this.#options.id === 0
    this.#base = R.APIC_BASE_DEFAULT + R.APIC_BASE_ENABLED + (first ? R.APIC_BASE_BSP : 0)
    this.init()
    if (first) this.#lvt.preset(LVT_LINT0, R.DELIVERY_EXTINT << 8)
  }

  /** State after INIT (SDM vol. 3, 11.4.7.3 and 11.12.5.1): all but the base register, and with it the mode. */
  init(): void {
    this.#irr.clear()
    this.#isr.clear()
    this.#tmr.clear()
    this.#tpr = 0
    this.#ldr = 0
    this.#dfr = 0xffffffff
    this.#svr = 0xff
    this.#errors.reset()
    this.#icr = 0
    this.#icrHigh = 0
    this.#extint = false
    this.#lvt.reset()
    this.#timer.reset()
  }

  get enabled(): boolean {
    return isEnabled(this.#base)
  }

  get x2apic(): boolean {
    return isX2apic(this.#base)
  }

  /** Is this the bootstrap processor, which INIT starts at the reset vector? */
  get bootstrap(): boolean {
    return (this.#base & R.APIC_BASE_BSP) !== 0
  }

  /** SVR bit 8. Without it only NMI, SMI, INIT and SIPI are taken (SDM vol. 3, 11.4.7.2). */
  get #softwareEnabled(): boolean {
    return (this.#svr & R.SVR_ENABLED) !== 0
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

  /** Does a PIC's interrupt reach the processor: LINT0 as ExtINT and unmasked, an ExtINT message, or the APIC disabled? */
  get acceptsExtint(): boolean {
    if (!this.enabled || this.#extint) return true
    const lint0 = this.#lvt.get(LVT_LINT0)
    return !(lint0 & R.LVT_MASKED) && R.deliveryMode(lint0) === R.DELIVERY_EXTINT
  }

  /** The PIC's vector has been taken. */
  extintTaken(): void {
    this.#extint = false
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

  /** Does `message` name this APIC? One that software has disabled takes no part in lowest-priority arbitration. */
  matches(message: InterruptMessage): boolean {
    if (!this.enabled || (message.mode === 'lowest-priority' && !this.#softwareEnabled)) return false
    return isAddressed(message, { id: this.#options.id, x2apic: this.x2apic, ldr: this.#ldr, dfr: this.#dfr })
  }

  /** Takes a message from the bus that {@link matches}. SMIs are dropped, for there is no SMM. */
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
      case 'extint':
        this.#extint = true
        break
      case 'smi':
        break
    }
  }

  /** A rising edge at LINT0 or LINT1. ExtINT is not signalled here, see {@link acceptsExtint}. */
  signalPin(pin: 0 | 1): void {
    if (this.enabled) this.#localInterrupt(pin === 0 ? LVT_LINT0 : LVT_LINT1)
  }

  // Registers by MMIO.

  /** A load from the register page: 32-bit registers at multiples of 16. Of the registers none changes when read; where there is none, that is an error. */
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
    const entry = lvtEntryAt(offset)
    if (entry !== undefined) return this.#lvt.get(entry)
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
        return this.x2apic ? x2apicLogicalId(this.#options.id) : this.#ldr
      case R.APIC_DFR:
        return this.#dfr
      case R.APIC_SVR:
        return this.#svr
      case R.APIC_ESR:
        return this.#errors.shown
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

  #timerMode(entry: number): TimerMode {
    const mode = TIMER_MODES[(entry >> 17) & 3]
    return mode === 'tsc-deadline' && !this.#options.model.has('tsc-deadline') ? 'one-shot' : mode
  }

  /** False where there is no register; read-only ones ignore writes. */
  #write(offset: number, value: number): boolean {
    const entry = lvtEntryAt(offset)
    if (entry !== undefined) {
      this.#lvt.set(entry, value, this.#softwareEnabled)
      if (entry === LVT_TIMER) this.#timer.setMode(this.#timerMode(value))
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
        this.#svr = value & R.SVR_WRITABLE
        if (!this.#softwareEnabled) this.#lvt.maskAll()
        return true
      case R.APIC_ESR:
        this.#errors.publish()
        return true
      case R.APIC_ICR:
        this.#icr = value & R.ICR_WRITABLE
        this.#send(this.#icr, widenDestination(this.#icrHigh >>> 24))
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
        this.#send((value & 0xff) | ICR_SELF, 0)
        return true
      default:
        return this.#read(offset) !== undefined
    }
  }

  // Registers by MSR.

  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and x2APIC registers; undefined is #GP. */
  readMsr(msr: number): bigint | undefined {
    if (msr === MSR_APIC_BASE) return BigInt(this.#base)
    if (msr === MSR_TSC_DEADLINE) return this.#options.model.has('tsc-deadline') ? this.#timer.deadline : undefined
    if (!this.enabled || !this.x2apic) return undefined
    const offset = offsetOfMsr(msr)
    if (offset === R.APIC_ICR) return (BigInt(this.#icrHigh >>> 0) << 32n) | BigInt(this.#icr >>> 0)
    const value = isReadable(offset) ? this.readRegister(offset) : undefined
    return value === undefined ? undefined : BigInt(value)
  }

  /** False is #GP: no such register, read-only, or a reserved bit set. */
  writeMsr(msr: number, value: bigint): boolean {
    if (msr === MSR_APIC_BASE) return this.#writeBase(value)
    if (msr === MSR_TSC_DEADLINE) {
      if (!this.#options.model.has('tsc-deadline')) return false
      this.#timer.deadline = value
      return true
    }
    if (!this.enabled || !this.x2apic) return false
    const offset = offsetOfMsr(msr)
    if (offset !== R.APIC_ICR) return isWritable(offset, value) && this.#write(offset, Number(value))
    if (!isWritableIcr(value)) return false
    this.#icr = Number(value & 0xffff_ffffn)
    this.#icrHigh = Number(value >> 32n)
    this.#send(this.#icr, this.#icrHigh)
    return true
  }

  #writeBase(value: bigint): boolean {
    if (!isLegalBase(this.#base, value, this.#options.model.has('x2apic'))) return false
    const wasEnabled = this.enabled
    this.#base = Number(value)
    // What was set up is lost (SDM vol. 3, 11.4.3).
    if (wasEnabled && !this.enabled) this.init()
    return true
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
    const broadcast = this.#tmr.has(vector) && !(this.#svr & R.SVR_SUPPRESS_EOI_BROADCAST)
    if (broadcast) this.#options.bus.endOfInterrupt(vector)
    if (this.#irr.highest() >= 0) this.#options.listener.interruptPending()
  }

  #request(vector: number, level: boolean): void {
    if (!this.#softwareEnabled) return
    if (vector < LOWEST_VECTOR) {
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
    const entry = this.#lvt.get(index)
    if (entry & R.LVT_MASKED) return
    switch (R.deliveryMode(entry)) {
      case R.DELIVERY_FIXED:
        this.#request(entry & 0xff, index !== LVT_TIMER && (entry & R.LVT_LEVEL) !== 0)
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
    const due = this.#errors.log(bit)
    const entry = this.#lvt.get(LVT_ERROR)
    // An illegal vector in the error entry itself must not report itself again.
    if (due && !(entry & R.LVT_MASKED) && (entry & 0xff) >= LOWEST_VECTOR) this.#request(entry & 0xff, false)
  }

  #illegalRegister(): number {
    this.#error(R.ESR_ILLEGAL_REGISTER)
    return 0
  }

  /** Sends what an ICR says. Remote read, SMM and lowest priority to oneself do not exist: they send nothing. */
  #send(icr: number, destination: number): void {
    const mode = DELIVERY_MODES[R.deliveryMode(icr)]
    const vector = icr & 0xff
    if (mode === undefined) return
    if ((mode === 'fixed' || mode === 'lowest-priority') && vector < LOWEST_VECTOR) {
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
      esr: this.#errors.shown,
      errors: this.#errors.logged,
      icr: this.#icr,
      icrHigh: this.#icrHigh,
      extint: this.#extint,
      lvt: this.#lvt.save(),
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
    this.#errors.shown = state.esr
    this.#errors.logged = state.errors
    this.#icr = state.icr
    this.#icrHigh = state.icrHigh
    this.#extint = state.extint
    this.#lvt.restore(state.lvt)
    this.#irr.restore(state.irr)
    this.#isr.restore(state.isr)
    this.#tmr.restore(state.tmr)
    this.#timer.restore(state.timer)
  }

  /** Every register that this mode has, for inspection. */
  registers(): readonly ApicRegister[] {
    return apicRegisters(offset => this.readRegister(offset))
  }
}
