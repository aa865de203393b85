/**
 * One conversation with an adapter, in which two take part: the editor with the requests of its own debugger, and the
 * views. What VS Code offers views, `customRequest`, goes by way of the window, which has most to do just when a guest
 * has stopped; here they ask at once. The adapter knows one client: it answers requests in the order they come in.
 */

import { members } from '../session-messages.ts'
import type { AdapterLink } from './adapter-link.ts'

/** Numbers of requests of the views; an editor counts from 1 and does not come so far. */
const FIRST_OF_VIEWS = 2 ** 30

export interface AdapterLineListener {
  /** A message for the editor. */
  toEditor(message: object): void
  /** A request of a view, or the answer to one. */
  viewsAsk?(message: object): void
  /** The adapter has ended though nobody wanted it to. @param why for the user */
  lost(why: string): void
}

interface Asked {
  resolve(body: unknown): void
  reject(error: Error): void
}

export class AdapterLine {
  readonly #link: AdapterLink
  readonly #listener: AdapterLineListener
  /** Requests that are not answered yet, by number: of the views, and the commands of the editor's. */
  readonly #asked = new Map<number, Asked>()
  readonly #ofEditor = new Map<number, string>()
  #next = FIRST_OF_VIEWS
  /** The end has been asked for, or announced. */
  #leaving = false
  /** The editor knows that the debugging is over. */
  #terminated = false
  /** Why there is no adapter any more. */
  #ended: string | undefined

  constructor(link: AdapterLink, listener: AdapterLineListener) {
    this.#link = link
    this.#listener = listener
    link.listen({ message: message => this.#receive(message), ended: why => this.#end(why) })
  }

  /** @param message of the editor's */
  fromEditor(message: object): void {
    const { type, seq, command } = members(message)
    if (type === 'request' && typeof seq === 'number') {
      if (ENDING.includes(String(command))) this.#leaving = true
      this.#ofEditor.set(seq, String(command))
    }
    if (this.#ended === undefined) this.#link.send(message)
    else this.#answerEditor()
  }

  /** Resolves with the body of the answer; rejects with the adapter's message, or when there is none any more. */
  request(command: string, args?: object): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(new Error(this.#ended))
    const seq = this.#next++
    const request = { type: 'request', seq, command, ...(args === undefined ? {} : { arguments: args }) }
    return new Promise((resolve, reject) => {
      this.#asked.set(seq, { resolve, reject })
      this.#listener.viewsAsk?.(request)
      this.#link.send(request)
    })
  }

  dispose(): void {
    this.#leaving = true
    this.#link.dispose()
  }

  #receive(message: object): void {
    const { type, event, request_seq } = members(message)
    if (type === 'event' && event === 'terminated') this.#leaving = this.#terminated = true
    if (type === 'response' && typeof request_seq === 'number') {
      this.#ofEditor.delete(request_seq)
      const asked = this.#asked.get(request_seq)
      if (asked !== undefined) {
        this.#asked.delete(request_seq)
        this.#answerView(asked, message)
        return
      }
    }
    this.#listener.toEditor(message)
  }

  #answerView({ resolve, reject }: Asked, response: object): void {
    this.#listener.viewsAsk?.(response)
    const { success, body, message } = members(response)
    if (success === true) resolve(body)
    else reject(new Error(String(message)))
  }

  #end(why: string): void {
    if (this.#ended !== undefined) return
    this.#ended = `the debug adapter has ended: ${why}`
    for (const { reject } of this.#asked.values()) reject(new Error(this.#ended))
    this.#asked.clear()
    // A session that does not begin is told by the editor, with what we answer.
    const tells = this.#leaving || [...this.#ofEditor.values()].some(command => STARTING.includes(command))
    this.#answerEditor()
    // An editor waits for the word of an adapter that it does not hold itself.
    if (!this.#terminated) this.#listener.toEditor({ type: 'event', seq: 0, event: 'terminated' })
    if (!tells) this.#listener.lost(why)
  }

  /** In the adapter's place, which is no more. */
  #answerEditor(): void {
    for (const [seq, command] of this.#ofEditor)
      this.#listener.toEditor({
        ...{ type: 'response', seq: 0, request_seq: seq, command },
        // What was to be ended has.
        ...(ENDING.includes(command) ? { success: true } : { success: false, message: this.#ended }),
      })
    this.#ofEditor.clear()
  }
}

const STARTING = ['initialize', 'launch', 'attach']
const ENDING = ['disconnect', 'terminate']
