/**
 * What a debugger is asked about besides code: accesses to watched data and what the observer wants to know. Exceptions
 * and interrupts are asked about before their delivery, everything else after the instruction, or delivery, that did it.
 */

import type { AssistPort } from '../assist-port.ts'
import type { AssistView } from '../assist-view.ts'
import type { Observer, ProcessorEvent, StopView } from '../processor.ts'
import type { SoftwareProcessor } from '../software-processor.ts'
import type { GuestEvent } from '../system/interrupt-delivery.ts'
import { peekMsr } from '../system/msr.ts'
import { RUN_ALONE, VmExit } from '../vm-exit.ts'
import { before, eventsOf } from './observed-assists.ts'

/** What the delivery of an event has changed, as it was before. */
export interface BeforeDelivery {
  readonly rip: bigint
  readonly cpl: number
  /** RSP. */
  readonly stack: bigint
}

export class EventQuestions {
  observer: Observer | undefined
  readonly #processor: SoftwareProcessor
  readonly #view: StopView
  readonly #port: AssistPort
  /** What the running instruction did that the observer asked for. */
  #events: ProcessorEvent[] = []
  /** RIP of the instruction that runs alone. */
  #instructionRip = 0n
  /** Vectors of the events that the observer was asked about and that are not delivered yet. */
  readonly #askedBefore = new Set<number>()
  /** A fault that was asked about and then forgotten: it is the same one when its instruction raises it at once. */
  #forgotten: string | undefined
  #owesStop = false

  constructor(processor: SoftwareProcessor, view: StopView, port: AssistPort) {
    this.#processor = processor
    this.#view = view
    this.#port = port
  }

  /** Was the instruction, or delivery, that is over to be stopped after? */
  get owesStop(): boolean {
    return this.#owesStop
  }

  /** The same; it is stopped now. */
  takeStop(): boolean {
    const owed = this.#owesStop
    this.#owesStop = false
    return owed
  }

  /** The vCPU's state is another one now: a reset, or a restored snapshot. */
  forget(): void {
    this.#askedBefore.clear()
    this.#forgotten = undefined
    this.#events.length = 0
    this.#owesStop = false
  }

  // --- instructions

  /** The one at RIP is about to run alone. */
  beginInstruction(): void {
    const { mmu, state } = this.#processor
    if (!mmu.watchpoints.isEmpty) this.#instructionRip = state.rip
  }

  /** Runs an assist that may do what the observer wants to know. It runs alone, so that the run can end after it. */
  runObserved(observer: Observer, view: AssistView): void {
    const { mmu, state, decoder } = this.#processor
    if (!mmu.alone) throw RUN_ALONE
    const was = before(state, view.rip, msr => peekMsr(this.#port, msr))
    const { assist, register0 } = view
    const name = decoder.assistNames[assist]
    try {
      decoder.assists[assist](this.#port, view)
    } catch (thrown) {
      if (thrown instanceof VmExit && thrown.retired) this.#events = eventsOf(observer, name, register0, state, was)
      throw thrown
    }
    this.#events = eventsOf(observer, name, register0, state, was)
  }

  /** The instruction has retired: asks about what it accessed and did. RIP is the next one's. */
  afterInstruction(): void {
    const { watchpoints } = this.#processor.mmu
    if (!watchpoints.isEmpty && watchpoints.ask(this.#instructionRip, this.#view)) this.#owesStop = true
    if (this.#events.length === 0) return
    for (const event of this.#events.splice(0)) if (this.observer?.happened(event, this.#view)) this.#owesStop = true
  }

  /** It has not retired, and did nothing. */
  instructionFaulted(): void {
    this.#events.length = 0
  }

  // --- deliveries

  stopsBeforeInterrupt({ vector, kind }: GuestEvent): boolean {
    if (this.observer?.interrupts !== true || (kind !== 'external' && kind !== 'nmi')) return false
    return this.#asksBefore({ kind: 'interrupt', vector, nmi: kind === 'nmi', rip: this.#processor.state.rip })
  }

  /** @param original vector of the event whose delivery was begun */
  stopsBeforeException({ vector, errorCode, address }: GuestEvent, original: number | undefined): boolean {
    if (this.observer === undefined || ((this.observer.exceptions >>> vector) & 1) === 0) return false
    const same = this.#forgotten === this.#identity({ vector, errorCode, address })
    this.#forgotten = undefined
    if (same) return false
    const during = original === vector ? undefined : original
    const { rip } = this.#processor.state
    return this.#asksBefore({ kind: 'exception', vector, errorCode, address, during, rip })
  }

  /** A fault whose instruction will be executed anew, in place of its delivery. */
  forgetFault(fault: GuestEvent): void {
    if (this.#askedBefore.has(fault.vector)) this.#forgotten = this.#identity(fault)
    this.#askedBefore.clear()
  }

  #identity({ vector, errorCode, address }: Pick<GuestEvent, 'vector' | 'errorCode' | 'address'>): string {
    return `${vector} ${errorCode} ${address} ${this.#view.count}`
  }

  /** Asks about an event before its delivery, once however often that is begun. */
  #asksBefore(event: Extract<ProcessorEvent, { kind: 'interrupt' | 'exception' }>): boolean {
    if (this.#askedBefore.has(event.vector)) return false
    this.#askedBefore.add(event.vector)
    return this.observer?.happened(event, this.#view) === true
  }

  afterDelivery({ vector, kind }: GuestEvent, { rip, cpl, stack }: BeforeDelivery): void {
    this.#askedBefore.clear()
    const { mmu, state } = this.#processor
    if (!mmu.watchpoints.isEmpty && mmu.watchpoints.ask(rip, this.#view)) this.#owesStop = true
    const { observer } = this
    if (observer === undefined) return
    const event = kind === 'exception' ? 'exception' : 'interrupt'
    const to = state.cpl
    const stops =
      (observer.transitions &&
        cpl !== to &&
        observer.happened({ kind: 'transition', from: cpl, to, cause: event, rip }, this.#view)) ||
      (observer.deliveries === true &&
        observer.happened({ kind: 'delivered', vector, event, cpl, stack, rip }, this.#view))
    if (stops) this.#owesStop = true
  }
}
