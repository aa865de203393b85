/** A target whose guest does nothing but go along a path of instruction addresses, given by the test. */

import type { StopRequest } from '../../src/debugger/stop-request.ts'
import type {
  ExitReport,
  GuestEnd,
  Stop,
  Target,
  TargetCapabilities,
  TargetListener,
  TargetState,
} from '../../src/debugger/target.ts'
import { FakeMachine } from './fake-machine.ts'

/** Where the guest is next; `rsp` and `effect` when something else changes with it. */
export interface PathPoint {
  readonly rip: bigint
  readonly rsp?: bigint
  readonly effect?: () => void
}

export class FakeTarget implements Target {
  readonly capabilities: TargetCapabilities = {
    linearBreakpoints: true,
    physicalBreakpoints: false,
    stops: new Set(['code'] as const),
    stopConditions: false,
    steps: new Set(['into'] as const),
    hostMemory: true,
    exits: true,
    consoleInput: true,
    writes: true,
    restarts: true,
  }
  readonly machine = new FakeMachine()
  listener: TargetListener | undefined
  state: TargetState = { kind: 'stopped', stop: { reason: 'entry', vcpu: 0 } }
  instructions = 0
  readonly typed: string[] = []
  breakpoints: ReadonlySet<bigint> = new Set()
  /** At its end the guest ends with status 0, or loops for ever. */
  atEnd: 'end' | 'loop' = 'end'
  readonly #path: readonly PathPoint[]
  #position = 0
  #pauseWanted = false

  constructor(path: readonly (bigint | PathPoint)[]) {
    this.#path = path.map(point => (typeof point === 'bigint' ? { rip: point } : point))
    this.machine.vcpu.protectedMode()
    this.#arrive()
  }

  resume(): void {
    this.#start(() => this.#run())
  }

  step(): void {
    this.#start(() => {
      if (this.#advance()) this.#stop({ reason: 'step', vcpu: 0 })
    })
  }

  pause(): void {
    this.#pauseWanted = true
  }

  setStops(requests: readonly StopRequest[]): void {
    this.breakpoints = new Set(requests.flatMap(request => (request.kind === 'code' ? [request.address] : [])))
  }

  exits(recent: number): ExitReport {
    const exit = {
      instructions: 7,
      vcpu: 0,
      reason: 'io',
      detail: 'out to port 0x3f8',
      rip: 0x100004n,
      gpa: undefined,
    }
    return {
      total: 1,
      byReason: [{ reason: 'io', count: 1 }],
      recent: [exit].slice(0, recent),
      byAddress: [{ address: 0x100004n, count: 1 }],
    }
  }

  writeConsole(bytes: Uint8Array): void {
    this.typed.push(new TextDecoder().decode(bytes))
  }

  writeVirtioConsole(): number {
    return 0
  }
  readonly balloon = undefined
  readonly keyboard = undefined

  writeRegister(vcpu: number, name: string, value: bigint): void {
    this.machine.vcpus[vcpu].set({ [name]: value })
  }

  writePhysical(gpa: number, bytes: Uint8Array): void {
    this.machine.write(gpa, bytes)
  }

  restart(): void {
    this.#position = 0
    this.instructions = 0
    this.#arrive()
    this.state = { kind: 'stopped', stop: { reason: 'entry', vcpu: 0 } }
  }

  dispose(): void {
    this.state = { kind: 'ended', end: { status: 0, description: 'disposed' } }
  }

  #start(action: () => void): void {
    this.state = { kind: 'running' }
    this.#pauseWanted = false
    setImmediate(action)
  }

  #run(): void {
    while (this.state.kind === 'running') {
      if (this.#pauseWanted) {
        this.#stop({ reason: 'pause', vcpu: 0 })
        return
      }
      if (this.atEnd === 'loop' && this.#position === this.#path.length - 1) {
        setImmediate(() => this.#run())
        return
      }
      if (!this.#advance()) return
      if (this.breakpoints.has(this.machine.vcpu.register('rip'))) this.#stop({ reason: 'breakpoint', vcpu: 0 })
    }
  }

  #advance(): boolean {
    this.instructions++
    this.#position++
    if (this.#position < this.#path.length) {
      this.#arrive()
      return true
    }
    this.#end({ status: 0, description: 'The guest powered off.' })
    return false
  }

  #arrive(): void {
    const { rip, rsp, effect } = this.#path[this.#position]
    this.machine.vcpu.set({ rip, ...(rsp === undefined ? {} : { rsp }) })
    effect?.()
  }

  #stop(stop: Stop): void {
    this.state = { kind: 'stopped', stop }
    this.listener?.stopped(stop)
  }

  #end(end: GuestEnd): void {
    this.state = { kind: 'ended', end }
    this.listener?.ended(end)
  }
}
