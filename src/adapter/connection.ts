/**
 * The messages of one conversation: requests are served one after the other in the order in which they came, so that a
 * later one may still be cancelled; those that stop something do not wait for their turn.
 */

import { Fields } from '../protocol/fields.ts'
import { CancelledError } from './progress.ts'
import { EarlierStopError } from './request.ts'
import type { Transport } from './transport.ts'

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

export class Connection {
  readonly #transport: Transport
  readonly #listener: ConnectionListener
  #waiting: Request[] = []
  #serving = false
  /** Of the request that is being served in its turn. */
  #current: { readonly seq: number; readonly abort: AbortController } | undefined
  #sequence = 1

  constructor(transport: Transport, listener: ConnectionListener) {
    this.#transport = transport
    this.#listener = listener
    transport.listen({
      messages: texts => this.#receive(texts),
      unreadable: why => listener.unreadable(why),
      closed: () => listener.closed(),
    })
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

  #receive(texts: readonly string[]): void {
    for (const text of texts) this.#take(text)
    if (this.#waiting.length > MOST_WAITING) this.#transport.pause()
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
      if (this.#waiting.length === MOST_WAITING) this.#transport.resume()
    }
    this.#serving = false
    this.#transport.resume()
  }

  async #serve(request: Request, signal: AbortSignal): Promise<void> {
    try {
      const { body, after } = await this.#listener.request(request, signal)
      this.#respond(request, { success: true, ...(body === undefined ? {} : { body }) })
      after()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const short = error instanceof CancelledError ? CANCELLED : message
      this.#fail(request, short, message, !(error instanceof EarlierStopError))
    }
  }

  /** The `message` of DAP is for programs; people see `body.error.format`, if it is for them. */
  #fail(request: Request, message: string, text: string, showUser = true): void {
    // Braces would be places of variables.
    const format = text.replaceAll('{', '{{').replaceAll('}', '}}')
    this.#respond(request, { success: false, message, body: { error: { id: 1, format, showUser } } })
  }

  #respond({ seq, command }: Request, outcome: { success: boolean; message?: string; body?: object }): void {
    this.#send({ type: 'response', request_seq: seq, command, ...outcome })
  }

  #send(message: object): void {
    this.#transport.send(JSON.stringify({ seq: this.#sequence++, ...message }))
  }
}

function asRequest(message: unknown): Request | undefined {
  const fields = new Fields('message', message)
  const seq = fields.raw('seq')
  if (fields.raw('type') !== 'request' || typeof seq !== 'number') return undefined
  return { seq, command: fields.string('command'), arguments: fields.raw('arguments') }
}
