/**
 * Stops at VM exits by reason, set from the view of exits. To the adapter they are a filter for exceptions; VS Code sends
 * those it shows all at once and knows nothing of ours, so they are sent again, with ours, whenever it has.
 */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { withExitStops } from './exception-filters.ts'
import { members } from './session-messages.ts'

const REQUEST = 'setExceptionBreakpoints'

interface Filters {
  /** As VS Code has sent them last. */
  theirs: unknown
  /** Sequence number of that request, until it is answered. */
  asked: unknown
  readonly reasons: Set<string>
}

export class ExitStops implements vscode.Disposable {
  readonly #filters = new Map<string, Filters>()
  readonly #disposables: vscode.Disposable[]

  constructor() {
    this.#disposables = [
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          const filters: Filters = { theirs: {}, asked: undefined, reasons: new Set() }
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
              if (filters.reasons.size > 0) void this.#send(session).then(undefined, report)
            },
            onExit: () => this.#filters.delete(session.id),
          }
        },
      }),
      vscode.debug.onDidTerminateDebugSession(session => this.#filters.delete(session.id)),
    ]
  }

  of(session: vscode.DebugSession): ReadonlySet<string> {
    return this.#filters.get(session.id)?.reasons ?? new Set()
  }

  /** Sets or removes a stop; rejects with the adapter's message. */
  async toggle(session: vscode.DebugSession, reason: string): Promise<void> {
    const reasons = this.#filters.get(session.id)?.reasons
    if (reasons === undefined) return
    const had = reasons.delete(reason)
    if (!had) reasons.add(reason)
    try {
      await this.#send(session)
    } catch (error) {
      if (had) reasons.add(reason)
      else reasons.delete(reason)
      throw error
    }
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose()
  }

  #send(session: vscode.DebugSession): Thenable<unknown> {
    const filters = this.#filters.get(session.id)
    return session.customRequest(REQUEST, withExitStops(filters?.theirs, filters?.reasons ?? new Set()))
  }
}

const isOurs = (args: unknown): boolean => members(args).exitStops === true

function report(error: unknown): void {
  void vscode.window.showErrorMessage(
    `The stops at exits could not be set: ${error instanceof Error ? error.message : error}`,
  )
}
