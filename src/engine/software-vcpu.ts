/**
 * A vCPU of the software processor: the loop around generated code that finds blocks, keeps the budget, delivers
 * events at instruction boundaries and turns what generated code throws into exceptions of the guest or exits.
 */

import type { VirtualClock } from '../util/virtual-clock.ts'
import { isFault } from '../x86/exceptions.ts'
import { RFLAGS_IF, RFLAGS_RF, RFLAGS_TF } from '../x86/rflags.ts'
import { LocalApic } from './apic/local-apic.ts'
import { AssistPort } from './assist-port.ts'
import { AssistView } from './assist-view.ts'
import { type CpuState, Segment } from './cpu-state.ts'
import { instructionBreakpointsAt } from './debug-breakpoints.ts'
import * as R from './decoder/record.ts'
import { divideWide } from './divide-wide.ts'
import { EventDelivery } from './event-delivery.ts'
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
  RegisterFile,
  Vcpu,
  VcpuState,
} from './processor.ts'
import { StateRegisterFile } from './register-file.ts'
import { resetState, setConstants } from './reset.ts'
import { checkSegmentAccess } from './segment-check.ts'
import type { SoftwareProcessor } from './software-processor.ts'
import { activityAfterSignals, takeInit, takeStartUp } from './start-signals.ts'
import * as S from './state.ts'
import { BreakpointQuestions } from './stops/breakpoint-questions.ts'
import { EventQuestions } from './stops/event-questions.ts'
import { isObserved } from './stops/observed-assists.ts'
import { RunningView } from './stops/running-view.ts'
import { RUN_ALONE, VmExit } from './vm-exit.ts'

const ACTIVITIES: readonly Activity[] = ['active', 'hlt', 'shutdown', 'wait-for-sipi']

const DR6_BS = 1 << 14
const A20 = 1 << 20

/** Faults that generated code raises itself and that have an error code: #SS and #GP, with 0. */
const WITH_ERROR_CODE = [12, 13]

/** Keeps the random numbers of a machine's processors apart. */
const RANDOM_SEED_STEP = 0x2545_f491_4f6c_dd1dn

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
  readonly #breakpoints: BreakpointQuestions
  readonly #events: EventQuestions
  readonly #delivery: EventDelivery

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
    this.#breakpoints = new BreakpointQuestions(processor, this.view, {
      retired: () => this.#retired,
      activate: () => processor.activate(this),
    })
    this.#events = new EventQuestions(processor, this.view, this.#port)
    this.#delivery = new EventDelivery({
      ...{ processor, port: this.#port, apic: this.apic, pending: this.#pending, count: this.#count },
      ...{ breakpoints: this.#breakpoints, events: this.#events },
      interruptible: () => this.interruptible,
    })
    this.reset()
    this.registers.set('random', BigInt(options.index) * RANDOM_SEED_STEP)
  }

  // --- Vcpu: power, state

  reset(): void {
    this.#processor.activate(this)
    resetState(this.state, true)
    this.apic.reset()
    this.#pending.reset()
    this.#breakpoints.forget()
    this.#events.forget()
    this.#processor.mmu.endInstruction()
    this.state.set32(S.ACTIVITY, this.index === 0 ? S.ACTIVITY_ACTIVE : S.ACTIVITY_WAIT_FOR_SIPI)
    this.#port.flushTlb(false)
    this.#port.contextChanged()
  }

  takeSignals(): void {
    const { init, startUp } = this.#pending
    if (!init && startUp === undefined) return
    this.#processor.activate(this)
    if (init) {
      this.#processor.mmu.endInstruction()
      takeInit(this.state, this.#pending, this.apic)
      this.#port.flushTlb(false)
    }
    takeStartUp(this.state, this.#pending)
    this.#port.contextChanged()
  }

  /** A word of this vCPU's state, wherever that is. */
  #peek32(at: number): number {
    if (this.#processor.isCurrent(this)) return this.state.get32(at)
    return this.#storedView.getUint32(at - S.STATE_BASE, true)
  }

  get activity(): Activity {
    const activity = activityAfterSignals(this.#peek32(S.ACTIVITY), this.#pending, this.apic)
    if (activity === S.ACTIVITY_HLT && this.#wakes()) return 'active'
    return ACTIVITIES[activity]
  }

  /** Does something end HLT: an NMI, or an interrupt that is let through? */
  #wakes(): boolean {
    if (this.#pending.nmi && (this.#peek32(S.INTERRUPTIBILITY) & S.BLOCKED_BY_NMI) === 0) return true
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
    this.#breakpoints.forget()
    this.#events.forget()
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
      (this.#peek32(S.INTERRUPTIBILITY) & S.SHADOW) === 0 &&
      (activity === S.ACTIVITY_ACTIVE || activity === S.ACTIVITY_HLT)
    )
  }

  injectInterrupt(vector: number): void {
    this.#processor.activate(this)
    this.apic.extintTaken()
    this.#pending.undelivered = { vector, kind: 'external' }
    this.state.set32(S.ACTIVITY, S.ACTIVITY_ACTIVE)
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
      if (this.#events.takeStop()) return { reason: 'breakpoint' }
      this.takeSignals()
      this.record = 0
      const event = this.#delivery.beforeInstruction()
      if (event !== undefined) return event
      if (this.#events.owesStop) continue
      if (this.state.get32(S.ACTIVITY) !== S.ACTIVITY_ACTIVE) {
        return this.state.get32(S.ACTIVITY) === S.ACTIVITY_SHUTDOWN ? { reason: 'triple-fault' } : { reason: 'hlt' }
      }
      const left = Math.min(end - this.clock.count, this.clock.instructionsToDeadline)
      if (left <= 0) return { reason: 'budget' }
      const exit = this.#runBlocks(left)
      if (exit !== undefined) return exit
    }
  }

  /** Runs generated code for up to `budget` instructions; undefined to look at events and go on. */
  #runBlocks(budget: number): Exit | undefined {
    const { state } = this
    const { mmu } = this.#processor
    // One at a time: under a shadow, with TF or debug registers, or to finish what an exit began.
    const careful =
      (state.get32(S.INTERRUPTIBILITY) & S.SHADOW) !== 0 ||
      (state.get32(S.FLAG_SYSTEM) & (RFLAGS_TF | RFLAGS_RF)) !== 0 ||
      this.#port.hasCodeBreakpoints ||
      this.#pending.answered
    // The next iteration of a REP is no new execution of it.
    if (state.get32(S.ENDED) === S.ENDED_REPEATING) this.#breakpoints.leave()
    state.set32(S.ENDED, 0)
    this.#count.start(Math.min(budget, LONGEST_CALL))
    try {
      return careful || budget === 1 ? this.#runOne() : this.#runMany(budget)
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
        this.record = 0
        if (!spent && !this.#breakpoints.stopsAtSite(next)) continue
        sites.trap(next)
        this.#count.stop()
        return spent ? undefined : { reason: 'breakpoint' }
      }
      // Where the budget ends, other events come before a fault of the next fetch (SDM vol. 3, table 6-2).
      if (code !== RETURN_LOOKUP || memory.i32[S.BUDGET >> 2] <= 0) {
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
    const shadow = state.get32(S.INTERRUPTIBILITY) & S.SHADOW
    const matched = this.#codeBreakpoint(system)
    if (matched !== 0) {
      this.#count.stop()
      return this.#delivery.deliverDebug(matched)
    }
    mmu.alone = true
    mmu.beginInstruction()
    const block = this.#lookUp(true)
    const { sites, compiler } = this.#processor
    if (!sites.isEmpty && this.#breakpoints.stopsAtFound()) {
      this.#count.stop()
      return { reason: 'breakpoint' }
    }
    memory.u64[S.BLOCK_RIP >> 3] = state.rip
    this.#events.beginInstruction()
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
    this.#events.afterInstruction()
  }

  /** What lay on the instruction is over: an interrupt shadow, a single-step trap. Also for one that ended in an exit. */
  #afterRetirement(shadow: number, system: number): void {
    const { state } = this.#processor
    // The shadow that lay on this instruction is over; one that it cast itself stays.
    if (shadow !== 0) state.set32(S.INTERRUPTIBILITY, state.get32(S.INTERRUPTIBILITY) & ~shadow)
    if ((system & RFLAGS_TF) !== 0 && state.get32(S.ENDED) !== S.ENDED_UNSTEPPED)
      state.set32(S.PENDING_DEBUG, state.get32(S.PENDING_DEBUG) | DR6_BS)
    this.#delivery.pendBreakpointsMet()
  }

  /** DR6 bits of instruction breakpoints at RIP (SDM vol. 3, 17.2.4); RF suppresses them. */
  #codeBreakpoint(system: number): number {
    const { finder, state } = this.#processor
    if (!this.#port.hasCodeBreakpoints || (system & RFLAGS_RF) !== 0) return 0
    // MOV SS holds every debug exception off (SDM vol. 3, 6.8.3).
    if ((state.get32(S.INTERRUPTIBILITY) & S.BLOCKED_BY_MOV_SS) !== 0) return 0
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

  // --- Vcpu: stops of the debugger

  leaveBreakpoint(): void {
    this.#breakpoints.leave()
  }

  askBreakpoint(): boolean {
    return this.#breakpoints.ask()
  }

  observe(observer: Observer | undefined): void {
    this.#events.observer = observer
  }

  stateChanged(): void {
    this.#processor.activate(this)
    this.#port.flushTlb(false)
    const { undelivered } = this.#pending
    if (undelivered?.kind !== 'exception' || !isFault(undelivered.vector)) return
    this.#pending.undelivered = undefined
    this.#events.forgetFault(undelivered)
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
        this.#events.afterInstruction()
      }
      return thrown.exit
    }
    this.#pending.completion = undefined
    mmu.endInstruction()
    if (thrown instanceof GuestFault) return this.#delivery.deliverFault(thrown)
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
    throw new GuestFault(vector, WITH_ERROR_CODE.includes(vector) ? 0 : undefined)
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
    const { observer } = this.#events
    try {
      if (observer !== undefined && isObserved(observer, decoder.assistNames[view.assist]))
        this.#events.runObserved(observer, view)
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
