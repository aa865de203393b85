/**
 * The messages of one conversation: requests are served one after the other in the order in which they came, so that a
 * later one may still be cancelled; those that stop something do not wait for their turn.
 */

import type { Readable, Writable } from 'node:stream'
import { Fields } from '../protocol/fields.ts'
import { FramingError, LARGEST_MESSAGE, MessageReader } from './framing.ts'
import { CancelledError } from './progress.ts'

export interface ConnectionListener {
  /**
   * Serves one request; `after` is called when its response has been sent. An exception is an error response.
   * @param signal tells that the request is cancelled
   */
  request(request: Request, signal: AbortSignal): Promise<{ body?: object | undefined; after(): void }>
  /** A message that means nothing was passed over. */
  unreadable(why: string): void
  closed(): void
}

export interface Request {
  readonly seq: number
  readonly command: string
  readonly arguments: unknown
}

/** The `message` of a response by which DAP knows it. */
const CANCELLED = 'cancelled'
/** Served at once: they are about the others. */
const URGENT = ['cancel', 'pause', 'terminate', 'disconnect']
/** So many requests may wait; then the client has to. */
const MOST_WAITING = 1000
/** Bytes that a client which does not read may leave unread. */
const MOST_UNREAD = 4 * LARGEST_MESSAGE

export class Connection {
  readonly #input: Readable
  readonly #output: Writable
  readonly #listener: ConnectionListener
  readonly #reader = new MessageReader()
  #waiting: Request[] = []
  #serving = false
  /** Of the request that is being served in its turn. */
  #current: { readonly seq: number; readonly abort: AbortController } | undefined
  #sequence = 1

  constructor(input: Readable, output: Writable, listener: ConnectionListener) {
    this.#input = input
    this.#output = output
    this.#listener = listener
    input.on('data', (chunk: Buffer) => this.#receive(chunk))
    input.on('close', () => listener.closed())
    input.on('end', () => listener.closed())
    input.on('error', () => listener.closed())
    output.on('error', () => listener.closed())
  }

  event(name: string, body: object): void {
    this.#send({ type: 'event', event: name, body })
  }

  cancel(seq: number): void {
    if (this.#current?.seq === seq) this.#current.abort.abort()
    const request = this.#waiting.find(candidate => candidate.seq === seq)
    if (request === undefined) return
    this.#waiting = this.#waiting.filter(candidate => candidate !== request)
    this.#fail(request, CANCELLED, 'the request was cancelled before its turn')
  }

  #receive(chunk: Buffer): void {
    try {
      for (const text of this.#reader.push(chunk)) this.#take(text)
    } catch (error) {
      if (!(error instanceof FramingError)) throw error
      this.#listener.unreadable(error.message)
      // Where the next message begins is anybody's guess.
      this.#input.destroy()
      this.#listener.closed()
      return
    }
    if (this.#waiting.length > MOST_WAITING) this.#input.pause()
    void this.#serveWaiting()
  }

  #take(text: string): void {
    let request: Request | undefined
    try {
      request = asRequest(JSON.parse(text))
    } catch (error) {
      this.#listener.unreadable(error instanceof Error ? error.message : String(error))
      return
    }
    if (request === undefined) this.#listener.unreadable('it is no request')
    else if (URGENT.includes(request.command)) void this.#serve(request, new AbortController().signal)
    else this.#waiting.push(request)
  }

  async #serveWaiting(): Promise<void> {
    if (this.#serving) return
    this.#serving = true
    for (let request = this.#waiting.shift(); request !== undefined; request = this.#waiting.shift()) {
      const abort = new AbortController()
      this.#current = { seq: request.seq, abort }
      await this.#serve(request, abort.signal)
      this.#current = undefined
      if (this.#waiting.length === MOST_WAITING) this.#input.resume()
    }
    this.#serving = false
    this.#input.resume()
  }

  async #serve(request: Request, signal: AbortSignal): Promise<void> {
    try {
      const { body, after } = await this.#listener.request(request, signal)
      this.#respond(request, { success: true, ...(body === undefined ? {} : { body }) })
      after()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#fail(request, error instanceof CancelledError ? CANCELLED : message, message)
    }
  }

  /** The `message` of DAP is for programs; people see `body.error.format`. */
  #fail(request: Request, message: string, text: string): void {
    // Braces would be places of variables.
    const format = text.replaceAll('{', '{{').replaceAll('}', '}}')
    this.#respond(request, { success: false, message, body: { error: { id: 1, format, showUser: true } } })
  }

  #respond({ seq, command }: Request, outcome: { success: boolean; message?: string; body?: object }): void {
    this.#send({ type: 'response', request_seq: seq, command, ...outcome })
  }

  #send(message: object): void {
    if (this.#output.destroyed) return
    const text = JSON.stringify({ seq: this.#sequence++, ...message })
    this.#output.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
    if (this.#output.writableLength > MOST_UNREAD) {
      this.#output.destroy()
      this.#listener.closed()
    }
  }
}

function asRequest(message: unknown): Request | undefined {
  const fields = new Fields('message', message)
  const seq = fields.raw('seq')
  if (fields.raw('type') !== 'request' || typeof seq !== 'number') return undefined
  return { seq, command: fields.string('command'), arguments: fields.raw('arguments') }
}
