/**
 * One conversation with a DAP client: takes its requests one after the other, dispatches them to their families, and
 * turns what happens in the debugger into events. State about the guest lives in the debugger, not here.
 */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { Breakpoint } from '../debugger/breakpoints.ts'
import type { Debugger, StopReport } from '../debugger/debugger.ts'
import { eventText } from '../debugger/hit-text.ts'
import type { LaunchOptions, Turn } from '../debugger/launch.ts'
import type { GuestEnd, OutputSource } from '../debugger/target.ts'
import type { Address } from '../inspect/address.ts'
import type { GuestEventView } from '../inspect/machine-view.ts'
import { formatAddress } from '../protocol/address.ts'
import { CONSOLE_OUTPUT } from '../protocol/custom-requests.ts'
import type { ConsolePlace, SourceMapEntry } from '../protocol/launch-arguments.ts'
import { type ClientFeatures, NO_FEATURES } from './client-features.ts'
import { Connection, type Request } from './connection.ts'
import { ConsoleText } from './console-text.ts'
import { ingredientsOf } from './ingredients.ts'
import { Progress } from './progress.ts'
import { RequestError, type RequestHandler } from './request.ts'
import { breakpointBody } from './requests/breakpoints.ts'
import { Sources } from './sources.ts'
import { stopBody } from './stop-event.ts'
import type { Transport } from './transport.ts'
import { VariableHandles } from './variable-handles.ts'

/** Puts a guest together and gives it to a debugger. */
export type Launcher = (options: LaunchOptions, turn?: Turn) => Promise<Debugger>

/** How a client wants the guest to begin, and to see it. */
export interface SessionOptions {
  readonly stopOnEntry: boolean
  readonly console: ConsolePlace
  readonly sourceMap: readonly SourceMapEntry[]
}

/** All that `launch` was told. */
export interface Configuration {
  readonly options: LaunchOptions
  readonly view: SessionOptions
}

export class Session {
  readonly #launch: Launcher
  /** What the client can do with events; known after `initialize`. */
  client: ClientFeatures = NO_FEATURES
  /** References that the client got at the current stop; they end when the guest goes on. */
  readonly variables = new VariableHandles()
  /** Where the guest's sources are; as `launch` says. */
  sources = new Sources([])
  /** Resolves when the conversation is over. */
  readonly closed: Promise<void>

  readonly #handlers: ReadonlyMap<string, RequestHandler>
  readonly #console: Record<OutputSource, ConsoleText>
  readonly #log = new ConsoleText(output => this.event('output', { category: 'console', output }))
  readonly #connection: Connection
  readonly #written: DebugProtocol.MemoryEvent['body'][] = []
  #targets: bigint[] = []
  #firstTarget = 1
  #debugger: Debugger | undefined
  #close: () => void = () => {}
  #configuration: Configuration | undefined
  /** Of what the guest was made. */
  #ingredients = ''
  #disposed = false
  #terminated = false

  constructor(handlers: ReadonlyMap<string, RequestHandler>, launch: Launcher, transport: Transport) {
    this.#launch = launch
    this.#handlers = handlers
    this.closed = new Promise(resolve => {
      this.#close = resolve
    })
    this.#console = {
      serial: new ConsoleText(text => this.#serialOutput(text)),
      'debug-console': new ConsoleText(output => this.event('output', { category: 'stderr', output })),
      'virtio-console': new ConsoleText(output => this.event('output', { category: 'stdout', output })),
    }
    this.#connection = new Connection(transport, {
      request: (request, signal) => this.#serve(request, signal),
      unreadable: why => this.#important(`A message that is no DAP was ignored: ${why}`),
      closed: () => this.shutDown(),
    })
  }

  /** Throws {@link RequestError} before `launch`. */
  get debugger(): Debugger {
    if (this.#debugger === undefined) throw new RequestError('nothing has been launched yet')
    return this.#debugger
  }

  get launched(): boolean {
    return this.#debugger !== undefined
  }

  /** What the guest was launched with. Throws {@link RequestError} before `launch`. */
  get configuration(): Configuration {
    if (this.#configuration === undefined) throw new RequestError('nothing has been launched yet')
    return this.#configuration
  }

  /** Whether putting the guest together would make the one that is there. */
  isRunningFrom(options: LaunchOptions): boolean {
    return this.#ingredients === ingredientsOf(options)
  }

  /**
   * Puts a guest together. It takes the place of one that is there, and its breakpoints. That one stays when this fails,
   * unless it has a network or disks: it may listen at ports that the new one wants, and disks belong to one machine.
   */
  async start({ options, view }: Configuration, progress: Progress): Promise<void> {
    const title = `Loading ${options.program}`
    progress.begin(title)
    const before = this.#debugger
    const ingredients = ingredientsOf(options)
    const { net, disks = [] } = this.#configuration?.options ?? {}
    if (net !== undefined || disks.length > 0) before?.dispose()
    const started = await this.#launch(options, done => progress.turn(title, done))
    if (this.#terminated) {
      started.dispose()
      throw new RequestError('the session was ended meanwhile')
    }
    this.#ingredients = ingredients
    this.#configuration = { options, view }
    this.#attach(started)
    if (before === undefined) return
    before.listener = undefined
    started.takeBreakpoints(before)
    before.dispose()
  }

  /** The same guest from power-on. */
  restart(view: SessionOptions): void {
    this.debugger.restart()
    this.#configuration = { ...this.configuration, view }
    this.sources = new Sources(view.sourceMap)
  }

  /** Ends the guest; the client is told after the response. */
  terminate(): void {
    this.debugger.dispose()
    this.#terminated = true
  }

  #attach(attached: Debugger): void {
    this.#debugger = attached
    this.sources = new Sources(this.configuration.view.sourceMap)
    attached.listener = {
      stopped: report => this.#stopped(report),
      output: (source, bytes) => this.#console[source].write(bytes),
      guestEvents: (events, omitted) => this.#guestEvents(events, omitted),
      ended: end => this.#ended(end),
      failed: error => this.#failed(error),
      logged: text => this.#log.write(new TextEncoder().encode(`${text}\n`)),
      problem: text => this.#important(text),
      breakpointsResolved: breakpoints => this.#breakpointsResolved(breakpoints),
    }
    for (const problem of attached.symbols.problems) this.#important(problem)
    // The client has gone while its guest was put together.
    if (this.#disposed) attached.dispose()
  }

  /** The client has set its breakpoints: the guest may start. */
  begin(): void {
    const { target } = this.debugger
    if (target.state.kind !== 'stopped' || target.state.stop.reason !== 'entry') return
    if (this.configuration.view.stopOnEntry) this.#stopped({ ...target.state.stop, breakpoints: [] })
    else this.debugger.resume(true)
  }

  event(name: string, body: object = {}): void {
    this.#connection.event(name, body)
  }

  /** A request that has come and is not answered yet ends with an error: before its turn, or as soon as it can. */
  cancel(seq: number): void {
    this.#connection.cancel(seq)
  }

  /** The user has changed memory; the client is told when the request is answered, with {@link invalidated}. */
  wrote(address: Address, count: number): void {
    this.#written.push({ memoryReference: formatAddress(address), offset: 0, count })
  }

  /** What the client shows is no longer so, because the user changed something. */
  invalidated(areas: readonly DebugProtocol.InvalidatedAreas[]): void {
    for (const range of this.#written.splice(0)) if (this.client.memory) this.event('memory', range)
    if (this.client.invalidated) this.event('invalidated', { areas: [...areas] })
  }

  memoryChanged(address: Address, count: number): void {
    this.debugger.changed()
    this.wrote(address, count)
    this.invalidated(['stacks', 'variables'])
  }

  /** An id for an address that the client may choose at this stop. */
  targetId(address: bigint): number {
    const known = this.#targets.indexOf(address)
    if (known >= 0) return this.#firstTarget + known
    return this.#firstTarget + this.#targets.push(address) - 1
  }

  targetAddress(id: number): bigint | undefined {
    return this.#targets[id - this.#firstTarget]
  }

  /** The guest goes on: references of this stop are void. */
  resumed(): void {
    this.variables.clear()
    // Ids are not used again.
    this.#firstTarget += this.#targets.length
    this.#targets = []
  }

  /** Ends guest and conversation. */
  shutDown(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#flushConsole()
    this.#debugger?.dispose()
    this.#close()
  }

  async #serve(
    { seq, command, arguments: args }: Request,
    signal: AbortSignal,
  ): Promise<{ body?: object | undefined; after: () => void }> {
    const handler = this.#handlers.get(command)
    if (handler === undefined) throw new RequestError(`"${command}" is not a request that this adapter knows`)
    const after: (() => void)[] = []
    const progress = new Progress(this, seq, signal)
    const answer = async () => handler(this, args, action => after.push(action), progress)
    const body = await answer().finally(() => progress.end())
    return {
      body,
      after: () => {
        for (const action of after) action()
      },
    }
  }

  #stopped(report: StopReport): void {
    this.#flushConsole()
    const body = stopBody(report)
    const disassembled = this.client.disassemblesAtInstructionBreakpoints && !this.#showsSource(report.vcpu)
    this.event('stopped', disassembled ? { ...body, reason: 'instruction breakpoint' } : body)
  }

  /** Whether the frame that a vCPU executes has a source, and it is here. */
  #showsSource(vcpu: number): boolean {
    const [frame] = this.debugger.stack(vcpu).frames(0, 1)
    return frame?.source !== undefined && this.sources.locate(frame.source.file, frame.module) !== undefined
  }

  #guestEvents(events: readonly GuestEventView[], omitted: number): void {
    const lines = events.map(event => `${event.count}: ${eventText(event)}\n`)
    if (omitted > 0) lines.push(`and ${omitted} more events\n`)
    this.event('output', { category: 'console', output: lines.join('') })
  }

  #ended(end: GuestEnd): void {
    this.#flushConsole()
    this.event('output', { category: 'console', output: `${end.description}\n` })
    this.event('exited', { exitCode: end.status })
    this.event('terminated')
  }

  #failed(error: Error): void {
    this.#flushConsole()
    this.#important(`Ringside failed: ${error.message}`)
    this.event('terminated')
  }

  #important(text: string): void {
    this.event('output', { category: 'important', output: `${text}\n` })
  }

  #breakpointsResolved(breakpoints: readonly Breakpoint[]): void {
    for (const breakpoint of breakpoints)
      this.event('breakpoint', { reason: 'changed', breakpoint: breakpointBody(breakpoint) })
  }

  #serialOutput(text: string): void {
    if (this.configuration.view.console === 'integratedTerminal') this.event(CONSOLE_OUTPUT, { text })
    else this.event('output', { category: 'stdout', output: text })
  }

  #flushConsole(): void {
    for (const text of [...Object.values(this.#console), this.#log]) text.flush()
  }
}
