/**
 * One conversation with a DAP client: dispatches requests to their families and turns what happens in the debugger
 * into events. State about the guest lives in the debugger, not here.
 */

import { ProtocolServer } from '@vscode/debugadapter/lib/protocol.js'
import type { DebugProtocol } from '@vscode/debugprotocol'
import type { Breakpoint } from '../debugger/breakpoints.ts'
import type { Debugger, StopReport } from '../debugger/debugger.ts'
import type { LaunchOptions } from '../debugger/launch.ts'
import type { GuestEnd, OutputSource } from '../debugger/target.ts'
import { CONSOLE_OUTPUT } from '../protocol/custom-requests.ts'
import type { ConsolePlace } from '../protocol/launch-arguments.ts'
import { ConsoleText } from './console-text.ts'
import { RequestError, type RequestHandler } from './request.ts'
import { breakpointBody } from './requests/breakpoints.ts'
import { stopBody } from './stop-event.ts'
import { VariableHandles } from './variable-handles.ts'

/** Puts a guest together and gives it to a debugger. */
export type Launcher = (options: LaunchOptions) => Promise<Debugger>

/** How a client wants the guest to begin, and to see it. */
export interface SessionOptions {
  readonly stopOnEntry: boolean
  readonly console: ConsolePlace
}

export class Session extends ProtocolServer {
  readonly launch: Launcher
  /** References that the client got at the current stop; they end when the guest goes on. */
  readonly variables = new VariableHandles()
  /** Resolves when the conversation is over. */
  readonly closed: Promise<void>

  readonly #handlers: ReadonlyMap<string, RequestHandler>
  readonly #console: Record<OutputSource, ConsoleText>
  #debugger: Debugger | undefined
  #close: () => void = () => {}
  #options: SessionOptions = { stopOnEntry: false, console: 'internalConsole' }
  #disposed = false

  constructor(handlers: ReadonlyMap<string, RequestHandler>, launch: Launcher) {
    super()
    this.launch = launch
    this.#handlers = handlers
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    this.#console = {
      serial: new ConsoleText(text => this.#serialOutput(text)),
      'debug-console': new ConsoleText(output => this.event('output', { category: 'stderr', output })),
    }
    this.on('close', () => this.shutDown())
    this.on('error', (event: DebugProtocol.Event) => this.#transportFailed(String(event.body)))
  }

  /** Throws {@link RequestError} before `launch`. */
  get debugger(): Debugger {
    if (this.#debugger === undefined) throw new RequestError('nothing has been launched yet')
    return this.#debugger
  }

  get launched(): boolean {
    return this.#debugger !== undefined
  }

  attachDebugger(attached: Debugger, options: SessionOptions): void {
    this.#debugger = attached
    this.#options = options
    attached.listener = {
      stopped: report => this.#stopped(report),
      output: (source, bytes) => this.#console[source].write(bytes),
      ended: end => this.#ended(end),
      failed: error => this.#failed(error),
      breakpointsResolved: breakpoints => this.#breakpointsResolved(breakpoints),
    }
  }

  /** The client has set its breakpoints: the guest may start. */
  begin(): void {
    const { target } = this.debugger
    if (target.state.kind !== 'stopped' || target.state.stop.reason !== 'entry') return
    if (this.#options.stopOnEntry) this.#stopped({ ...target.state.stop, breakpoints: [] })
    else this.debugger.resume()
  }

  event(name: string, body: object = {}): void {
    this.sendEvent({ seq: 0, type: 'event', event: name, body })
  }

  /** The guest goes on: references of this stop are void. */
  resumed(): void {
    this.variables.clear()
  }

  /** Ends guest and conversation. */
  shutDown(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#flushConsole()
    this.#debugger?.dispose()
    this.#close()
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    void this.#serve(request)
  }

  async #serve(request: DebugProtocol.Request): Promise<void> {
    const { command, seq } = request
    const response = { seq: 0, type: 'response', request_seq: seq, command }
    const handler = this.#handlers.get(command)
    const after: (() => void)[] = []
    try {
      if (handler === undefined) throw new RequestError(`"${command}" is not a request that this adapter knows`)
      const body = await handler(this, request.arguments, action => after.push(action))
      this.sendResponse({ ...response, success: true, ...(body === undefined ? {} : { body }) })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      // The `message` of DAP is for programs; people see `body.error.format`.
      const body = { error: { id: 1, format: message, showUser: true } }
      this.sendResponse({ ...response, success: false, message, body })
    }
    for (const action of after) action()
  }

  /** A message that can't be read is said and passed over; a stream that is broken ends the conversation. */
  #transportFailed(message: string): void {
    if (message.startsWith('Error handling data'))
      this.event('output', { category: 'important', output: `A message that is no DAP was ignored: ${message}\n` })
    else this.shutDown()
  }

  #stopped(report: StopReport): void {
    this.#flushConsole()
    this.event('stopped', stopBody(report))
  }

  #ended(end: GuestEnd): void {
    this.#flushConsole()
    this.event('output', { category: 'console', output: `${end.description}\n` })
    this.event('exited', { exitCode: end.status })
    this.event('terminated')
  }

  #failed(error: Error): void {
    this.#flushConsole()
    this.event('output', { category: 'important', output: `Ringside failed: ${error.message}\n` })
    this.event('terminated')
  }

  #breakpointsResolved(breakpoints: readonly Breakpoint[]): void {
    for (const breakpoint of breakpoints)
      this.event('breakpoint', { reason: 'changed', breakpoint: breakpointBody(breakpoint) })
  }

  #serialOutput(text: string): void {
    if (this.#options.console === 'integratedTerminal') this.event(CONSOLE_OUTPUT, { text })
    else this.event('output', { category: 'stdout', output: text })
  }

  #flushConsole(): void {
    for (const text of Object.values(this.#console)) text.flush()
  }
}
