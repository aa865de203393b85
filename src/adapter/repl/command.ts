/** Commands of the debug console, beside expressions. */

import type { Address } from '../../inspect/address.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { parseAddress } from '../../protocol/address.ts'
import type { FrameId } from '../frame-ids.ts'
import { RequestError } from '../request.ts'
import type { Session } from '../session.ts'

export interface Command {
  readonly name: string
  /** What stands behind the name: `ADDRESS [read|write|execute]`. */
  readonly usage: string
  /** One line. */
  readonly summary: string
  /** More lines for `help NAME`. */
  readonly details?: string
  /** What its word at a place, from 0, may be, for completion. */
  readonly words?: (machine: MachineView, index: number) => readonly string[]
  /** @returns text for a person. Throws errors that say what to do. */
  run(call: CommandCall): string
}

/** A command as it was typed. */
export class CommandCall {
  readonly command: Command
  /** What stands behind a slash right after the name: `8gx` of `x/8gx`. */
  readonly suffix: string
  readonly words: readonly string[]
  readonly session: Session
  readonly frame: FrameId

  constructor(command: Command, suffix: string, rest: string, session: Session, frame: FrameId) {
    this.command = command
    this.suffix = suffix
    this.words = rest.split(/\s+/).filter(word => word !== '')
    this.session = session
    this.frame = frame
  }

  get machine(): MachineView {
    return this.session.debugger.target.machine
  }

  get vcpu(): VcpuView {
    return this.session.debugger.vcpu(this.frame.vcpu)
  }

  describe(address: bigint): string | undefined {
    return this.session.debugger.symbols.describe(address)
  }

  /** An address as the protocol writes it, or an expression. */
  address(text: string): Address {
    if (/^(phys|hpa|cr3=[^:]+):/i.test(text)) {
      const colon = text.indexOf(':') + 1
      const rest = text.slice(colon)
      return parseAddress(text.slice(0, colon) + (/^(0x[0-9a-f]+|[0-9]+)$/i.test(rest) ? rest : this.#number(rest)))
    }
    return { space: 'linear', address: this.#value(text) }
  }

  /** An expression's value, from 0 to `most`. */
  count(text: string, most: number): number {
    const value = this.#value(text)
    if (value > BigInt(most)) throw new RequestError(`${this.command.name}: at most ${most}, not ${value}`)
    return Number(value)
  }

  wrongUsage(): RequestError {
    const { name, usage } = this.command
    return new RequestError(`usage: ${name}${usage.startsWith('/') ? '' : ' '}${usage}`)
  }

  #value(text: string): bigint {
    return this.session.debugger.evaluate(this.frame.vcpu, text)
  }

  #number(text: string): string {
    return `0x${this.#value(text).toString(16)}`
  }
}
