/** Our own virtual machine as a debugger's target. It runs in slices on this thread, so that requests get their turn. */

import type { MachineView } from '../inspect/machine-view.ts'
import type { HostInput } from '../util/host-input.ts'
import type { GuestEvent } from '../vmm/guest-events.ts'
import type { Vm } from '../vmm/vm.ts'
import type { VmStop } from '../vmm/vm-stop.ts'
import { exitDetail } from './exit-detail.ts'
import { KeyboardQueue, type KeyReceiver } from './keyboard-queue.ts'
import type { StepRequest, StopHit, StopRequest } from './stop-request.ts'
import {
  type ExitReport,
  type GuestEnd,
  type OutputSource,
  type Stop,
  type Target,
  type TargetBalloon,
  type TargetCapabilities,
  TargetError,
  type TargetListener,
  type TargetState,
} from './target.ts'
import type { ObservedDevice } from './virtio-stops.ts'
import { VmStepper } from './vm-stepper.ts'
import { VmStops } from './vm-stops.ts'

/** What this target needs of a machine that was put together, loaded and not started yet. */
export interface DebuggedMachine {
  readonly vm: Vm
  readonly view: MachineView
  /** What comes from the host by itself, such as data of sockets. */
  readonly hostInputs: HostInput
  /** Gives a byte to the first serial port; false when its receiver is full. */
  sendSerial(byte: number): boolean
  /** Absent where there is none. */
  readonly keyboard?: KeyReceiver
  /** Consoles by virtio, and the balloon; absent where there are none. */
  readonly channels?: { input(port: string, bytes: Uint8Array): number; readonly balloon: TargetBalloon | undefined }
  /** Absent where there are no virtio devices to listen to. */
  readonly chipset?: { readonly virtio: readonly ObservedDevice[] }
  /** Power-on state with the image loaded again. */
  reset(): void
  /** As put together anew: time and counts begin again, too. */
  powerCycle(): void
  dispose(): void
}

/** Wall time of a slice to aim at, in milliseconds; how many instructions that is shows while running. */
const SLICE_MILLISECONDS = 5
const SMALLEST_SLICE = 10_000
const LARGEST_SLICE = 8_000_000
/** Of a step at once: handlers and calls that it does not follow run meanwhile, and requests must get their turn. */
const STEP_INSTRUCTIONS = 1_000_000
/** Looks for console input and requests at least so often while the guest idles, in milliseconds. */
const LONGEST_WAIT = 1000

/** Idle time is waited for once so much of it has come together: a sleep can't be much shorter than this. */
const SHORTEST_SLEEP_NS = 2e6

const STATUS_TRIPLE_FAULT = 126
const STATUS_FAULT = 70

/** Events of the guest that are told at once; all that are kept can be asked for. */
const EVENTS_AT_ONCE = 100

/** Known before there is a machine. */
export const VM_CAPABILITIES: TargetCapabilities = {
  linearBreakpoints: true,
  physicalBreakpoints: true,
  stops: new Set([
    ...(['code', 'data', 'exception', 'interrupt', 'control-register', 'msr'] as const),
    ...(['port', 'exit', 'host-change', 'transition', 'int3', 'magic', 'guest-event', 'virtio'] as const),
  ]),
  stopConditions: true,
  steps: new Set(['into', 'over', 'to'] as const),
  hostMemory: true,
  exits: true,
  consoleInput: true,
  writes: true,
  restarts: true,
}

type Running = { readonly kind: 'run' } | { readonly kind: 'step'; readonly stepper: VmStepper }

export class VmTarget implements Target {
  readonly capabilities = VM_CAPABILITIES
  listener: TargetListener | undefined
  readonly keyboard: KeyboardQueue | undefined

  readonly #machine: DebuggedMachine
  readonly #stops: VmStops
  #state: TargetState = { kind: 'stopped', stop: { reason: 'entry', vcpu: 0 } }
  #running: Running | undefined
  /** How the guest ends when it is resumed after a shutdown. */
  #shutdown: GuestEnd | undefined
  #pauseWanted = false
  #slice = SMALLEST_SLICE
  #input: number[] = []
  readonly #printed: Record<OutputSource, number[]> = {
    serial: [],
    'debug-console': [],
    'virtio-console': [],
  }
  /** What the guest told of itself since that was passed on last. */
  readonly #events: GuestEvent[] = []
  #eventsOmitted = 0
  /** Virtual nanoseconds that were idled through and not yet waited for. */
  #sleepOwed = 0
  #wake: (() => void) | undefined
  #disposed = false
  /** Counts turns that were arranged: only the last one takes place. */
  #scheduled = 0

  constructor(machine: DebuggedMachine) {
    this.#machine = machine
    this.keyboard = machine.keyboard && new KeyboardQueue(machine.keyboard, () => this.#wake?.())
    machine.hostInputs.onArrival = () => this.#wake?.()
    this.#stops = new VmStops(machine.vm, machine.chipset?.virtio)
    machine.vm.events.listener = event => this.#guestEvent(event)
  }

  get state(): TargetState {
    return this.#state
  }

  get machine(): MachineView {
    return this.#machine.view
  }

  get instructions(): number {
    return this.#machine.vm.clock.count
  }

  resume(unseen = false): void {
    this.#start({ kind: 'run' }, unseen)
  }

  step(request: StepRequest): void {
    if (this.#machine.vm.vcpus[request.vcpu] === undefined) throw new TargetError(`there is no vCPU ${request.vcpu}`)
    this.#requireStopped()
    this.#machine.vm.vcpus[request.vcpu].leaveBreakpoint()
    this.#start({ kind: 'step', stepper: new VmStepper(this.#machine.vm, this.#stops, request) })
  }

  pause(): void {
    if (this.#running === undefined) return
    this.#pauseWanted = true
    this.#wake?.()
  }

  setStops(requests: readonly StopRequest[]): void {
    this.#stops.set(requests)
  }

  exits(recent: number, addresses: number): ExitReport {
    const log = this.#machine.vm.exits
    const byReason = Object.entries(log.byReason()).map(([reason, count]) => ({ reason, count }))
    return {
      total: byReason.reduce((sum, { count }) => sum + count, 0),
      byReason: byReason.sort((a, b) => b.count - a.count),
      recent: log.last(recent).map(exit => ({
        instructions: exit.count,
        vcpu: exit.vcpu,
        reason: exit.reason,
        detail: exitDetail(exit),
        rip: exit.rip,
        gpa: exit.reason.startsWith('ept') ? BigInt(exit.gpa) : undefined,
      })),
      byAddress: log.byRip(addresses).addresses.map(({ rip, exits }) => ({ address: rip, count: exits })),
    }
  }

  writeConsole(bytes: Uint8Array): void {
    for (const byte of bytes) this.#input.push(byte)
    this.#wake?.()
  }

  writeVirtioConsole(bytes: Uint8Array): number {
    const taken = this.#machine.channels?.input('', bytes) ?? 0
    this.#wake?.()
    return taken
  }

  get balloon(): TargetBalloon | undefined {
    return this.#machine.channels?.balloon
  }

  writeRegister(vcpu: number, name: string, value: bigint): void {
    if (this.#state.kind !== 'stopped') throw new TargetError('the guest does not stand still')
    try {
      this.#machine.vm.vcpus[vcpu].registers.set(name, value)
      this.#machine.vm.vcpus[vcpu].stateChanged()
    } catch (error) {
      if (error instanceof RangeError) throw new TargetError(error.message, { cause: error })
      throw error
    }
  }

  writePhysical(gpa: number, bytes: Uint8Array): void {
    const { memory } = this.#machine.vm
    if (!memory.containsRam(gpa, bytes.length))
      throw new TargetError(`guest-physical 0x${gpa.toString(16)}, ${bytes.length} bytes, is not all RAM`)
    memory.write(gpa, bytes)
    for (const vcpu of this.#machine.vm.vcpus) vcpu.stateChanged()
  }

  /** What the guest prints comes here byte by byte, and goes on after each slice. */
  print(source: OutputSource, byte: number): void {
    this.#printed[source].push(byte)
  }

  restart(): void {
    if (this.#disposed) throw new TargetError('the guest and its machine are gone')
    this.#endStep()
    this.#scheduled++
    this.#wake?.()
    this.#shutdown = undefined
    this.#pauseWanted = false
    this.#input = []
    this.keyboard?.clear()
    this.#sleepOwed = 0
    this.#flushOutput()
    this.#machine.powerCycle()
    this.#stops.takeHits()
    this.#state = { kind: 'stopped', stop: { reason: 'entry', vcpu: 0 } }
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#running = undefined
    this.#wake?.()
    this.#state = { kind: 'ended', end: { status: 0, description: 'the debugger ended the guest' } }
    this.#stops.set([])
    this.#machine.dispose()
  }

  #requireStopped(): void {
    if (this.#state.kind !== 'stopped') throw new TargetError('the guest does not stand still')
  }

  #start(running: Running, unseen = false): void {
    this.#requireStopped()
    // A breakpoint where somebody stands already is left, not hit.
    if (this.#state.kind === 'stopped' && !unseen) this.#machine.vm.vcpus[this.#state.stop.vcpu].leaveBreakpoint()
    this.#running = running
    this.#state = { kind: 'running' }
    this.#pauseWanted = false
    this.#goOn()
  }

  /** One slice; {@link #act} arranges for the next. */
  #turn(): void {
    const running = this.#running
    if (running === undefined) return
    if (this.#shutdown !== undefined) {
      this.#end(this.#shutdown)
      return
    }
    if (this.#pauseWanted) {
      this.#stopHere('pause', 0)
      return
    }
    try {
      this.#deliverInput()
      const stop = this.#runOnce(running)
      this.#flushOutput()
      this.#act(stop)
    } catch (error) {
      this.#fail(error)
    }
  }

  #runOnce(running: Running): VmStop {
    const { vm } = this.#machine
    if (running.kind === 'step') return running.stepper.advance({ instructions: STEP_INSTRUCTIONS, idle: 'return' })
    const started = performance.now()
    const stop = vm.run({ instructions: this.#slice, idle: 'return' })
    if (stop.kind === 'slice') this.#adaptSlice(performance.now() - started)
    return stop
  }

  #adaptSlice(milliseconds: number): void {
    const factor = milliseconds > 0 ? SLICE_MILLISECONDS / milliseconds : 2
    const wanted = Math.round(this.#slice * Math.min(2, Math.max(0.25, factor)))
    this.#slice = Math.min(LARGEST_SLICE, Math.max(SMALLEST_SLICE, wanted))
  }

  #act(stop: VmStop): void {
    switch (stop.kind) {
      case 'slice':
      case 'requested':
        this.#goOn()
        break
      case 'idle':
        this.#waitInWallTime(stop.until)
        break
      case 'breakpoint':
        this.#stopUnlessAside(stop.vcpu, this.#stops.takeHits())
        break
      case 'step':
        this.#stopHere('step', stop.vcpu)
        break
      case 'reset':
        this.#machine.reset()
        this.listener?.reset?.()
        this.#goOn()
        break
      case 'power-off':
        this.#end({ status: 0, description: 'The guest powered off.' })
        break
      case 'debug-exit':
        this.#end({ status: (stop.value << 1) | 1, description: `The guest ended with debug exit ${stop.value}.` })
        break
      default:
        this.#shutDown(stop)
    }
  }

  /** The guest can't go on by itself: it stands still for a post-mortem. */
  #shutDown(stop: Extract<VmStop, { kind: 'triple-fault' | 'halted-forever' | 'exit' | 'unbacked-page-table' }>): void {
    const text = shutdownText(stop)
    this.#shutdown = {
      status: stop.kind === 'triple-fault' ? STATUS_TRIPLE_FAULT : stop.kind === 'halted-forever' ? 0 : STATUS_FAULT,
      description: `The guest ended: ${text}.`,
    }
    this.#stop({ reason: 'shutdown', vcpu: stop.kind === 'halted-forever' ? 0 : stop.vcpu, text })
  }

  #goOn(): void {
    const turn = ++this.#scheduled
    setImmediate(() => {
      if (turn === this.#scheduled) this.#turn()
    })
  }

  /** Stops between two instructions: also for the breakpoints that are there. */
  #stopHere(reason: 'step' | 'pause', vcpu: number): void {
    const here = this.#machine.vm.vcpus[vcpu].askBreakpoint()
    const hits = this.#stops.serveAsides(this.#stops.takeHits(), vcpu)
    this.#stop({ reason, vcpu, ...(here && hits.length > 0 ? { hits } : {}) })
  }

  #stopUnlessAside(vcpu: number, hits: readonly StopHit[]): void {
    const wanted = this.#stops.serveAsides(hits, vcpu)
    if (wanted.length > 0 || hits.length === 0) {
      this.#stopFor(vcpu, wanted)
      return
    }
    // An event comes after its instruction, which may be the one that a step was to execute.
    const steps = this.#running?.kind === 'step' && !this.#running.stepper.away
    if (steps && hits.some(({ kind }) => kind !== 'code')) {
      this.#stopHere('step', vcpu)
      return
    }
    this.#machine.vm.vcpus[vcpu].leaveBreakpoint()
    this.#goOn()
  }

  #stopFor(vcpu: number, hits: readonly StopHit[]): void {
    const kinds = hits.map(({ kind }) => kind)
    const reason = hits.length === 0 || kinds.includes('code') ? 'breakpoint' : kinds.some(isAccess) ? 'data' : 'event'
    this.#stop({ reason, vcpu, ...(hits.length > 0 ? { hits } : {}) })
  }

  #stop(stop: Stop): void {
    this.#endStep()
    this.#state = { kind: 'stopped', stop }
    this.listener?.stopped(stop)
  }

  #endStep(): void {
    if (this.#running?.kind === 'step') this.#running.stepper.finish()
    this.#running = undefined
  }

  #end(end: GuestEnd): void {
    this.#endStep()
    this.#state = { kind: 'ended', end }
    this.listener?.ended(end)
  }

  #fail(error: unknown): void {
    this.#running = undefined
    this.#state = { kind: 'ended', end: { status: STATUS_FAULT, description: 'Ringside failed.' } }
    this.listener?.failed(error instanceof Error ? error : new Error(String(error)))
  }

  /**
   * Every vCPU is halted until a timer fires. Someone is watching, so virtual time passes no faster than theirs;
   * without input it ends exactly at the timer, and every run is the same.
   * @param until virtual nanoseconds, or Infinity
   */
  #waitInWallTime(until: number): void {
    const { vm } = this.#machine
    const remaining = until - vm.clock.now
    if (remaining + this.#sleepOwed < SHORTEST_SLEEP_NS) {
      this.#sleepOwed += remaining
      vm.passIdleTime(remaining)
      this.#goOn()
      return
    }
    if (this.#machine.hostInputs.waiting) {
      this.#goOn()
      return
    }
    const needed = (remaining + this.#sleepOwed) / 1e6
    const turn = this.#scheduled
    const started = performance.now()
    const timer = setTimeout(() => this.#wake?.(), Math.min(needed, LONGEST_WAIT))
    this.#wake = () => {
      clearTimeout(timer)
      this.#wake = undefined
      if (this.#disposed || turn !== this.#scheduled) return
      const typed = this.#input.length + (this.keyboard?.waiting ?? 0)
      const arrived = typed > 0 || this.#machine.hostInputs.waiting
      const cut = arrived || this.#pauseWanted || needed > LONGEST_WAIT
      const slept = (performance.now() - started) * 1e6
      vm.passIdleTime(cut ? Math.max(0, Math.min(remaining, slept - this.#sleepOwed)) : remaining)
      this.#sleepOwed = 0
      this.#goOn()
    }
  }

  #guestEvent(event: GuestEvent): void {
    if (this.#events.length < EVENTS_AT_ONCE) this.#events.push(event)
    else this.#eventsOmitted++
    if (this.#stops.guestEvent(event)) this.#machine.vm.requestStop({ kind: 'breakpoint', vcpu: event.vcpu })
  }

  #flushOutput(): void {
    for (const source of ['serial', 'debug-console', 'virtio-console'] as const) {
      const bytes = this.#printed[source].splice(0)
      if (bytes.length > 0) this.listener?.output(source, Uint8Array.from(bytes))
    }
    if (this.#events.length === 0) return
    this.listener?.guestEvents?.(this.#events.splice(0), this.#eventsOmitted)
    this.#eventsOmitted = 0
  }

  #deliverInput(): void {
    let taken = 0
    while (taken < this.#input.length && this.#machine.sendSerial(this.#input[taken])) taken++
    this.#input = this.#input.slice(taken)
    this.keyboard?.deliver()
    this.#machine.hostInputs.deliver()
  }
}

const isAccess = (kind: StopHit['kind']): boolean => kind === 'data' || kind === 'host-change'

function shutdownText(
  stop: Extract<VmStop, { kind: 'triple-fault' | 'halted-forever' | 'exit' | 'unbacked-page-table' }>,
): string {
  switch (stop.kind) {
    case 'triple-fault':
      return 'triple fault'
    case 'halted-forever':
      return 'every processor is halted with interrupts off'
    case 'exit':
      return `an exit that nobody asked for: ${stop.exit.reason}`
    case 'unbacked-page-table':
      return `a page table at guest-physical 0x${stop.gpa.toString(16)}, where there is no RAM`
  }
}
