/** The view of virtqueues as rings: asks for the queue that its page wants to see, and does what its buttons say. */

import * as vscode from 'vscode'
import { TRACE_VIRTQUEUE } from '../../protocol/device-requests.ts'
import { RING, type RingBody } from '../../protocol/ring-request.ts'
import { EventStops } from '../event-stops.ts'
import type { MemoryDocuments } from '../memory-documents.ts'
import { WebviewPage } from '../pages/webview-page.ts'
import type { MachineState, SessionWatch } from '../session-watch.ts'
import type { ViewStops } from '../view-stops.ts'
import { type HostMessage, type PageMessage, parsePageMessage, type Wish } from './messages.ts'
import { ringsModel, stopCondition } from './rings-model.ts'

/** The adapter's. */
const FILTER = 'virtqueue'

type Stopped = Extract<MachineState, { kind: 'stopped' }>

export class RingsView implements vscode.Disposable {
  readonly #watch: SessionWatch
  readonly #memory: MemoryDocuments
  readonly #stops: EventStops
  readonly #page: WebviewPage<HostMessage, PageMessage>
  readonly #disposable: vscode.Disposable
  /** What the page has asked for last. */
  #wish: Wish = {}
  /** Counts questions: a late answer to an earlier one is dropped. */
  #question = 0

  constructor(extension: vscode.Uri, watch: SessionWatch, memory: MemoryDocuments, stops: ViewStops) {
    this.#watch = watch
    this.#memory = memory
    this.#stops = new EventStops(stops)
    this.#page = new WebviewPage(extension, watch, {
      view: 'ringside.rings',
      title: 'Virtqueue rings',
      name: 'rings',
      parse: parsePageMessage,
      question: 'look',
      answer: message => this.#answer(message),
    })
    this.#disposable = vscode.Disposable.from(
      this.#page,
      // Removed in another view, it is not set here either.
      stops.onDidChange(() => {
        if (this.#page.open && watch.state.kind === 'stopped') void this.#look().then(undefined, () => undefined)
      }),
    )
  }

  dispose(): void {
    this.#disposable.dispose()
  }

  async #answer(message: PageMessage): Promise<void> {
    const { state } = this.#watch
    switch (message.type) {
      case 'ready':
        return this.#page.tellState()
      case 'openMemory':
        return await this.#memory.openMemory(message.memory)
      case 'look':
        this.#wish = message.wish
        return await this.#look()
      case 'stop': {
        const { step, device, queue } = message
        if (state.kind === 'none') return this.#page.tellState()
        return await this.#stops.toggle(state.session, {
          ...{ filterId: FILTER, condition: stopCondition(step, device, queue) },
        })
      }
      case 'trace': {
        const { device, queue, on } = message
        if (state.kind !== 'stopped') return this.#page.tellState()
        await state.session.request(TRACE_VIRTQUEUE, { device, queue, on })
        return await this.#look()
      }
    }
  }

  async #look(): Promise<void> {
    const { state } = this.#watch
    if (state.kind !== 'stopped') return this.#page.tellState()
    const question = ++this.#question
    const body = await bodyOf(state, this.#wish)
    if (question !== this.#question) return
    this.#page.send({ type: 'ring', model: ringsModel(body, this.#stops.of(state.session, FILTER)) })
  }
}

/** The page may remember a queue of another machine: then it gets the one that is shown without a wish. */
async function bodyOf({ session }: Stopped, wish: Wish): Promise<RingBody> {
  const ask = (args: Wish): Thenable<RingBody> => session.request(RING, args)
  try {
    return await ask(wish)
  } catch {
    return await ask({})
  }
}
