/** A client of the Debug Adapter Protocol: for tests, and for the demo that shows a conversation. */

import { type ChildProcess, spawn } from 'node:child_process'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { framed } from '../src/protocol/framing.ts'

type Message = DebugProtocol.Request | DebugProtocol.Response | DebugProtocol.Event

/** An error response; the message is what a person would see. */
export class DapError extends Error {
  readonly command: string

  constructor(command: string, message: string) {
    super(message)
    this.command = command
  }
}

interface Waiter {
  /** Takes an event if it is the one waited for. */
  take(event: DebugProtocol.Event): boolean
  /** Nothing more will come. */
  giveUp(why: string): void
}

export class DapClient {
  /** Every message in both directions, in order. */
  readonly transcript: Message[] = []
  /** Text of `output` events by category. */
  readonly output: Record<string, string> = {}
  /** Called with each message as it passes. */
  onMessage: ((message: Message) => void) | undefined

  readonly #toServer: Writable
  readonly #pending = new Map<number, (response: DebugProtocol.Response) => void>()
  readonly #waiters = new Set<Waiter>()
  /** Events that nobody has waited for yet. */
  readonly #events: DebugProtocol.Event[] = []
  readonly #process: ChildProcess | undefined
  #received: Buffer = Buffer.alloc(0)
  #sequence = 1
  #ended: string | undefined

  constructor(toServer: Writable, fromServer: Readable, process?: ChildProcess) {
    this.#toServer = toServer
    this.#process = process
    fromServer.on('data', (bytes: Buffer) => this.#receive(bytes))
    fromServer.on('end', () => this.#end('the adapter closed the connection'))
    toServer.on('error', error => this.#end(`the adapter is gone (${error.message})`))
  }

  /** Starts an adapter as a process of its own that speaks on its standard input and output. */
  static spawn(command: string, args: readonly string[]): DapClient {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    return new DapClient(child.stdin, child.stdout, child)
  }

  /** Connects to an adapter in this process: `serve` gets the streams that a process would have. */
  static connect(serve: (input: Readable, output: Writable) => void): DapClient {
    const toServer = new PassThrough()
    const fromServer = new PassThrough()
    serve(toServer, fromServer)
    return new DapClient(toServer, fromServer)
  }

  /** Resolves with the body of the response; rejects with {@link DapError}. */
  async request<Body = Record<string, unknown>>(command: string, args?: unknown): Promise<Body> {
    if (this.#ended !== undefined) throw new DapError(command, this.#ended)
    const seq = this.#sequence++
    const request: DebugProtocol.Request = { seq, type: 'request', command, arguments: args }
    const answered = new Promise<DebugProtocol.Response>(resolve => this.#pending.set(seq, resolve))
    this.#record(request)
    this.#toServer.write(framed(JSON.stringify(request)))
    const response = await answered
    if (!response.success) throw new DapError(command, response.body?.error?.format ?? response.message ?? 'failed')
    return response.body
  }

  /**
   * Resolves with the body of the next event of this name that nobody has waited for yet, received already or not.
   * @param matches other events of the name are passed over
   * @param timeout milliseconds
   */
  async event<Body = Record<string, unknown>>(
    name: string,
    matches: (body: Body) => boolean = () => true,
    timeout = 60_000,
  ): Promise<Body> {
    return (await this.#next(`"${name}" event`, event => event.event === name && matches(event.body), timeout)).body
  }

  /** The next event of one of several names, such as the stop or the end of a guest. */
  nextOf(names: readonly string[], timeout = 60_000): Promise<DebugProtocol.Event> {
    return this.#next(`event of ${names.join(', ')}`, event => names.includes(event.event), timeout)
  }

  #next(what: string, wanted: (event: DebugProtocol.Event) => boolean, timeout: number): Promise<DebugProtocol.Event> {
    const at = this.#events.findIndex(wanted)
    if (at >= 0) return Promise.resolve(this.#events.splice(at, 1)[0])
    if (this.#ended !== undefined) return Promise.reject(new Error(`${this.#ended} before any ${what}`))
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer)
        reject(new Error(why))
      }
      const waiter: Waiter = {
        take: event => {
          if (!wanted(event)) return false
          clearTimeout(timer)
          resolve(event)
          return true
        },
        giveUp: why => fail(`${why} before any ${what}`),
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        fail(`no ${what} within ${timeout} ms; the console ends ${this.#tail()}`)
      }, timeout)
      this.#waiters.add(waiter)
    })
  }

  /** Resolves when the guest's console (`stdout`) has shown `text`. */
  async consoleShows(text: string, timeout = 60_000): Promise<void> {
    const deadline = Date.now() + timeout
    while (!(this.output.stdout ?? '').includes(text)) {
      if (Date.now() > deadline) throw new Error(`the console has not shown "${text}"; it ends ${this.#tail()}`)
      await this.event('output', () => true, Math.max(1, deadline - Date.now()))
    }
  }

  /** `initialize` and `launch`, up to the event after which breakpoints may be set. */
  async launch(args: object): Promise<void> {
    await this.request('initialize', { adapterID: 'ringside', clientID: 'dap-client', linesStartAt1: true })
    const initialized = this.event('initialized')
    await Promise.all([this.request('launch', args), initialized])
  }

  /** Ends the conversation, and the adapter's process if there is one. */
  async close(): Promise<void> {
    if (this.#ended === undefined) await this.request('disconnect', { terminateDebuggee: true }).catch(() => undefined)
    this.#toServer.end()
    const child = this.#process
    if (child === undefined || child.exitCode !== null) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      child.once('exit', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    for (;;) {
      const headerEnd = this.#received.indexOf('\r\n\r\n')
      if (headerEnd < 0) return
      const length = /Content-Length: (\d+)/i.exec(this.#received.toString('latin1', 0, headerEnd))
      if (length === null) throw new Error('the adapter sent a message without Content-Length')
      const start = headerEnd + 4
      const end = start + Number(length[1])
      if (this.#received.length < end) return
      const message: Message = JSON.parse(this.#received.toString('utf8', start, end))
      this.#received = this.#received.subarray(end)
      this.#handle(message)
    }
  }

  #handle(message: Message): void {
    this.#record(message)
    if ('request_seq' in message) {
      this.#pending.get(message.request_seq)?.(message)
      this.#pending.delete(message.request_seq)
    } else if ('event' in message) {
      if (message.event === 'output') {
        const { category = 'console', output } = message.body
        this.output[category] = (this.output[category] ?? '') + output
      }
      this.#deliver(message)
    }
  }

  #deliver(event: DebugProtocol.Event): void {
    for (const waiter of this.#waiters) {
      if (!waiter.take(event)) continue
      this.#waiters.delete(waiter)
      return
    }
    this.#events.push(event)
  }

  #record(message: Message): void {
    this.transcript.push(message)
    this.onMessage?.(message)
  }

  #end(why: string): void {
    this.#ended = why
    for (const [seq, answer] of this.#pending)
      answer({ seq: 0, type: 'response', request_seq: seq, command: '', success: false, message: why })
    this.#pending.clear()
    for (const waiter of this.#waiters) waiter.giveUp(why)
    this.#waiters.clear()
  }

  #tail(): string {
    return JSON.stringify((this.output.stdout ?? '').slice(-300))
  }
}
