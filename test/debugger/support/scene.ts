/** A debugger with all that it says. */

import type { Breakpoint } from '../../../src/debugger/breakpoints.ts'
import type { Debugger, StopReport } from '../../../src/debugger/debugger.ts'
import { instructionPointer } from '../../../src/inspect/cpu-mode.ts'

export class Scene {
  readonly session: Debugger
  output = ''
  readonly problems: string[] = []
  readonly resolved: Breakpoint[] = []
  #stopped: (report: StopReport) => void = () => {}
  #printed: { readonly text: string; readonly tell: () => void } | undefined

  constructor(session: Debugger) {
    this.session = session
    session.listener = {
      stopped: report => this.#stopped(report),
      output: (_source, bytes) => {
        this.output += Buffer.from(bytes).toString('latin1')
        if (this.#printed !== undefined && this.output.includes(this.#printed.text)) this.#printed.tell()
      },
      ended: () => {},
      failed: error => {
        throw error
      },
      problem: text => this.problems.push(text),
      breakpointsResolved: breakpoints => this.resolved.push(...breakpoints),
    }
  }

  next(action: () => void): Promise<StopReport> {
    return new Promise(resolve => {
      this.#stopped = resolve
      action()
    })
  }

  /** Lets the guest run until it has printed something, and stops it there. */
  async printed(text: string): Promise<StopReport> {
    const said = new Promise<void>(resolve => {
      this.#printed = { text, tell: resolve }
    })
    const stop = new Promise<StopReport>(resolve => {
      this.#stopped = resolve
    })
    this.session.resume()
    await said
    this.#printed = undefined
    this.session.pause()
    return stop
  }

  get rip(): bigint {
    return instructionPointer(this.session.vcpu(0))
  }

  get instructions(): number {
    return this.session.target.instructions
  }
}
