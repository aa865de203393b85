/** A processor whose vCPUs do what a test's script says: retire so many instructions, then exit. */

import type { LocalApicState } from '../../../src/engine/apic/local-apic.ts'
import { parseCpuModel } from '../../../src/engine/cpu-model.ts'
import { HostMemory } from '../../../src/engine/host-memory.ts'
import { PendingEvents } from '../../../src/engine/pending-events.ts'
import type {
  Activity,
  ApicBus,
  ControlBlock,
  CpuidResult,
  Exit,
  InterruptMessage,
  Processor,
  RegisterFile,
  StopView,
  Vcpu,
  VcpuState,
} from '../../../src/engine/processor.ts'
import type { VirtualClock } from '../../../src/util/virtual-clock.ts'

export interface ScriptStep {
  readonly instructions: number
  /** What ends the step; nothing: the next step follows. */
  readonly exit?: Exit
}

/** Nothing pending, nothing in service, timer off. */
const IDLE_APIC: LocalApicState = {
  ...{ base: 0, tpr: 0, ldr: 0, dfr: 0, svr: 0, esr: 0, errors: 0, icr: 0, icrHigh: 0 },
  extint: false,
  ...{ lvt: [], irr: [], isr: [], tmr: [] },
  timer: { mode: 'one-shot', initial: 0, divide: 0, deadline: '0', due: null },
}

class FlatRegisters implements RegisterFile {
  readonly values = new Map<string, bigint>([['rflags', 0x202n]])
  readonly cpl = 0

  get(name: string): bigint {
    return this.values.get(name) ?? 0n
  }
  set(name: string, value: bigint): void {
    this.values.set(name, value)
  }
  segment() {
    return { selector: 0, base: 0n, limit: 0, rights: 0 }
  }
  setSegment(): void {}
  table() {
    return { base: 0n, limit: 0 }
  }
  setTable(): void {}
}

export class ScriptedVcpu implements Vcpu {
  readonly index: number
  readonly controls: ControlBlock
  readonly registers = new FlatRegisters()
  activity: Activity = 'active'
  interruptible = true
  acceptsExtint = true
  priority = 0
  readonly apicRegisters = []

  /** Runs on without end, retiring instructions, once it is used up. */
  script: ScriptStep[] = []
  /** What happened to this vCPU, in order. */
  readonly events: string[] = []
  windowRequested = false

  readonly #clock: VirtualClock
  readonly #trace: string[]
  #done = 0

  constructor(index: number, clock: VirtualClock, controls: ControlBlock, trace: string[]) {
    this.index = index
    this.controls = controls
    this.#clock = clock
    this.#trace = trace
  }

  takeSignals(): void {}
  reset(): void {
    this.activity = 'active'
    this.#done = 0
  }

  run(budget: number): Exit {
    let left = budget
    while (left > 0) {
      const step = this.script[0]
      const want = step === undefined ? left : step.instructions - this.#done
      const now = Math.min(left, want)
      this.#retire(now)
      left -= now
      this.#done += now
      if (step === undefined || now < want) break
      this.script.shift()
      this.#done = 0
      if (step.exit === undefined) continue
      if (step.exit.reason === 'hlt') this.activity = 'hlt'
      this.#trace.push(`${this.#clock.count}: vcpu${this.index} ${step.exit.reason}`)
      return step.exit
    }
    return { reason: 'budget' }
  }

  /** A breakpoint before the next instruction is passed. */
  leaveBreakpoint(): void {
    const [step] = this.script
    if (step?.instructions === 0 && step.exit?.reason === 'breakpoint') this.script.shift()
  }
  askBreakpoint(): boolean {
    return false
  }
  get view(): StopView {
    const { index, registers } = this
    return {
      ...{ index, registers, cpl: 0, count: this.#clock.count, ripLow: 0, ripHigh: 0, rootFrame: 0 },
      ...{ low: () => 0, high: () => 0, read: () => undefined, readBytes: () => undefined },
    }
  }
  observe(): void {}
  stateChanged(): void {}

  setA20(enabled: boolean): void {
    this.events.push(`a20 ${enabled ? 'on' : 'off'}`)
  }

  completeAccess(value: bigint): void {
    this.events.push(`access ${value.toString(16)}`)
  }
  completeIn(value: number): void {
    this.events.push(`in ${value.toString(16)}`)
  }
  completeCpuid(result: CpuidResult): void {
    this.events.push(`cpuid ${result.eax}`)
  }
  completeRdmsr(value: bigint | undefined): void {
    this.events.push(`rdmsr ${value === undefined ? '#GP' : value}`)
  }
  completeWrmsr(known: boolean): void {
    this.events.push(`wrmsr ${known ? 'done' : '#GP'}`)
  }
  injectInterrupt(vector: number): void {
    this.events.push(`${this.#clock.count}: injected ${vector}`)
    this.activity = 'active'
  }
  requestInterruptWindow(wanted: boolean): void {
    this.windowRequested = wanted
  }
  raisePin(): void {}
  acceptInterrupt(message: InterruptMessage): void {
    this.events.push(`${this.#clock.count}: ${message.mode} ${message.vector}`)
    this.activity = 'active'
  }
  matches(message: InterruptMessage): boolean {
    return message.logical ? (message.destination & (1 << this.index)) !== 0 : message.destination === this.index
  }
  save(): VcpuState {
    return { state: `${this.#done} ${this.activity}`, apic: IDLE_APIC, pending: new PendingEvents().save() }
  }
  restore(state: VcpuState): void {
    const [done, activity] = state.state.split(' ')
    this.#done = Number(done)
    if (activity === 'hlt') this.activity = 'hlt'
  }

  #retire(instructions: number): void {
    this.#clock.count += instructions
  }
}

export class ScriptedProcessor implements Processor {
  readonly model = parseCpuModel('max')
  readonly memory: HostMemory
  readonly statistics = { tlbFills: 0, blocksDecoded: 0 }
  readonly vcpus: ScriptedVcpu[] = []
  /** Exits of all vCPUs in order, with the count at which they happened. */
  readonly trace: string[] = []
  readonly invalidated: number[] = []
  readonly written: { hpa: number; length: number }[] = []

  constructor(bytes = 16 * 2 ** 20) {
    this.memory = new HostMemory(bytes)
  }

  createVcpu(options: { index: number; clock: VirtualClock; bus: ApicBus; controls: ControlBlock }): ScriptedVcpu {
    const vcpu = new ScriptedVcpu(options.index, options.clock, options.controls, this.trace)
    this.vcpus.push(vcpu)
    return vcpu
  }
  invept(eptPointer: number): void {
    this.invalidated.push(eptPointer)
  }
  frameWritten(hpa: number, length: number): void {
    this.written.push({ hpa, length })
  }
  setCodeStops(): void {}
  setWatchpoints(): void {}
}
