/**
 * Stops that are set from views: at VM exits, steps of virtqueues, vectors, changes of page-table entries. The adapter
 * keeps them apart from VS Code's breakpoints, of which VS Code sends its own lists and knows none of ours. They last as
 * long as their session.
 */

import * as vscode from 'vscode'
import { SET_VIEW_STOPS, type SetViewStopsBody, type ViewStop } from '../protocol/view-stops.ts'
import type { GuestSession } from './adapter-line/adapter-lines.ts'
import { DEBUG_TYPE } from './debug-type.ts'
import { members } from './session-messages.ts'
import { type SetStop, stopKey, withHits } from './views/stops-model.ts'

export class ViewStops implements vscode.Disposable {
  /** A stop was set, removed or hit. */
  readonly onDidChange: vscode.Event<void>

  readonly #changed = new vscode.EventEmitter<void>()
  /** By session. */
  readonly #stops = new Map<string, readonly SetStop[]>()
  readonly #disposables: vscode.Disposable[]
  /** Requests follow each other: the last list that was sent is the one that holds. */
  #sending: Promise<unknown> = Promise.resolve()

  constructor() {
    this.onDidChange = this.#changed.event
    this.#disposables = [
      this.#changed,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          this.#stops.set(session.id, [])
          return {
            onDidSendMessage: (message: unknown) => this.#note(session, message),
            onExit: () => this.#end(session),
          }
        },
      }),
      vscode.debug.onDidTerminateDebugSession(session => this.#end(session)),
    ]
  }

  of(session: Pick<GuestSession, 'id'>): readonly SetStop[] {
    return this.#stops.get(session.id) ?? []
  }

  /** Sets or removes a stop; rejects with the adapter's message, and then nothing has changed. */
  toggle(session: GuestSession, stop: ViewStop): Promise<void> {
    const done = this.#sending.then(() => this.#toggle(session, stop))
    this.#sending = done.catch(() => undefined)
    return done
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose()
  }

  async #toggle(session: GuestSession, stop: ViewStop): Promise<void> {
    const before = this.#stops.get(session.id)
    if (before === undefined) throw new Error('the session has ended')
    const key = stopKey(stop)
    const others = before.filter(each => stopKey(each.stop) !== key)
    const adds = others.length === before.length
    const wanted = adds ? [...before, { stop, id: 0 }] : others
    const { stops } = await send(session, wanted)
    const refused = adds ? stops.at(-1) : undefined
    if (refused?.verified === false) {
      await send(session, before)
      throw new Error(refused.message ?? 'the debug adapter can not stop there')
    }
    // A hit that came meanwhile is not lost: what is known of each stop is taken from the list as it is now.
    const now = new Map(this.of(session).map(each => [stopKey(each.stop), each]))
    if (!this.#stops.has(session.id)) return
    this.#stops.set(
      session.id,
      wanted.map((each, index) => ({ ...(now.get(stopKey(each.stop)) ?? each), id: stops[index]?.id ?? each.id })),
    )
    this.#changed.fire()
  }

  #note(session: vscode.DebugSession, message: unknown): void {
    const { type, event, body } = members(message)
    if (type !== 'event' || event !== 'stopped') return
    const stops = this.of(session)
    if (stops.length === 0) return
    this.#stops.set(session.id, withHits(stops, body))
    this.#changed.fire()
  }

  #end(session: vscode.DebugSession): void {
    if (this.#stops.delete(session.id)) this.#changed.fire()
  }
}

const send = (session: GuestSession, stops: readonly SetStop[]): Promise<SetViewStopsBody> =>
  session.request(SET_VIEW_STOPS, { stops: stops.map(({ stop }) => stop) })
