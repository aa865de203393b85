/**
 * Work of one request that may take long. It is done in pieces; between them other messages are heard, so that it can be
 * cancelled, and the client is told how far it is once it has taken a while.
 */

import type { ClientFeatures } from './client-features.ts'

/** The client wants no answer any more. */
export class CancelledError extends Error {}

/** Milliseconds of work between two looks at what has come. */
const LONGEST_PIECE = 50
/** Milliseconds that a person waits without asking what is going on. */
const PATIENCE = 500

export interface ProgressClient {
  readonly client: ClientFeatures
  event(name: string, body: object): void
}

export class Progress {
  readonly #to: ProgressClient
  readonly #request: number
  readonly #signal: AbortSignal
  readonly #now: () => number
  readonly #started: number
  #heard: number
  #title: string | undefined

  /** @param now milliseconds */
  constructor(to: ProgressClient, request: number, signal: AbortSignal, now = () => performance.now()) {
    this.#to = to
    this.#request = request
    this.#signal = signal
    this.#now = now
    this.#started = now()
    this.#heard = this.#started
  }

  /** Tells of work that is known to take long. */
  begin(title: string): void {
    if (this.#title !== undefined || !this.#to.client.progress) return
    this.#title = title
    this.#to.event('progressStart', {
      progressId: progressIdOf(this.#request),
      title,
      requestId: this.#request,
      cancellable: true,
    })
  }

  /**
   * To be called between two pieces of work. Throws {@link CancelledError} if nobody waits for the rest.
   * @param done part of the whole, from 0 to 1
   */
  async turn(title: string, done: number): Promise<void> {
    if (this.#now() - this.#heard >= LONGEST_PIECE) {
      if (this.#title !== undefined) this.#update(done)
      else if (this.#now() - this.#started >= PATIENCE) this.begin(title)
      await new Promise(resolve => setImmediate(resolve))
      this.#heard = this.#now()
    }
    if (this.#signal.aborted) throw new CancelledError('the request was cancelled')
  }

  /** The request is answered. */
  end(): void {
    if (this.#title !== undefined) this.#to.event('progressEnd', { progressId: progressIdOf(this.#request) })
    this.#title = undefined
  }

  #update(done: number): void {
    const percentage = Math.round(Math.min(1, Math.max(0, done)) * 100)
    this.#to.event('progressUpdate', { progressId: progressIdOf(this.#request), percentage })
  }
}

const PROGRESS_ID = /^request ([0-9]{1,15})$/
const progressIdOf = (request: number): string => `request ${request}`

/** The request that a progress is about; undefined for what is no id of a progress. */
export function requestOfProgress(progressId: string): number | undefined {
  const match = PROGRESS_ID.exec(progressId)
  return match === null ? undefined : Number(match[1])
}
