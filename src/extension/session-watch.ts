/** Which guest is being debugged and whether it stands still, from the messages of its session. */

import * as vscode from 'vscode'
import type { AdapterLines, GuestSession } from './adapter-line/adapter-lines.ts'
import { DEBUG_TYPE } from './debug-type.ts'
import { type MessageEffect, messageEffect } from './session-messages.ts'

/** Milliseconds until a guest is said to run; a step is over before, and its stop is not to wait behind a message. */
export const SHOWN_RUNNING_AFTER = 250

export type MachineState =
  | { readonly kind: 'none' }
  | { readonly kind: 'running'; readonly session: GuestSession }
  | { readonly kind: 'stopped'; readonly session: GuestSession; readonly threadId: number }

export class SessionWatch implements vscode.Disposable {
  /** Fires at each stop, start, end, and when something was changed in a guest that stands still. */
  readonly onDidChange: vscode.Event<MachineState>

  readonly #changed = new vscode.EventEmitter<MachineState>()
  /** Live sessions, oldest first; `none` before their guest is there. */
  readonly #states = new Map<string, MachineState>()
  readonly #disposables: vscode.Disposable[]

  constructor(lines: AdapterLines) {
    this.onDidChange = this.#changed.event
    this.#disposables = [
      this.#changed,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          // There is no guest to ask about before it has been launched.
          this.#states.set(session.id, { kind: 'none' })
          const guest = lines.guestOf(session)
          return {
            onDidSendMessage: message => this.#note(guest, messageEffect(message)),
            onExit: () => this.#end(session),
          }
        },
      }),
      vscode.debug.onDidTerminateDebugSession(session => this.#end(session)),
      vscode.debug.onDidChangeActiveDebugSession(() => this.#tell()),
    ]
  }

  /** Of the session that is in front, or else of the one begun last. */
  get state(): MachineState {
    const active = vscode.debug.activeDebugSession
    const inFront = active === undefined ? undefined : this.#states.get(active.id)
    return inFront ?? [...this.#states.values()].at(-1) ?? { kind: 'none' }
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose()
  }

  #note(session: GuestSession, effect: MessageEffect): void {
    // What comes behind the end of a session changes nothing.
    if (effect.kind === 'none' || !this.#states.has(session.id)) return
    if (effect.kind === 'stopped') this.#states.set(session.id, { kind: 'stopped', session, threadId: effect.threadId })
    else if (effect.kind === 'running') this.#states.set(session.id, { kind: 'running', session })
    this.#tell()
  }

  #end({ id }: vscode.DebugSession): void {
    if (this.#states.delete(id)) this.#tell()
  }

  #tell(): void {
    this.#changed.fire(this.state)
  }
}
