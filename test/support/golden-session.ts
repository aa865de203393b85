/** A scripted conversation about a guest of `guests/prebuilt/`, with the adapter in this process, for golden files. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { frameIdOf } from '../../src/adapter/frame-ids.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import { transcriptText } from './dap-transcript.ts'
import { findMarker, GUESTS } from './markers.ts'

type Stopped = DebugProtocol.StoppedEvent['body']

export class GoldenSession {
  readonly client: DapClient
  readonly #program: string

  /** @param program such as `modes`, whose sources lie in `guests/modes/` */
  constructor(program: string) {
    this.client = DapClient.connect((input, output) => void serve(input, output, launch))
    this.#program = program
  }

  /** `initialize`, with what the client understands, and `launch`. */
  async launch(args: object = {}, features: object = {}): Promise<void> {
    await this.client.request('initialize', { adapterID: 'ringside', ...features })
    const program = `${GUESTS}prebuilt/${this.#program}.elf`
    await this.client.request('launch', { program, memory: '64M', ...args })
    await this.client.event('initialized')
  }

  request<Body = Record<string, unknown>>(command: string, args?: object): Promise<Body> {
    return this.client.request<Body>(command, args)
  }

  line(file: string, marker: string): number {
    return findMarker(`${this.#program}/${file}`, marker)
  }

  /** Replaces the breakpoints of a source file; all must be verified, each at its marked line. */
  async breakAt(file: string, ...markers: string[]): Promise<void> {
    const name = `${this.#program}/${file}`
    const lines = markers.map(marker => this.line(file, marker))
    const { breakpoints } = await this.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setBreakpoints', {
      source: { path: `${GUESTS}${name}` },
      breakpoints: lines.map(line => ({ line })),
    })
    expect(breakpoints.map(({ verified, line }) => ({ verified, line }))).toEqual(
      lines.map(line => ({ verified: true, line })),
    )
  }

  /** Lets the guest start, and waits for its first stop. */
  async start(): Promise<Stopped> {
    await this.request('configurationDone')
    return this.stopped()
  }

  stopped(): Promise<Stopped> {
    return this.client.event<Stopped>('stopped')
  }

  /** `continue` or a step, by line unless said otherwise, to the next stop. */
  async go(command = 'continue', granularity?: DebugProtocol.SteppingGranularity): Promise<Stopped> {
    await this.request(command, { threadId: 1, ...(granularity === undefined ? {} : { granularity }) })
    return this.stopped()
  }

  /** The innermost frames. */
  async stack(levels = 1): Promise<DebugProtocol.StackFrame[]> {
    const args = { threadId: 1, startFrame: 0, levels }
    return (await this.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', args)).stackFrames
  }

  /** The instructions where the guest stands. */
  async disassemble(instructionCount: number): Promise<string[]> {
    const [{ instructionPointerReference: memoryReference }] = await this.stack()
    const { instructions } = await this.request<{ instructions: DebugProtocol.DisassembledInstruction[] }>(
      'disassemble',
      { memoryReference, instructionCount },
    )
    return instructions.map(({ instruction }) => instruction)
  }

  /** The mode of the CPU in one line, as the command of the debug console says it. */
  async mode(): Promise<string> {
    return (await this.request<{ result: string }>('evaluate', { expression: 'mode', context: 'repl' })).result
  }

  /** @param level of the frame, 0 for the innermost */
  async evaluate(expression: string, level = 0): Promise<string> {
    const args = { expression, frameId: frameIdOf({ vcpu: 0, depth: level }), context: 'watch' }
    return (await this.request<{ result: string }>('evaluate', args)).result
  }

  /** Where the guest stands: checked to be the marked line. */
  async at(file: string, marker: string): Promise<void> {
    const [{ source, line }] = await this.stack()
    expect(`${source?.name}:${line}`).toBe(`${file}:${this.line(file, marker)}`)
  }

  /**
   * What was said after `launch` began, as `test/golden/<name>.txt` has it; then ends the session.
   * @param replace more texts that differ from machine to machine, and what stands for them
   */
  async expectGolden(name: string, replace: Readonly<Record<string, string>> = {}): Promise<void> {
    const text = transcriptText(this.client, { [GUESTS]: 'GUESTS/', ...replace })
    await this.client.close()
    await expect(text.slice(text.indexOf('> launch'))).toMatchFileSnapshot(`../golden/${name}.txt`)
  }
}
