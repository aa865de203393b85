/** A machine that runs with its console at standard input and output, in slices, until something ends it. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Pc } from '../machine/pc.ts'
import type { VmStop } from '../vmm/vm-stop.ts'
import type { RunArguments } from './arguments.ts'
import type { ConsoleInput } from './console-input.ts'
import type { ConsoleOutput } from './console-output.ts'
import { crashReport } from './crash-report.ts'
import { debugExitStatus, STATUS_DONE, STATUS_GUEST_CRASH, STATUS_TIMEOUT } from './exit-status.ts'

/** Some 10 ms of guest: after each slice output is written, and input, quit and timeout are looked at. */
const SLICE_INSTRUCTIONS = 1_000_000
/** Idle time is waited for once so much of it has come together: a sleep can't be shorter than this. */
const SHORTEST_SLEEP_NS = 2e6

export class RunSession {
  readonly #args: RunArguments
  readonly #pc: Pc
  readonly #input: ConsoleInput
  readonly #outputs: readonly ConsoleOutput[]
  readonly #started = performance.now()
  /** Virtual time that was idled through and not yet waited for. */
  #sleepOwed = 0

  constructor(args: RunArguments, pc: Pc, input: ConsoleInput, outputs: readonly ConsoleOutput[]) {
    this.#args = args
    this.#pc = pc
    this.#input = input
    this.#outputs = outputs
    pc.hostInputs.onArrival = () => input.wake()
  }

  /** Wall time since the guest started. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  async run(report: (message: string) => void): Promise<number> {
    try {
      for (;;) {
        const stop = this.#pc.vm.run({
          instructions: this.#slice(),
          idle: () => (this.#live ? 'return' : 'skip'),
        })
        for (const output of this.#outputs) await output.flush()
        const status = await this.#act(stop, report)
        if (status !== undefined) return status
        if (this.#input.quit || this.#outputs.some(output => output.broken)) return STATUS_DONE
        if (this.#args.timeout !== undefined && this.seconds >= this.#args.timeout) {
          report(`ringside: the guest has not ended after ${this.#args.timeout} s\n`)
          return STATUS_TIMEOUT
        }
        // Input arrives here, and nowhere else: where a slice ends is where the guest can get it.
        await nextTurn()
        this.#input.deliver(byte => this.#pc.sendSerial(byte))
        this.#pc.hostInputs.deliver()
      }
    } finally {
      this.#input.close()
    }
  }

  /** Can anything come that is not the guest's own doing? */
  get #live(): boolean {
    return this.#input.live || this.#pc.hostInputs.live
  }

  #slice(): number {
    if (this.#args.saveAt === undefined) return SLICE_INSTRUCTIONS
    return Math.max(0, Math.min(SLICE_INSTRUCTIONS, this.#args.saveAt - this.#pc.vm.clock.count))
  }

  /** @returns the exit status if the run is over. */
  async #act(stop: VmStop, report: (message: string) => void): Promise<number | undefined> {
    switch (stop.kind) {
      case 'slice':
        return this.#pc.vm.clock.count >= (this.#args.saveAt ?? Infinity) ? STATUS_DONE : undefined
      case 'idle':
        await this.#wait(stop.until)
        return undefined
      case 'power-off':
      case 'requested':
        return STATUS_DONE
      case 'halted-forever':
        return STATUS_DONE
      case 'reset':
        if (!this.#args.reboot) return STATUS_DONE
        this.#pc.reset()
        return undefined
      case 'debug-exit':
        return debugExitStatus(stop.value)
      case 'triple-fault':
      case 'unbacked-page-table':
        report(crashReport(this.#pc, stop))
        return STATUS_GUEST_CRASH
      case 'breakpoint':
      case 'step':
      case 'exit':
        throw new Error(`the run stopped for a debugger (${stop.kind}), and there is none`)
    }
  }

  /** An idle guest with somebody at its console or sockets: time passes as on the wall, until a timer fires or something comes. */
  async #wait(until: number): Promise<void> {
    const { vm } = this.#pc
    const remaining = until - vm.clock.now
    if (remaining + this.#sleepOwed < SHORTEST_SLEEP_NS) {
      this.#sleepOwed += remaining
      vm.passIdleTime(remaining)
      return
    }
    if (this.#pc.hostInputs.waiting) return
    const start = performance.now()
    await this.#input.wait(Math.min((remaining + this.#sleepOwed) / 1e6, this.#untilTimeout()))
    const slept = (performance.now() - start) * 1e6
    vm.passIdleTime(Math.max(0, slept - this.#sleepOwed))
    this.#sleepOwed = Math.max(0, this.#sleepOwed - slept)
  }

  /** Milliseconds. */
  #untilTimeout(): number {
    return this.#args.timeout === undefined ? Infinity : Math.max(0, (this.#args.timeout - this.seconds) * 1000)
  }
}
