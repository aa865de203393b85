/**
 * Stops at events of the machine, set from views: at VM exits of a reason, at steps of a virtqueue. To the adapter they
 * are filters for exceptions; VS Code sends those it shows all at once and knows nothing of ours, so they are sent
 * again, with ours, whenever it has.
 */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { type EventStop, isOurs, withStops } from './exception-filters.ts'
import { members } from './session-messages.ts'

const REQUEST = 'setExceptionBreakpoints'

interface Filters {
  /** As VS Code has sent them last. */
  theirs: unknown
  /** Sequence number of that request, until it is answered. */
  asked: unknown
  /** By {@link keyOf}. */
  readonly stops: Map<string, EventStop>
}

export class EventStops implements vscode.Disposable {
  readonly #filters = new Map<string, Filters>()
  readonly #disposables: vscode.Disposable[]

  constructor() {
    this.#disposables = [
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          const filters: Filters = { theirs: {}, asked: undefined, stops: new Map() }
          this.#filters.set(session.id, filters)
          return {
            onWillReceiveMessage: (message: unknown) => {
              const { type, command, seq, arguments: args } = members(message)
              if (type !== 'request' || command !== REQUEST || isOurs(args)) return
              filters.theirs = args
              filters.asked = seq
            },
            onDidSendMessage: (message: unknown) => {
              const { type, request_seq } = members(message)
              if (type !== 'response' || filters.asked === undefined || request_seq !== filters.asked) return
              filters.asked = undefined
              if (filters.stops.size > 0) void this.#send(session).then(undefined, report)
            },
            onExit: () => this.#filters.delete(session.id),
          }
        },
      }),
      vscode.debug.onDidTerminateDebugSession(session => this.#filters.delete(session.id)),
    ]
  }

  /** Conditions of the stops by a filter of the adapter's, such as the reasons of `exit`. */
  of(session: vscode.DebugSession, filterId: string): ReadonlySet<string> {
    const stops = [...(this.#filters.get(session.id)?.stops.values() ?? [])]
    return new Set(stops.flatMap(stop => (stop.filterId === filterId ? [stop.condition] : [])))
  }

  /** Sets or removes a stop; rejects with the adapter's message. */
  async toggle(session: vscode.DebugSession, stop: EventStop): Promise<void> {
    const stops = this.#filters.get(session.id)?.stops
    if (stops === undefined) return
    const key = keyOf(stop)
    const had = stops.delete(key)
    if (!had) stops.set(key, stop)
    try {
      await this.#send(session)
    } catch (error) {
      if (had) stops.set(key, stop)
      else stops.delete(key)
      throw error
    }
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose()
  }

  #send(session: vscode.DebugSession): Thenable<unknown> {
    const filters = this.#filters.get(session.id)
    return session.customRequest(REQUEST, withStops(filters?.theirs, [...(filters?.stops.values() ?? [])]))
  }
}

const keyOf = ({ filterId, condition }: EventStop): string => `${filterId} ${condition}`

function report(error: unknown): void {
  void vscode.window.showErrorMessage(
    `The stops set from views could not be set again: ${error instanceof Error ? error.message : error}`,
  )
}
