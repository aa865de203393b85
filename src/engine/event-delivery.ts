/** Which event comes between two instructions of a vCPU, and its delivery with all that it means for the run loop. */

import type { LocalApic } from './apic/local-apic.ts'
import type { AssistPort } from './assist-port.ts'
import { GuestFault } from './fault.ts'
import type { InstructionCount } from './instruction-count.ts'
import type { PendingEvents } from './pending-events.ts'
import type { Exit } from './processor.ts'
import type { SoftwareProcessor } from './software-processor.ts'
import * as S from './state.ts'
import type { BreakpointQuestions } from './stops/breakpoint-questions.ts'
import type { EventQuestions } from './stops/event-questions.ts'
import { deliver, eventOf, type GuestEvent } from './system/interrupt-delivery.ts'
import { RSP } from './system/stack.ts'
import { VmExit } from './vm-exit.ts'

const DEBUG_EXCEPTION = 1
const DR6 = S.DR + 6 * 8

/** Deliveries of events without a retired instruction between them, before they count as one each. */
const FREE_DELIVERIES = 64

export interface EventDeliveryOptions {
  readonly processor: SoftwareProcessor
  readonly port: AssistPort
  readonly apic: LocalApic
  readonly pending: PendingEvents
  readonly count: InstructionCount
  readonly breakpoints: BreakpointQuestions
  readonly events: EventQuestions
  /** Can the vCPU take an external interrupt now? */
  interruptible(): boolean
}

/** Of the vCPU whose state is in place, between two instructions. */
export class EventDelivery {
  readonly #options: EventDeliveryOptions

  constructor(options: EventDeliveryOptions) {
    this.#options = options
  }

  /** Delivers the event that comes first, if any (SDM vol. 3, 6.9). An exit ends the run. */
  beforeInstruction(): Exit | undefined {
    const { processor, pending, port, apic } = this.#options
    const { state } = processor
    const { undelivered } = pending
    if (undelivered !== undefined) return this.deliver(undelivered)
    // An instruction that the hypervisor has answered is in its middle: it must retire before anything else happens.
    if (pending.answered) return undefined
    const traps = state.get32(S.PENDING_DEBUG)
    // MOV SS holds debug traps off too (SDM vol. 3, 6.8.3).
    if (traps !== 0 && (state.get32(S.INTERRUPTIBILITY) & S.BLOCKED_BY_MOV_SS) === 0) {
      state.set32(S.PENDING_DEBUG, 0)
      return this.deliverDebug(traps)
    }
    if (state.get32(S.EVENT_PENDING) === 0) return undefined
    if (pending.nmi && (state.get32(S.INTERRUPTIBILITY) & (S.SHADOW | S.BLOCKED_BY_NMI)) === 0) {
      pending.nmi = false
      port.eventsChanged()
      return this.deliver({ vector: 2, kind: 'nmi' })
    }
    if (!this.#options.interruptible()) return undefined
    if (pending.interruptWindow) {
      pending.interruptWindow = false
      port.eventsChanged()
      return { reason: 'interrupt-window' }
    }
    if (apic.highestPending() !== undefined) {
      const vector = apic.acknowledge()
      port.eventsChanged()
      return this.deliver({ vector, kind: 'external' })
    }
    return undefined
  }

  /** Delivers a debug exception. @param why bits of DR6 */
  deliverDebug(why: number): Exit | undefined {
    const { state } = this.#options.processor
    state.set32(DR6, state.get32(DR6) | why)
    return this.deliver(eventOf(new GuestFault(DEBUG_EXCEPTION)))
  }

  /** Delivers the exception that the instruction at RIP has raised. */
  deliverFault(fault: GuestFault): Exit | undefined {
    this.#options.breakpoints.instructionFaulted()
    this.#options.events.instructionFaulted()
    const event = eventOf(fault)
    // The one debug exception that an instruction itself throws is general detection, a fault.
    return this.deliver(fault.vector === DEBUG_EXCEPTION ? { ...event, resumes: true } : event)
  }

  /**
   * Delivers an event. When its delivery leaves for an exit (an EPT violation of a stack or descriptor table), the
   * event is kept and delivered again at the next run.
   */
  deliver(cause: GuestEvent): Exit | undefined {
    const { processor, port, pending, count, breakpoints, events } = this.#options
    const { state, mmu } = processor
    const repeating = state.get32(S.ENDED) === S.ENDED_REPEATING
    const event = repeating ? { ...cause, resumes: true } : cause
    if (repeating) breakpoints.willResume()
    count.start(0)
    pending.undelivered = event
    if (events.stopsBeforeInterrupt(event)) return { reason: 'breakpoint' }
    const was = { rip: state.rip, cpl: state.cpl, stack: state.gpr(RSP) }
    mmu.watchpoints.begin()
    // What a delivery writes may be code or meet a breakpoint: nothing else is under way, as for an instruction alone.
    mmu.alone = true
    mmu.met = 0
    try {
      const delivered = deliver(port, event, each => this.#intercept(each)) === 'delivered'
      pending.undelivered = undefined
      this.#countDelivery()
      this.pendBreakpointsMet()
      if (delivered) events.afterDelivery(event, was)
      state.set32(S.ACTIVITY, delivered ? S.ACTIVITY_ACTIVE : S.ACTIVITY_SHUTDOWN)
      return delivered ? undefined : { reason: 'triple-fault' }
    } catch (thrown) {
      if (!(thrown instanceof VmExit)) throw thrown
      if (thrown.exit.reason === 'exception') pending.undelivered = undefined
      return thrown.exit
    } finally {
      mmu.alone = false
      port.contextChanged()
    }
  }

  /** Throws the exit of an exception that the debugger or the hypervisor wants to see first. */
  #intercept(event: GuestEvent): void {
    const { pending, events, port } = this.#options
    const { vector, errorCode, address } = event
    if (events.stopsBeforeException(event, pending.undelivered?.vector))
      throw new VmExit({ reason: 'breakpoint' }, false)
    if (((port.controls.exceptionBitmap >>> vector) & 1) === 0) return
    throw new VmExit({ reason: 'exception', vector, errorCode, address }, false)
  }

  /**
   * Deliveries count for nothing, but a guest whose handlers fault at their first instruction would never use up its
   * budget: after many at the same count each one counts.
   */
  #countDelivery(): void {
    const { processor, port, count } = this.#options
    const { f64, i32 } = processor.memory
    if (f64[S.DELIVERED_AT >> 3] !== port.clock.count) i32[S.DELIVERIES >> 2] = 0
    if (++i32[S.DELIVERIES >> 2] > FREE_DELIVERIES) {
      port.clock.count++
      count.start(0)
    }
    f64[S.DELIVERED_AT >> 3] = port.clock.count
  }

  /** The trap of data breakpoints follows the instruction, or the delivery of an event, that met them. */
  pendBreakpointsMet(): void {
    const { state, mmu } = this.#options.processor
    if (mmu.met !== 0) state.set32(S.PENDING_DEBUG, state.get32(S.PENDING_DEBUG) | mmu.met)
    mmu.met = 0
  }
}
