/** Which guest is being debugged and whether it stands still, from the messages of its session. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { type MessageEffect, messageEffect } from './session-messages.ts'

export type MachineState =
  | { readonly kind: 'none' }
  | { readonly kind: 'running'; readonly session: vscode.DebugSession }
  | { readonly kind: 'stopped'; readonly session: vscode.DebugSession; readonly threadId: number }

export class SessionWatch implements vscode.Disposable {
  /** Fires at each stop, start, end, and when something was changed in a guest that stands still. */
  readonly onDidChange: vscode.Event<MachineState>

  readonly #changed = new vscode.EventEmitter<MachineState>()
  /** Live sessions, oldest first; `none` before their guest is there. */
  readonly #states = new Map<string, MachineState>()
  readonly #disposables: vscode.Disposable[]

  constructor() {
    this.onDidChange = this.#changed.event
    this.#disposables = [
      this.#changed,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          // There is no guest to ask about before it has been launched.
          this.#states.set(session.id, { kind: 'none' })
          return {
            onDidSendMessage: message => this.#note(session, messageEffect(message)),
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

  #note(session: vscode.DebugSession, effect: MessageEffect): void {
    // What comes behind the end of a session changes nothing.
    if (effect.kind === 'none' || !this.#states.has(session.id)) return
    if (effect.kind === 'stopped') this.#states.set(session.id, { kind: 'stopped', session, threadId: effect.threadId })
    else if (effect.kind === 'running') this.#states.set(session.id, { kind: 'running', session })
    this.#tell()
  }

  #end(session: vscode.DebugSession): void {
    if (this.#states.delete(session.id)) this.#tell()
  }

  #tell(): void {
    this.#changed.fire(this.state)
  }
}
