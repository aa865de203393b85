/**
 * When a vCPU asks the debugger's code breakpoints: once each time that their instruction is executed. Not again when it
 * goes on after its fault was handled, between the iterations of a REP, or when a run that stopped there is continued.
 */

import { RFLAGS_RF } from '../../x86/rflags.ts'
import { GuestFault } from '../fault.ts'
import type { StopView } from '../processor.ts'
import type { SoftwareProcessor } from '../software-processor.ts'
import * as S from '../state.ts'
import type { Asked } from './breakpoint-sites.ts'

/** Addresses that handlers have not come back to, and may never. */
const MOST_UNFINISHED = 64

/** What is asked of the vCPU. */
export interface AskingVcpu {
  /** Instructions that it has retired, between two of them. */
  retired(): number
  /** Puts its state in place. */
  activate(): void
}

export class BreakpointQuestions {
  readonly #processor: SoftwareProcessor
  readonly #view: StopView
  readonly #vcpu: AskingVcpu
  /** Where breakpoints were asked, or left, last: linear address, and instructions that the vCPU had retired. */
  readonly #asked = { low: 0, high: 0, retired: -1 }
  /** Linear addresses of instructions that breakpoints were asked for, and that handlers come back to with RF set. */
  readonly #unfinished = new Set<bigint>()

  constructor(processor: SoftwareProcessor, view: StopView, vcpu: AskingVcpu) {
    this.#processor = processor
    this.#view = view
    this.#vcpu = vcpu
  }

  /** The vCPU's state is another one now: a reset, or a restored snapshot. */
  forget(): void {
    this.#asked.retired = -1
    this.#unfinished.clear()
  }

  /**
   * A site trapped: does the run end there? If not, the next entry of its block passes. Throws what
   * {@link BlockFinder.locate} does.
   */
  stopsAtSite(block: number): boolean {
    const { finder, sites } = this.#processor
    finder.locate()
    const asked = sites.atSite(block, finder.low, finder.high)
    if (this.#stopsBefore(finder.low, finder.high, asked)) return true
    if (sites.isSite(block)) sites.pass(block)
    return false
  }

  /** Does the run end before the instruction that was found last? */
  stopsAtFound(): boolean {
    const { finder } = this.#processor
    return this.#stopsBefore(finder.low, finder.high, finder.breakpoints)
  }

  /** Does anybody who is asked want the run to end before the instruction at a linear address? */
  #stopsBefore(low: number, high: number, asked: readonly Asked[]): boolean {
    if (asked.length === 0) return false
    const last = this.#asked
    const retired = this.#vcpu.retired()
    if (last.retired === retired && last.low === low && last.high === high) return false
    last.low = low
    last.high = high
    last.retired = retired
    const { state, finder } = this.#processor
    if (this.#unfinished.size > 0 && (state.get32(S.FLAG_SYSTEM) & RFLAGS_RF) !== 0)
      if (this.#unfinished.delete(finder.linear)) return false
    let stops = false
    // Each of them counts its hits.
    for (const each of asked) if (each.reached === undefined || each.reached(this.#view)) stops = true
    return stops
  }

  /** The breakpoints at RIP are not asked before the instruction there. */
  leave(): void {
    const { finder, sites } = this.#processor
    if (sites.isEmpty) return
    this.#vcpu.activate()
    if (!this.#locates()) return
    this.#asked.low = finder.low
    this.#asked.high = finder.high
    this.#asked.retired = this.#vcpu.retired()
  }

  /** Asks the breakpoints at RIP now; they are not asked again before the instruction there. Does one want to stop? */
  ask(): boolean {
    const { finder, sites, peek, memory } = this.#processor
    if (sites.isEmpty) return false
    this.#vcpu.activate()
    if (!this.#locates()) return false
    const hpa = peek.translate(finder.low, finder.high)
    if (hpa < 0) return false
    return this.#stopsBefore(finder.low, finder.high, sites.at(finder.low, finder.high, hpa, memory.u32[S.MODE >> 2]))
  }

  /** The instruction at RIP faulted: if its breakpoints were asked before it, they are not asked when it goes on. */
  instructionFaulted(): void {
    const { finder, sites } = this.#processor
    if (sites.isEmpty || this.#asked.retired !== this.#vcpu.retired() || !this.#locates()) return
    if (finder.low === this.#asked.low && finder.high === this.#asked.high) this.#add(finder.linear)
  }

  /** The instruction at RIP was begun and will be gone on with after a handler: its breakpoints have been asked. */
  willResume(): void {
    const { finder, sites } = this.#processor
    if (!sites.isEmpty && this.#locates()) this.#add(finder.linear)
  }

  #add(linear: bigint): void {
    if (this.#unfinished.size >= MOST_UNFINISHED) this.#unfinished.clear()
    this.#unfinished.add(linear)
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
}
