/**
 * A vCPU of the software processor: the loop around generated code that finds blocks, keeps the budget, delivers
 * events at instruction boundaries and turns what generated code throws into exceptions of the guest or exits.
 */

import type { VirtualClock } from '../util/virtual-clock.ts'
import { RFLAGS_IF, RFLAGS_RF, RFLAGS_TF } from '../x86/rflags.ts'
import { LocalApic } from './apic/local-apic.ts'
import { AssistPort } from './assist-port.ts'
import { AssistView } from './assist-view.ts'
import { type CpuState, Segment } from './cpu-state.ts'
import { instructionBreakpointsAt } from './debug-breakpoints.ts'
import * as R from './decoder/record.ts'
import { divideWide } from './divide-wide.ts'
import { GuestFault } from './fault.ts'
import { InstructionCount } from './instruction-count.ts'
import { RETURN_HOT, RETURN_LOOKUP } from './interpreter/generate.ts'
import { MODE_CODE_64 } from './mode.ts'
import { PendingEvents } from './pending-events.ts'
import type {
  Activity,
  ApicBus,
  ApicRegister,
  ControlBlock,
  CpuidResult,
  Exit,
  InterruptMessage,
  Observer,
  ProcessorEvent,
  RegisterFile,
  Vcpu,
  VcpuState,
} from './processor.ts'
import { StateRegisterFile } from './register-file.ts'
import { resetState, setConstants } from './reset.ts'
import { checkSegmentAccess } from './segment-check.ts'
import type { SoftwareProcessor } from './software-processor.ts'
import * as S from './state.ts'
import type { Asked } from './stops/breakpoint-sites.ts'
import { before, eventsOf, isObserved } from './stops/observed-assists.ts'
import { RunningView } from './stops/running-view.ts'
import { deliver, eventOf, type GuestEvent } from './system/interrupt-delivery.ts'
import { peekMsr } from './system/msr.ts'
import { RSP } from './system/stack.ts'
import { RUN_ALONE, VmExit } from './vm-exit.ts'

const ACTIVITIES: readonly Activity[] = ['active', 'hlt', 'shutdown', 'wait-for-sipi']
const ACTIVE = 0
const HLT = 1
const SHUTDOWN = 2
const WAIT_FOR_SIPI = 3

const MOV_SS_SHADOW = 2
const SHADOW = 1 | MOV_SS_SHADOW
const NMI_BLOCKED = 8
const DEBUG_EXCEPTION = 1
const DR6_BS = 1 << 14
const A20 = 1 << 20

/** Keeps the random numbers of a machine's processors apart. */
const RANDOM_SEED_STEP = 0x2545_f491_4f6c_dd1dn

/** Deliveries of events without a retired instruction between them, before they count as one each. */
const FREE_DELIVERIES = 64

/** Addresses that handlers have not come back to, and may never. */
const MOST_UNFINISHED = 64

/** Instructions in one call of generated code at most: V8 replaces a running function only when it is entered anew. */
const LONGEST_CALL = 200_000

export class SoftwareVcpu implements Vcpu {
  readonly index: number
  readonly controls: ControlBlock
  readonly clock: VirtualClock
  readonly state: CpuState
  readonly registers: RegisterFile
  readonly apic: LocalApic
  readonly view: RunningView
  /** Record of the instruction that called into TypeScript last. */
  record = 0

  readonly #processor: SoftwareProcessor
  readonly #assistView: AssistView
  /** State while another vCPU's is current. */
  readonly #stored = new Uint8Array(S.STATE_SIZE)
  readonly #storedView = new DataView(this.#stored.buffer)
  readonly #count: InstructionCount
  readonly #pending = new PendingEvents()
  readonly #port: AssistPort
  /** Instructions that other vCPUs have retired, and the clock's count when this one ran last. */
  #others = 0
  #lastCount = 0
  #runs = false
  /** Where breakpoints were asked, or left, last: linear address, and instructions that this vCPU had retired. */
  readonly #asked = { low: 0, high: 0, retired: -1 }
  /** Linear addresses of instructions that breakpoints were asked for, and that handlers come back to with RF set. */
  readonly #unfinished = new Set<bigint>()
  #observer: Observer | undefined
  /** What the running instruction, or delivery, did that the observer asked for. */
  #events: ProcessorEvent[] = []
  /** Vectors of the events that the observer was asked about and that are not delivered yet. */
  readonly #askedEvents = new Set<number>()
  /** The instruction, or delivery, that is over was to be stopped after. */
  #stopOwed = false

  constructor(
    processor: SoftwareProcessor,
    options: { index: number; clock: VirtualClock; bus: ApicBus; controls: ControlBlock },
  ) {
    this.index = options.index
    this.controls = options.controls
    this.clock = options.clock
    this.#processor = processor
    this.state = processor.state
    this.#port = new AssistPort({
      ...{ processor, clock: options.clock, controls: options.controls, pending: this.#pending },
      isCurrent: () => processor.isCurrent(this),
      activate: () => processor.activate(this),
    })
    this.#assistView = new AssistView(processor.memory, processor.state)
    this.#count = new InstructionCount(processor.memory, options.clock, () => this.#port.tsc)
    this.apic = new LocalApic({
      id: options.index,
      model: processor.model,
      bus: options.bus,
      clock: options.clock,
      now: () => this.#port.now,
      tsc: () => this.#port.tsc,
      listener: {
        interruptPending: () => this.#port.eventsChanged(),
        nmi: () => {
          this.#pending.nmi = true
          this.#port.eventsChanged()
        },
        init: () => {
          this.#pending.init = true
          this.#pending.startUp = undefined
          this.#port.eventsChanged()
        },
        startUp: vector => {
          this.#pending.startUp = vector
          this.#port.eventsChanged()
        },
      },
    })
    this.#port.apic = this.apic
    this.registers = new StateRegisterFile(this.state, this.#port)
    const { registers, state } = this
    const count = () => (this.#runs ? this.#count.exact : this.clock.count)
    this.view = new RunningView(this.index, { registers, state, peek: processor.peek, count })
    this.reset()
    this.registers.set('random', BigInt(options.index) * RANDOM_SEED_STEP)
  }

  // --- Vcpu: power, state

  reset(): void {
    this.#processor.activate(this)
    resetState(this.state, true)
    this.apic.reset()
    this.#pending.reset()
    this.#forgetBreakpoints()
    this.#processor.mmu.endInstruction()
    this.state.set32(S.ACTIVITY, this.index === 0 ? ACTIVE : WAIT_FOR_SIPI)
    this.#port.flushTlb(false)
    this.#port.contextChanged()
  }

  /**
   * INIT and SIPI arrive in the middle of the sender's instruction, when the state in place is the sender's: they wait
   * until this vCPU is looked at. INIT ends whatever was under way; the bootstrap processor then runs at once, the
   * others wait for a SIPI (SDM vol. 3, 11.4.7.3).
   */
  #takeSignals(): void {
    if (!this.#pending.init && this.#pending.startUp === undefined) return
    this.#processor.activate(this)
    if (this.#pending.init) {
      this.#pending.abandon()
      this.#processor.mmu.endInstruction()
      resetState(this.state, false)
      this.apic.init()
      this.state.set32(S.ACTIVITY, this.apic.bootstrap ? ACTIVE : WAIT_FOR_SIPI)
      this.#port.flushTlb(false)
    }
    const vector = this.#pending.startUp
    this.#pending.startUp = undefined
    if (vector !== undefined && this.state.get32(S.ACTIVITY) === WAIT_FOR_SIPI) {
      // SDM vol. 3, 9.4.4.1: a SIPI's vector is the page of the first instruction.
      const code = this.state.segment(Segment.CS)
      this.state.setSegment(Segment.CS, { ...code, selector: vector << 8, base: BigInt(vector << 12) })
      this.state.rip = 0n
      this.state.set32(S.ACTIVITY, ACTIVE)
    }
    this.#port.contextChanged()
  }

  /** A word of this vCPU's state, wherever that is. */
  #peek32(at: number): number {
    if (this.#processor.isCurrent(this)) return this.state.get32(at)
    return this.#storedView.getUint32(at - S.STATE_BASE, true)
  }

  get activity(): Activity {
    this.#takeSignals()
    const activity = this.#peek32(S.ACTIVITY)
    if (activity === HLT && this.#wakes()) return 'active'
    return ACTIVITIES[activity]
  }

  /** Does something end HLT: an NMI, or an interrupt that is let through? */
  #wakes(): boolean {
    if (this.#pending.nmi && (this.#peek32(S.INTERRUPTIBILITY) & NMI_BLOCKED) === 0) return true
    return (this.#peek32(S.FLAG_SYSTEM) & RFLAGS_IF) !== 0 && this.apic.highestPending() !== undefined
  }

  storeState(): void {
    this.#stored.set(this.#processor.memory.u8.subarray(S.STATE_BASE, S.STATE_BASE + S.STATE_SIZE))
  }

  loadState(): void {
    this.#processor.memory.u8.set(this.#stored, S.STATE_BASE)
    setConstants(this.state)
    this.#processor.physical.select(this.controls.eptPointer)
    const vcpu = this
    this.#processor.mmu.mmio = {
      get base() {
        return vcpu.apic.mmioBase
      },
      read: (offset, size) => vcpu.apic.readMmio(offset, size),
      write: (offset, size, value) => vcpu.apic.writeMmio(offset, size, value),
    }
    this.#processor.mmu.completed = this.#pending.accesses
    this.#processor.mmu.onDevice = () => {
      if (this.record !== 0) this.#count.synchronize(this.record)
    }
    this.#port.loaded()
  }

  /** ASIDs were given anew. */
  translationsDropped(): void {
    this.#port.contextChanged()
  }

  save(): VcpuState {
    this.#processor.activate(this)
    this.storeState()
    return {
      state: Buffer.from(this.#stored).toString('base64'),
      apic: this.apic.save(),
      pending: this.#pending.save(),
    }
  }

  restore(saved: VcpuState): void {
    const bytes = Buffer.from(saved.state, 'base64')
    if (bytes.length !== S.STATE_SIZE)
      throw new RangeError(`saved vCPU: ${bytes.length} bytes of state, ${S.STATE_SIZE} expected`)
    this.#processor.activate(this)
    this.#processor.memory.u8.set(bytes, S.STATE_BASE)
    setConstants(this.state)
    this.apic.restore(saved.apic)
    this.#pending.restore(saved.pending)
    this.#forgetBreakpoints()
    this.#port.flushTlb(false)
    this.#port.contextChanged()
    this.#port.eventsChanged()
  }

  // --- Vcpu: interrupts

  get interruptible(): boolean {
    const activity = this.#peek32(S.ACTIVITY)
    return (
      this.#pending.undelivered === undefined &&
      // Debug traps come before interrupts (SDM vol. 3, table 6-2).
      this.#peek32(S.PENDING_DEBUG) === 0 &&
      (this.#peek32(S.FLAG_SYSTEM) & RFLAGS_IF) !== 0 &&
      (this.#peek32(S.INTERRUPTIBILITY) & SHADOW) === 0 &&
      (activity === ACTIVE || activity === HLT)
    )
  }

  injectInterrupt(vector: number): void {
    this.#processor.activate(this)
    this.apic.extintTaken()
    this.#pending.undelivered = { vector, kind: 'external' }
    this.state.set32(S.ACTIVITY, ACTIVE)
  }

  requestInterruptWindow(wanted: boolean): void {
    if (wanted === this.#pending.interruptWindow) return
    this.#pending.interruptWindow = wanted
    this.#port.eventsChanged()
  }

  acceptInterrupt(message: InterruptMessage): void {
    this.apic.accept(message)
  }

  raisePin(pin: 0 | 1): void {
    this.apic.signalPin(pin)
  }

  get acceptsExtint(): boolean {
    return this.apic.acceptsExtint
  }

  matches(message: InterruptMessage): boolean {
    return this.apic.matches(message)
  }

  get priority(): number {
    return this.apic.priority
  }

  get apicRegisters(): readonly ApicRegister[] {
    return this.apic.registers()
  }

  setA20(enabled: boolean): void {
    const mask = enabled ? 0 : A20
    if (this.#peek32(S.A20_MASK) === mask) return
    this.#processor.activate(this)
    this.state.set32(S.A20_MASK, mask)
    this.#port.flushTlb(false)
  }

  // --- Vcpu: completions

  completeAccess(value: bigint): void {
    this.#pending.accesses.push(value)
  }
  completeIn(value: number): void {
    this.#pending.completion = { kind: 'in', value }
  }
  completeCpuid(result: CpuidResult): void {
    this.#pending.completion = { kind: 'cpuid', result }
  }
  completeRdmsr(value: bigint | undefined): void {
    this.#pending.completion = { kind: 'rdmsr', value }
  }
  completeWrmsr(known: boolean): void {
    this.#pending.completion = { kind: 'wrmsr', known }
  }

  // --- the run loop

  run(budget: number): Exit {
    this.#others += this.clock.count - this.#lastCount
    this.#runs = true
    try {
      return this.#run(budget)
    } finally {
      this.#runs = false
      this.#lastCount = this.clock.count
    }
  }

  /** Instructions that this vCPU has retired, between two of them. */
  get #retired(): number {
    return (this.#runs ? this.#count.exact : this.#lastCount) - this.#others
  }

  #run(budget: number): Exit {
    this.#processor.activate(this)
    const end = this.clock.count + budget
    for (;;) {
      if (this.#stopOwed) {
        this.#stopOwed = false
        return { reason: 'breakpoint' }
      }
      this.#takeSignals()
      const event = this.#beforeInstruction()
      if (event !== undefined) return event
      if (this.#stopOwed) continue
      if (this.state.get32(S.ACTIVITY) !== ACTIVE) {
        return this.state.get32(S.ACTIVITY) === SHUTDOWN ? { reason: 'triple-fault' } : { reason: 'hlt' }
      }
      const left = Math.min(end - this.clock.count, this.clock.instructionsToDeadline)
      if (left <= 0) return { reason: 'budget' }
      const exit = this.#runBlocks(left)
      if (exit !== undefined) return exit
    }
  }

  /** Events between two instructions, by priority (SDM vol. 3, 6.9). */
  #beforeInstruction(): Exit | undefined {
    const { state } = this
    const undelivered = this.#pending.undelivered
    if (undelivered !== undefined) return this.#deliver(undelivered)
    // An instruction that the hypervisor has answered is in its middle: it must retire before anything else happens.
    if (this.#pending.answered) return undefined
    const pendingDebug = state.get32(S.PENDING_DEBUG)
    // MOV SS holds debug traps off too (SDM vol. 3, 6.8.3).
    if (pendingDebug !== 0 && (state.get32(S.INTERRUPTIBILITY) & MOV_SS_SHADOW) === 0) {
      state.set32(S.PENDING_DEBUG, 0)
      state.set32(S.DR + 48, state.get32(S.DR + 48) | pendingDebug)
      return this.#deliver(eventOf(new GuestFault(DEBUG_EXCEPTION)))
    }
    if (state.get32(S.EVENT_PENDING) === 0) return undefined
    const interruptibility = state.get32(S.INTERRUPTIBILITY)
    if (this.#pending.nmi && (interruptibility & (SHADOW | NMI_BLOCKED)) === 0) {
      this.#pending.nmi = false
      this.#port.eventsChanged()
      return this.#deliver({ vector: 2, kind: 'nmi' })
    }
    if (!this.interruptible) return undefined
    if (this.#pending.interruptWindow) {
      this.#pending.interruptWindow = false
      this.#port.eventsChanged()
      return { reason: 'interrupt-window' }
    }
    if (this.apic.highestPending() !== undefined) {
      const vector = this.apic.acknowledge()
      this.#port.eventsChanged()
      return this.#deliver({ vector, kind: 'external' })
    }
    return undefined
  }

  /**
   * Delivers an event. When its delivery leaves for an exit (an EPT violation of a stack or descriptor table), the
   * event is kept and delivered again at the next run.
   */
  #deliver(cause: GuestEvent): Exit | undefined {
    const { state } = this
    const repeating = state.get32(S.ENDED) === S.ENDED_REPEATING
    const event = repeating ? { ...cause, resumes: true } : cause
    if (repeating) this.#willResume()
    this.#count.start(0)
    this.record = 0
    this.#pending.undelivered = event
    if (this.#stopsBeforeInterrupt(event)) return { reason: 'breakpoint' }
    const { mmu } = this.#processor
    const was = { rip: state.rip, cpl: state.cpl, stack: state.gpr(RSP) }
    mmu.watchpoints.begin()
    // What a delivery writes may be code or meet a breakpoint: nothing else is under way, as for an instruction alone.
    mmu.alone = true
    mmu.met = 0
    try {
      const outcome = deliver(this.#port, event, each => this.#intercept(each))
      this.#pending.undelivered = undefined
      this.#countDelivery()
      this.#pendBreakpointsMet()
      if (outcome === 'delivered') this.#delivered(event, was)
      state.set32(S.ACTIVITY, outcome === 'delivered' ? ACTIVE : SHUTDOWN)
      return outcome === 'delivered' ? undefined : { reason: 'triple-fault' }
    } catch (thrown) {
      if (!(thrown instanceof VmExit)) throw thrown
      if (thrown.exit.reason === 'exception') this.#pending.undelivered = undefined
      return thrown.exit
    } finally {
      mmu.alone = false
      this.#port.contextChanged()
    }
  }

  /**
   * Deliveries count for nothing, but a guest whose handlers fault at their first instruction would never use up its
   * budget: after many at the same count each one counts.
   */
  #countDelivery(): void {
    const { f64, i32 } = this.#processor.memory
    if (f64[S.DELIVERED_AT >> 3] !== this.clock.count) i32[S.DELIVERIES >> 2] = 0
    if (++i32[S.DELIVERIES >> 2] > FREE_DELIVERIES) {
      this.clock.count++
      this.#count.start(0)
    }
    f64[S.DELIVERED_AT >> 3] = this.clock.count
  }

  #intercept(event: GuestEvent): void {
    const { vector, errorCode, address } = event
    if (this.#observer !== undefined && ((this.#observer.exceptions >>> vector) & 1) !== 0) {
      const original = this.#pending.undelivered?.vector
      const during = original === vector ? undefined : original
      const { rip } = this.state
      if (this.#asksBefore(vector, { kind: 'exception', vector, errorCode, address, during, rip }))
        throw new VmExit({ reason: 'breakpoint' }, false)
    }
    if (((this.controls.exceptionBitmap >>> vector) & 1) === 0) return
    throw new VmExit({ reason: 'exception', vector, errorCode, address }, false)
  }

  /** Runs generated code for up to `budget` instructions; undefined to look at events and go on. */
  #runBlocks(budget: number): Exit | undefined {
    const { state } = this
    const { mmu } = this.#processor
    // One at a time: under a shadow, with TF or debug registers, or to finish what an exit began.
    const careful =
      (state.get32(S.INTERRUPTIBILITY) & SHADOW) !== 0 ||
      (state.get32(S.FLAG_SYSTEM) & (RFLAGS_TF | RFLAGS_RF)) !== 0 ||
      this.#port.hasCodeBreakpoints ||
      this.#pending.answered
    // The next iteration of a REP is no new execution of it.
    if (state.get32(S.ENDED) === S.ENDED_REPEATING) this.leaveBreakpoint()
    state.set32(S.ENDED, 0)
    this.#count.start(Math.min(budget, LONGEST_CALL))
    try {
      return careful ? this.#runOne() : this.#runMany(budget)
    } catch (thrown) {
      return this.#thrown(thrown)
    } finally {
      mmu.alone = false
    }
  }

  #runMany(budget: number): Exit | undefined {
    const { state, memory, sites } = this.#processor
    this.#processor.compiler.installNoted()
    const block = this.#lookUp(false)
    // What is left is shorter than the block: its instructions run one at a time.
    if (memory.i32[(block + R.BLOCK_COUNT) >> 2] > budget) return this.#runOne()
    memory.u64[S.BLOCK_RIP >> 3] = state.rip
    let next = block
    for (;;) {
      memory.i32[S.LINK_SLOT >> 2] = 0
      const code = this.#processor.execute(next)
      if (code === RETURN_HOT) {
        // Entered again as it is: to look it up would be a fetch that the interpreter alone does not make.
        next = memory.i32[S.LINK_SLOT >> 2]
        if (!sites.isSite(next)) {
          this.#processor.compiler.note(next)
          continue
        }
        const spent = memory.i32[S.BUDGET >> 2] <= 0
        if (!spent && !this.#stopsAtSite(next)) continue
        sites.trap(next)
        this.#count.stop()
        return spent ? undefined : { reason: 'breakpoint' }
      }
      if (code !== RETURN_LOOKUP) {
        this.#count.stop()
        return undefined
      }
      const found = this.#lookUp(false)
      // Read after the look-up, which may have made room by dropping all code, the branch's own record too.
      const link = memory.i32[S.LINK_SLOT >> 2]
      if (link !== 0 && memory.i32[(found + R.BLOCK_LINKABLE) >> 2] !== 0) memory.i32[link >> 2] = found
      memory.u64[S.BLOCK_RIP >> 3] = state.rip
      next = found
    }
  }

  /** Runs one instruction as a block of its own. */
  #runOne(): Exit | undefined {
    const { state, memory, mmu } = this.#processor
    const system = state.get32(S.FLAG_SYSTEM)
    const shadow = state.get32(S.INTERRUPTIBILITY) & SHADOW
    const matched = this.#codeBreakpoint(system)
    if (matched !== 0) {
      state.set32(S.DR + 48, state.get32(S.DR + 48) | matched)
      this.#count.stop()
      return this.#deliver(eventOf(new GuestFault(DEBUG_EXCEPTION)))
    }
    mmu.alone = true
    mmu.beginInstruction()
    const block = this.#lookUp(true)
    const { sites, finder, compiler } = this.#processor
    if (!sites.isEmpty && this.#stopsBefore(finder.low, finder.high, finder.breakpoints)) {
      this.#count.stop()
      return { reason: 'breakpoint' }
    }
    memory.u64[S.BLOCK_RIP >> 3] = state.rip
    if (!mmu.watchpoints.isEmpty) this.#instructionRip = state.rip
    this.#count.start(1)
    // RF lasts for one instruction, but IRET and POPF may set it anew.
    state.set32(S.FLAG_SYSTEM, system & ~RFLAGS_RF)
    this.#port.beginInstruction()
    try {
      // What follows is not entered for want of budget, but may have become hot by the attempt.
      if (this.#processor.execute(block) === RETURN_HOT) {
        const next = memory.i32[S.LINK_SLOT >> 2]
        if (sites.isSite(next)) sites.trap(next)
        else compiler.note(next)
      }
    } catch (thrown) {
      if (thrown instanceof VmExit && thrown.retired) this.#afterRetirement(shadow, system)
      else state.set32(S.FLAG_SYSTEM, state.get32(S.FLAG_SYSTEM) | (system & RFLAGS_RF))
      throw thrown
    }
    this.#retiredAlone(shadow, system)
    return undefined
  }

  #retiredAlone(shadow: number, system: number): void {
    this.#count.stop()
    this.#pending.completion = undefined
    this.#processor.mmu.endInstruction()
    this.#afterRetirement(shadow, system)
    this.#askAfter()
  }

  /** What lay on the instruction is over: an interrupt shadow, a single-step trap. Also for one that ended in an exit. */
  #afterRetirement(shadow: number, system: number): void {
    const { state } = this.#processor
    // The shadow that lay on this instruction is over; one that it cast itself stays.
    if (shadow !== 0) state.set32(S.INTERRUPTIBILITY, state.get32(S.INTERRUPTIBILITY) & ~shadow)
    if ((system & RFLAGS_TF) !== 0 && state.get32(S.ENDED) !== S.ENDED_UNSTEPPED)
      state.set32(S.PENDING_DEBUG, state.get32(S.PENDING_DEBUG) | DR6_BS)
    this.#pendBreakpointsMet()
  }

  /** The trap of data breakpoints follows the instruction, or the delivery of an event, that met them. */
  #pendBreakpointsMet(): void {
    const { state, mmu } = this.#processor
    if (mmu.met !== 0) state.set32(S.PENDING_DEBUG, state.get32(S.PENDING_DEBUG) | mmu.met)
    mmu.met = 0
  }

  /** DR6 bits of instruction breakpoints at RIP (SDM vol. 3, 17.2.4); RF suppresses them. */
  #codeBreakpoint(system: number): number {
    const { finder, state } = this.#processor
    if (!this.#port.hasCodeBreakpoints || (system & RFLAGS_RF) !== 0) return 0
    // MOV SS holds every debug exception off (SDM vol. 3, 6.8.3).
    if ((state.get32(S.INTERRUPTIBILITY) & MOV_SS_SHADOW) !== 0) return 0
    this.record = 0
    finder.locate()
    return instructionBreakpointsAt(state, finder.linear)
  }

  /** The block at RIP, decoded when it is new. */
  #lookUp(single: boolean): number {
    const { finder } = this.#processor
    // A fault of the fetch belongs to no record: RIP is where it should be.
    this.record = 0
    finder.locate()
    return finder.find(single)
  }

  // --- breakpoints of the debugger

  /** A site trapped: does the run end there? If not, the next entry of its block passes. */
  #stopsAtSite(block: number): boolean {
    const { finder, sites } = this.#processor
    this.record = 0
    finder.locate()
    const asked = sites.atSite(block, finder.low, finder.high)
    if (this.#stopsBefore(finder.low, finder.high, asked)) return true
    if (sites.isSite(block)) sites.pass(block)
    return false
  }

  /** Does anybody who is asked want the run to end before the instruction at a linear address? */
  #stopsBefore(low: number, high: number, asked: readonly Asked[]): boolean {
    if (asked.length === 0) return false
    const last = this.#asked
    const retired = this.#retired
    if (last.retired === retired && last.low === low && last.high === high) return false
    last.low = low
    last.high = high
    last.retired = retired
    if (this.#unfinished.size > 0 && (this.state.get32(S.FLAG_SYSTEM) & RFLAGS_RF) !== 0)
      if (this.#unfinished.delete(this.#processor.finder.linear)) return false
    let stops = false
    // Each of them counts its hits.
    for (const each of asked) if (each.reached === undefined || each.reached(this.view)) stops = true
    return stops
  }

  leaveBreakpoint(): void {
    const { finder, sites } = this.#processor
    if (sites.isEmpty) return
    this.#processor.activate(this)
    if (!this.#locates()) return
    this.#asked.low = finder.low
    this.#asked.high = finder.high
    this.#asked.retired = this.#retired
  }

  askBreakpoint(): boolean {
    const { finder, sites, peek, memory } = this.#processor
    if (sites.isEmpty) return false
    this.#processor.activate(this)
    if (!this.#locates()) return false
    const hpa = peek.translate(finder.low, finder.high)
    if (hpa < 0) return false
    return this.#stopsBefore(finder.low, finder.high, sites.at(finder.low, finder.high, hpa, memory.u32[S.MODE >> 2]))
  }

  /** The instruction at RIP was begun and will be gone on with after a handler: its breakpoints have been asked. */
  #willResume(): void {
    if (this.#processor.sites.isEmpty || !this.#locates()) return
    if (this.#unfinished.size >= MOST_UNFINISHED) this.#unfinished.clear()
    this.#unfinished.add(this.#processor.finder.linear)
  }

  /** Has CS:RIP a linear address? */
  #locates(): boolean {
    try {
      this.#processor.finder.locate()
      return true
    } catch (thrown) {
      if (thrown instanceof GuestFault) return false
      throw thrown
    }
  }

  /** The instruction at RIP faulted: were its breakpoints asked before it? */
  #wasAsked(): boolean {
    const { finder, sites } = this.#processor
    if (sites.isEmpty || this.#asked.retired !== this.#retired || !this.#locates()) return false
    return finder.low === this.#asked.low && finder.high === this.#asked.high
  }

  // --- watchpoints and events that a debugger asked for

  observe(observer: Observer | undefined): void {
    this.#observer = observer
  }

  /** The instruction has retired: asks about what it accessed and did. RIP is the next one's. */
  #askAfter(): void {
    const { watchpoints } = this.#processor.mmu
    if (!watchpoints.isEmpty && watchpoints.ask(this.#instructionRip, this.view)) this.#stopOwed = true
    if (this.#events.length === 0) return
    for (const event of this.#events.splice(0)) if (this.#observer?.happened(event, this.view)) this.#stopOwed = true
  }
  /** RIP of the instruction that runs alone. */
  #instructionRip = 0n

  #delivered(
    { vector, kind }: GuestEvent,
    was: { readonly rip: bigint; readonly cpl: number; readonly stack: bigint },
  ): void {
    this.#askedEvents.clear()
    const { watchpoints } = this.#processor.mmu
    const { rip, cpl, stack } = was
    if (!watchpoints.isEmpty && watchpoints.ask(rip, this.view)) this.#stopOwed = true
    const observer = this.#observer
    if (observer === undefined) return
    const event = kind === 'exception' ? 'exception' : 'interrupt'
    const to = this.state.cpl
    const stops =
      (observer.transitions &&
        cpl !== to &&
        observer.happened({ kind: 'transition', from: cpl, to, cause: event, rip }, this.view)) ||
      (observer.deliveries === true &&
        observer.happened({ kind: 'delivered', vector, event, cpl, stack, rip }, this.view))
    if (stops) this.#stopOwed = true
  }

  #stopsBeforeInterrupt({ vector, kind }: GuestEvent): boolean {
    if (this.#observer?.interrupts !== true || (kind !== 'external' && kind !== 'nmi')) return false
    return this.#asksBefore(vector, { kind: 'interrupt', vector, nmi: kind === 'nmi', rip: this.state.rip })
  }

  /** Asks about an event before its delivery, once however often that is begun. */
  #asksBefore(vector: number, event: ProcessorEvent): boolean {
    if (this.#askedEvents.has(vector)) return false
    this.#askedEvents.add(vector)
    return this.#observer?.happened(event, this.view) === true
  }

  /** Runs an assist that may do what the observer wants to know. It runs alone, so that the run can end after it. */
  #runObserved(observer: Observer, view: AssistView, name: string): void {
    if (!this.#processor.mmu.alone) throw RUN_ALONE
    const { state } = this
    const was = before(state, view.rip, msr => peekMsr(this.#port, msr))
    const register = view.register0
    try {
      this.#processor.decoder.assists[view.assist](this.#port, view)
    } catch (thrown) {
      if (thrown instanceof VmExit && thrown.retired) this.#events = eventsOf(observer, name, register, state, was)
      throw thrown
    }
    this.#events = eventsOf(observer, name, register, state, was)
  }

  #forgetBreakpoints(): void {
    this.#asked.retired = -1
    this.#unfinished.clear()
    this.#askedEvents.clear()
    this.#events.length = 0
    this.#stopOwed = false
  }

  /** What generated code, or TypeScript called from it, threw. */
  #thrown(thrown: unknown): Exit | undefined {
    const { mmu, state } = this.#processor
    const retired = thrown instanceof VmExit && thrown.retired
    if (this.record !== 0) {
      this.#count.giveBack(this.record, retired)
      if (!retired) state.rip = this.#recordRip(this.record)
    }
    this.record = 0
    this.#count.stop()
    if (thrown === RUN_ALONE) {
      this.#count.start(1)
      try {
        return this.#runOne()
      } catch (again) {
        return this.#thrown(again)
      } finally {
        mmu.alone = false
      }
    }
    if (thrown instanceof VmExit) {
      if (thrown.retired) {
        this.#pending.completion = undefined
        mmu.endInstruction()
        this.#port.contextChanged()
        this.#askAfter()
      }
      return thrown.exit
    }
    this.#pending.completion = undefined
    mmu.endInstruction()
    this.#events.length = 0
    if (thrown instanceof GuestFault) {
      if (this.#wasAsked()) this.#willResume()
      const event = eventOf(thrown)
      // The one debug exception that an instruction itself throws is general detection, a fault.
      return this.#deliver(thrown.vector === DEBUG_EXCEPTION ? { ...event, resumes: true } : event)
    }
    throw thrown
  }

  #recordRip(record: number): bigint {
    const { memory } = this.#processor
    const rip = memory.u64[S.BLOCK_RIP >> 3] + BigInt(memory.u16[(record + R.RIP_OFFSET) >> 1])
    return (memory.u32[S.MODE >> 2] & 3) === MODE_CODE_64 ? BigInt.asUintN(64, rip) : rip & 0xffff_ffffn
  }

  // --- called by generated code

  raiseFault(vector: number, record: number): never {
    this.record = record
    throw new GuestFault(vector, vector === 13 ? 0 : undefined)
  }

  runAssist(record: number): void {
    this.record = record
    this.#count.synchronize(record)
    const view = this.#assistView.at(
      record,
      this.#processor.memory.u64[S.BLOCK_RIP >> 3],
      (this.state.get32(S.MODE) & 3) === MODE_CODE_64,
    )
    this.state.rip = view.nextRip
    const { mmu, decoder } = this.#processor
    mmu.stackOperand = view.hasMemory && view.segment === Segment.SS
    const observer = this.#observer
    try {
      if (observer !== undefined && isObserved(observer, decoder.assistNames[view.assist]))
        this.#runObserved(observer, view, decoder.assistNames[view.assist])
      else decoder.assists[view.assist](this.#port, view)
    } finally {
      mmu.stackOperand = false
    }
  }

  divideWide(signed: boolean, record: number): void {
    this.record = record
    divideWide(this.state, signed)
  }

  checkSegment(record: number, segment: number, offset: number, bytes: number, write: boolean): void {
    this.record = record
    checkSegmentAccess(this.state, segment, offset, bytes, write)
  }
}
