/**
 * One virtual machine: its clock, memory, EPT and vCPUs, and the loop that runs them in deterministic turns, acts on
 * their exits and fires timers at their exact instruction count.
 */

import type { Exit, InterruptMessage, Processor, StopView, Vcpu, VcpuState } from '../engine/processor.ts'
import { VirtualClock, type VirtualClockState } from '../util/virtual-clock.ts'
import { RFLAGS_IF } from '../x86/rflags.ts'
import { DebugStops } from './debug-stops.ts'
import { EPT_RIGHTS, EPT_WRITE } from './ept.ts'
import { ExitLog, type ExitTotals, isRecorded } from './exit-log.ts'
import type { FramePool } from './frame-pool.ts'
import { GuestEventLog } from './guest-events.ts'
import { GuestPhysicalMemory } from './guest-memory.ts'
import type { HypercallHost } from './hypercalls.ts'
import { InterruptFabric } from './interrupt-fabric.ts'
import type { Platform } from './platform.ts'
import { type TurnState, Turns } from './turns.ts'
import { handleExit, type WriteTrap } from './vcpu-exits.ts'
import type { VmStop } from './vm-stop.ts'

export const MAXIMUM_CPUS = 8

/** Idle periods skipped before `run` comes back: a guest that only ticks retires no instructions that would end its slice. */
const SKIPS_PER_RUN = 10_000

export interface VmOptions {
  readonly processor: Processor
  readonly pool: FramePool
  /** Bytes. */
  readonly memory: number
  /** 1 to {@link MAXIMUM_CPUS}. */
  readonly cpus: number
}

export type IdleChoice = 'skip' | 'return'

export interface Slice {
  /** At most so many are retired before `run` comes back. */
  readonly instructions: number
  /**
   * When every vCPU is halted: let virtual time jump to the next timer (default), or come back with `idle`. A function
   * is asked then: what a guest waits for may have begun in this slice.
   */
  readonly idle?: IdleChoice | (() => IdleChoice)
}

/** What continues a run, RAM and devices apart. */
export interface VmState {
  readonly clock: VirtualClockState
  readonly turns: TurnState
  readonly exits: ExitTotals
  readonly vcpus: readonly VcpuState[]
}

export class Vm {
  readonly clock = new VirtualClock()
  readonly exits = new ExitLog()
  readonly events = new GuestEventLog()
  readonly processor: Processor
  readonly memory: GuestPhysicalMemory
  readonly vcpus: readonly Vcpu[]
  readonly stops: DebugStops
  /** Asked after each exit that the exit log records, when it has been acted on: true ends the run with `breakpoint`. */
  exitObserver: ((vcpu: Vcpu, exit: Exit) => boolean) | undefined

  readonly #turns = new Turns()
  readonly #fabric = new InterruptFabric()
  readonly #writeTraps = new Map<number, WriteTrap>()
  #platform: Platform | undefined
  #stop: VmStop | undefined
  #current = 0

  constructor(options: VmOptions) {
    if (!Number.isInteger(options.cpus) || options.cpus < 1 || options.cpus > MAXIMUM_CPUS)
      throw new RangeError(`${options.cpus} vCPUs: 1 to ${MAXIMUM_CPUS} are possible`)
    this.processor = options.processor
    this.memory = new GuestPhysicalMemory(options.processor, options.pool, options.memory)
    for (let index = 0; index < options.cpus; index++) this.#fabric.vcpus.push(this.#createVcpu(index))
    this.vcpus = this.#fabric.vcpus
    const views = new Set<StopView>(this.vcpus.map(({ view }) => view))
    this.stops = new DebugStops({ owns: view => views.has(view) }, options.processor, this.memory)
  }

  /** Index of the vCPU that runs, or ran last. */
  get current(): number {
    return this.#current
  }

  /** Connects the devices; before the first run. */
  attach(platform: Platform): void {
    this.#platform = platform
    this.#fabric.ioApic = platform.ioApic
  }

  /** Sends an interrupt message to the local APICs it addresses. */
  deliver(message: InterruptMessage): void {
    this.#fabric.deliver(message)
  }

  /** The PIC's output rises. */
  raiseLint0(): void {
    this.#fabric.raiseLint0()
  }

  /** For the devices that drive the A20M# pin of all processors. */
  setA20(enabled: boolean): void {
    for (const vcpu of this.vcpus) vcpu.setA20(enabled)
  }

  /** For devices that end the run (power-off, reset, debug exit): `run` comes back after the access that is being served. */
  requestStop(stop: VmStop): void {
    this.#stop ??= stop
  }

  /** Runs until the slice is used up or something happens that the caller must know. */
  run(slice: Slice): VmStop {
    return this.#loop(slice)
  }

  /**
   * Runs until `vcpu` has retired one instruction, in the order in which everything would run anyway: the other vCPUs
   * finish their turns first. Comes back with `slice` when that takes more than `slice.instructions`.
   */
  step(vcpu: Vcpu, slice: Slice): VmStop {
    return this.#loop(slice, vcpu)
  }

  /** Lets `nanoseconds` of virtual time pass while every vCPU is idle, at most to the next timer. */
  passIdleTime(nanoseconds: number): void {
    this.clock.skipTo(Math.min(this.clock.now + nanoseconds, this.clock.deadline))
  }

  /** The next write to the page at `gpa` calls `trap`, and is then carried out. */
  trapWrite(gpa: number, trap: WriteTrap): void {
    this.memory.frame(gpa)
    this.#writeTraps.set(gpa, trap)
    this.memory.ept.setRights(gpa, EPT_RIGHTS & ~EPT_WRITE)
  }

  /** Processors, RAM and turn as after power-on; the clock and the exit log go on. Devices are reset by their owner. */
  reset(): void {
    this.memory.clear()
    this.#writeTraps.clear()
    this.#turns.reset()
    this.#stop = undefined
    for (const vcpu of this.vcpus) vcpu.reset()
  }

  /** Gives host memory back. */
  dispose(): void {
    this.memory.release()
  }

  save(): VmState {
    return {
      clock: this.clock.save(),
      turns: this.#turns.save(),
      exits: this.exits.save(),
      vcpus: this.vcpus.map(vcpu => vcpu.save()),
    }
  }

  /** @param state of a VM with as many vCPUs. */
  restore(state: VmState): void {
    for (const [index, vcpu] of this.vcpus.entries()) vcpu.restore(state.vcpus[index])
    this.#turns.restore(state.turns)
    this.exits.restore(state.exits)
    this.events.clear()
    this.clock.restore(state.clock)
    this.#stop = undefined
  }

  #loop(slice: Slice, stepped?: Vcpu): VmStop {
    const platform = this.#attached()
    const context = {
      ...{ memory: this.memory, bus: platform.bus, clock: this.clock },
      ...{ model: this.processor.model, cpus: this.vcpus.length, writeTraps: this.#writeTraps },
      hypercalls: this.#hypercalls(platform),
    }
    const end = this.clock.count + slice.instructions
    const runnable = (vcpu: Vcpu) => this.#runnable(vcpu, platform)
    let skips = 0
    for (;;) {
      this.clock.fireDue()
      const requested = this.#takeStop()
      if (requested !== undefined) return requested
      if (this.clock.count >= end || skips > SKIPS_PER_RUN) return { kind: 'slice' }

      for (const each of this.vcpus) each.takeSignals()
      const vcpu = this.#turns.select(this.vcpus, runnable)
      if (vcpu === undefined) {
        const stop = this.#idle(slice)
        if (stop !== undefined) return stop
        skips++
        continue
      }

      this.#current = vcpu.index
      const before = this.clock.count
      // A turn ends for another vCPU's sake only.
      const turn = this.vcpus.length === 1 ? Number.POSITIVE_INFINITY : this.#turns.remaining
      const available = vcpu === stepped ? 1 : turn
      this.#offerExternalInterrupt(vcpu, platform)
      const exit = vcpu.run(Math.min(available, end - before, this.clock.instructionsToDeadline))
      this.#turns.spend(this.clock.count - before)
      this.exits.record(this.clock.count, vcpu, exit)
      const stop = handleExit(context, vcpu, exit)
      if (stop !== undefined) return stop
      if (this.exitObserver !== undefined && isRecorded(exit) && this.exitObserver(vcpu, exit))
        return { kind: 'breakpoint', vcpu: vcpu.index }
      if (vcpu === stepped && this.clock.count > before) return this.#takeStop() ?? { kind: 'step', vcpu: vcpu.index }
    }
  }

  #hypercalls(platform: Platform): HypercallHost {
    return {
      show: byte => platform.showByte(byte),
      yield: () => this.#turns.end(),
      note: event => this.events.record(event),
    }
  }

  #runnable(vcpu: Vcpu, platform: Platform): boolean {
    if (vcpu.activity === 'active') return true
    return vcpu.activity === 'hlt' && platform.externalInterrupts.pending && vcpu.acceptsExtint && vcpu.interruptible
  }

  #offerExternalInterrupt(vcpu: Vcpu, { externalInterrupts }: Platform): void {
    if (externalInterrupts.pending && vcpu.acceptsExtint && vcpu.interruptible)
      vcpu.injectInterrupt(externalInterrupts.acknowledge())
    vcpu.requestInterruptWindow(externalInterrupts.pending && vcpu.acceptsExtint)
  }

  /** Every vCPU is halted: time jumps to the next timer, unless nothing can wake one or the caller wants to wait. */
  #idle(slice: Slice): VmStop | undefined {
    const { deadline } = this.clock
    const wakeable = this.vcpus.some(
      vcpu => vcpu.activity === 'hlt' && (vcpu.registers.get('rflags') & BigInt(RFLAGS_IF)) !== 0n,
    )
    if (!wakeable) return { kind: 'halted-forever' }
    const choice = typeof slice.idle === 'function' ? slice.idle() : slice.idle
    if (choice === 'return') return { kind: 'idle', until: deadline }
    if (deadline === Number.POSITIVE_INFINITY) return { kind: 'halted-forever' }
    this.clock.skipTo(deadline)
    return undefined
  }

  #takeStop(): VmStop | undefined {
    const stop = this.#stop
    this.#stop = undefined
    return stop
  }

  #attached(): Platform {
    if (this.#platform === undefined) throw new Error('the VM runs before its devices are attached')
    return this.#platform
  }

  #createVcpu(index: number): Vcpu {
    return this.processor.createVcpu({
      index,
      clock: this.clock,
      bus: this.#fabric,
      controls: {
        eptPointer: this.memory.ept.root,
        // One for each vCPU (SDM vol. 3, 29.1); 0 is the host's own.
        vpid: 1 + (((this.memory.owner - 1) * MAXIMUM_CPUS + index) % 0xffff),
        exceptionBitmap: 0,
        crExits: { cr0: false, cr3: false, cr4: false },
        tscOffset: 0n,
      },
    })
  }
}
