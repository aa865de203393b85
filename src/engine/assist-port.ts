/** The running vCPU as assists and event delivery see it: {@link AssistCpu} over the processor's parts. */

import { NANOSECONDS_PER_INSTRUCTION, type VirtualClock } from '../util/virtual-clock.ts'
import type { LocalApic } from './apic/local-apic.ts'
import type { AssistCpu, Completion } from './assist.ts'
import type { CpuModel } from './cpu-model.ts'
import type { CpuState } from './cpu-state.ts'
import { dataBreakpoints } from './data-breakpoints.ts'
import { hasBreakpoints, hasInstructionBreakpoints } from './debug-breakpoints.ts'
import { currentPcid } from './execution-context.ts'
import type { LinearMemory } from './linear-memory.ts'
import type { PendingEvents } from './pending-events.ts'
import type { ControlBlock, Exit } from './processor.ts'
import type { RegisterEffects } from './register-file.ts'
import type { SoftwareProcessor } from './software-processor.ts'
import * as S from './state.ts'
import { readPdptes, setPdptes, usesPdptes } from './system/pdptes.ts'
import { VmExit } from './vm-exit.ts'

const MSR_APIC_BASE = 0x1b

export interface AssistPortOptions {
  readonly processor: SoftwareProcessor
  readonly clock: VirtualClock
  readonly controls: ControlBlock
  readonly pending: PendingEvents
  /** Is this vCPU's state the one in place? */
  isCurrent(): boolean
  /** Puts it there. */
  activate(): void
}

export class AssistPort implements AssistCpu, RegisterEffects {
  readonly model: CpuModel
  readonly state: CpuState
  readonly memory: LinearMemory
  readonly clock: VirtualClock
  readonly controls: ControlBlock
  /** Set once the local APIC, which needs the port's time, is there. */
  apic: LocalApic | undefined
  /** Does a debug register hold an enabled instruction breakpoint? */
  hasCodeBreakpoints = false

  readonly #options: AssistPortOptions
  readonly #processor: SoftwareProcessor
  /** Does the MMU watch for data breakpoints that may be another vCPU's or gone? */
  #watches = false
  #completionTaken = false

  constructor(options: AssistPortOptions) {
    this.#options = options
    this.#processor = options.processor
    this.model = options.processor.model
    this.state = options.processor.state
    this.memory = options.processor.mmu
    this.clock = options.clock
    this.controls = options.controls
  }

  activate(): void {
    this.#options.activate()
  }

  get now(): number {
    return this.clock.count * NANOSECONDS_PER_INSTRUCTION + this.clock.skipped
  }

  get tsc(): bigint {
    return BigInt(Math.floor(this.now)) + this.state.get64(S.MSR_TSC_ADJUST) + this.controls.tscOffset
  }

  exit(exit: Exit): never {
    throw new VmExit(exit, false)
  }

  exitRetired(exit: Exit): never {
    throw new VmExit(exit, true)
  }

  /** An instruction begins, for which the hypervisor's answer may be waiting. */
  beginInstruction(): void {
    this.#completionTaken = false
  }

  takeCompletion(): Completion | undefined {
    if (this.#completionTaken) return undefined
    this.#completionTaken = true
    return this.#options.pending.completion
  }

  readPhysical64(address: number): bigint {
    return this.#processor.mmu.readPhysical64(address)
  }

  /** The vCPU's state has been put in place. */
  loaded(): void {
    // The breakpoints that the MMU watches for are another vCPU's.
    this.#watches = true
    this.contextChanged()
  }

  contextChanged(): void {
    this.#debugRegistersChanged()
    this.#processor.context.derive(this.controls.vpid)
    this.eventsChanged()
  }

  #debugRegistersChanged(): void {
    const { state, mmu } = this.#processor
    const enabled = hasBreakpoints(state)
    this.hasCodeBreakpoints = enabled && hasInstructionBreakpoints(state)
    if (!enabled && !this.#watches) return
    const breakpoints = dataBreakpoints(state)
    this.#watches = breakpoints.length > 0
    mmu.watch(breakpoints)
  }

  /** Tells generated code whether something waits. Only for the vCPU in place; another one finds out when it is loaded. */
  eventsChanged(): void {
    if (!this.#options.isCurrent()) return
    const { init, nmi, interruptWindow } = this.#options.pending
    const waits = init || nmi || interruptWindow || this.apic?.highestPending() !== undefined
    this.state.set32(S.EVENT_PENDING, waits ? 1 : 0)
  }

  flushTlb(keepGlobal: boolean): void {
    if (keepGlobal) this.flushPcid(currentPcid(this.state))
    else {
      this.#processor.addressSpaces.dropVpid(this.controls.vpid)
      this.contextChanged()
    }
  }

  flushPcid(pcid: number): void {
    const { addressSpaces, mmu } = this.#processor
    // The ASIDs stay: a new one would drop the global pages too, and with them the kernel's whole working set.
    mmu.tlb.dropNonGlobal(addressSpaces.known(this.controls.vpid, pcid))
    this.contextChanged()
  }

  flushAllPcids(): void {
    const { addressSpaces, mmu } = this.#processor
    mmu.tlb.dropNonGlobal(addressSpaces.knownOf(this.controls.vpid))
    this.contextChanged()
  }

  invalidatePage(linear: bigint): void {
    this.#processor.mmu.tlb.dropPage(lowWord(linear), highWord(linear))
  }

  invalidatePcidPage(linear: bigint, pcid: number): void {
    const { addressSpaces, mmu } = this.#processor
    mmu.tlb.dropPageOf(lowWord(linear), highWord(linear), addressSpaces.known(this.controls.vpid, pcid))
  }

  dropProtectionKeys(keys: number): void {
    this.#processor.mmu.tlb.dropKeys(keys)
    this.contextChanged()
  }

  reloadPdptes(): void {
    const { state } = this
    if (!usesPdptes(state.get32(S.CR0), state.get32(S.CR4), state.get32(S.EFER))) return
    const { mmu } = this.#processor
    setPdptes(
      state,
      readPdptes(state.get64(S.CR3), address => mmu.peekPhysical64(address)),
    )
  }

  readApicMsr(msr: number): bigint | undefined {
    return this.apic?.readMsr(msr)
  }

  writeApicMsr(msr: number, value: bigint): boolean {
    const known = this.apic?.writeMsr(msr, value) ?? false
    this.eventsChanged()
    return known
  }

  get apicBase(): bigint {
    return this.apic?.readMsr(MSR_APIC_BASE) ?? 0n
  }

  get taskPriority(): number {
    return this.apic?.taskPriority ?? 0
  }

  set taskPriority(value: number) {
    if (this.apic !== undefined) this.apic.taskPriority = value
    this.eventsChanged()
  }
}

/** Bits 31:0 and 63:32 of a linear address, both signed. */
const lowWord = (linear: bigint): number => Number(BigInt.asIntN(32, linear))
const highWord = (linear: bigint): number => Number(BigInt.asIntN(32, linear >> 32n))
