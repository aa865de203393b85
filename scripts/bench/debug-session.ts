/** A guest under our own debugger, for measuring it: run it to where something is, and ask its target. */

import type { Debugger } from '../../src/debugger/debugger.ts'
import { launch } from '../../src/debugger/launch.ts'
import type { SourceStepOptions } from '../../src/debugger/stepping.ts'
import type { StepRequest, StopRequest } from '../../src/debugger/stop-request.ts'
import type { GuestEnd, Stop, Target, TargetListener } from '../../src/debugger/target.ts'
import type { SessionGuest } from './debugger/guests.ts'

const MEMORY = 256 * 2 ** 20

export class DebugSession {
  readonly debugger: Debugger
  readonly target: Target
  /** What the debugger makes of its target's stops. */
  readonly #attended: TargetListener | undefined
  #output = ''
  #awaited: string | undefined
  #told: (what: Stop | GuestEnd | undefined) => void = () => {}

  private constructor(debugger_: Debugger) {
    this.debugger = debugger_
    this.target = debugger_.target
    debugger_.listener = undefined
    this.#attended = this.target.listener
    // Straight to the target, but for steps by line: the rest is not about what a debugger makes of its stops.
    this.target.listener = {
      stopped: stop => this.#told(stop),
      ended: end => this.#told(end),
      failed: error => {
        throw error
      },
      output: (_source, bytes) => {
        this.#output += Buffer.from(bytes).toString('latin1')
        if (this.#awaited === undefined || !this.#output.includes(this.#awaited)) return
        this.#awaited = undefined
        this.#told(undefined)
      },
    }
  }

  static async start(guest: SessionGuest): Promise<DebugSession> {
    const { image, initrd, commandLine } = guest
    const options = { program: image, symbols: [], cmdline: commandLine, memory: MEMORY }
    return new DebugSession(await launch(initrd === undefined ? options : { ...options, initrd }))
  }

  /** Runs to the next stop. Throws when the guest ends. */
  async stop(requests?: readonly StopRequest[]): Promise<Stop> {
    if (requests !== undefined) this.target.setStops(requests)
    return this.#stopAfter(() => this.target.resume())
  }

  step(request: StepRequest): Promise<Stop> {
    return this.#stopAfter(() => this.target.step(request))
  }

  /** A step as people mean it, with all that the debugger does at its stop. */
  async stepInDebugger(options: SourceStepOptions): Promise<void> {
    const direct = this.target.listener
    this.target.listener = this.#attended
    await new Promise<void>((resolve, reject) => {
      this.debugger.listener = {
        stopped: () => resolve(),
        ended: ({ description }) => reject(new Error(`the guest ended: ${description}`)),
        failed: reject,
        output: () => {},
        breakpointsResolved: () => {},
      }
      this.debugger.step(options)
    })
    this.debugger.listener = undefined
    this.target.listener = direct
  }

  async #stopAfter(action: () => void): Promise<Stop> {
    const what = await this.#until(action)
    if (what === undefined || !('reason' in what)) throw new Error(`the guest ended: ${what?.description}`)
    return what
  }

  /** Runs until the console shows a text. */
  async runUntil(text: string, requests: readonly StopRequest[]): Promise<void> {
    this.target.setStops(requests)
    this.#awaited = text
    const what = await this.#until(() => this.target.resume())
    if (what !== undefined) throw new Error(`the guest stopped before it printed "${text}"`)
  }

  /** Runs for a while. */
  async runFor(milliseconds: number, requests: readonly StopRequest[]): Promise<void> {
    this.target.setStops(requests)
    await this.#until(() => {
      setTimeout(() => this.target.pause(), milliseconds)
      this.target.resume()
    })
  }

  #until(action: () => void): Promise<Stop | GuestEnd | undefined> {
    return new Promise(resolve => {
      this.#told = resolve
      action()
    })
  }
}
