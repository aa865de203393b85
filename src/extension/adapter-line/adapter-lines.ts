/** The lines to the adapters of the sessions that VS Code has. */

import * as vscode from 'vscode'
import { AdapterLine } from './adapter-line.ts'
import type { AdapterLink } from './adapter-link.ts'

/** The guest of a session, for those who ask about it. */
export interface GuestSession {
  readonly id: string
  /** Resolves with the body of the adapter's answer, of the type that `protocol/` says; rejects with its message. */
  request<Body>(command: string, args?: object): Promise<Body>
}

/** A request of a view, or the answer to one. */
export interface ViewMessage {
  readonly session: string
  readonly message: object
}

export class AdapterLines implements vscode.Disposable {
  /** Trackers of VS Code see none of this. */
  readonly onDidPass: vscode.Event<ViewMessage>

  readonly #passed = new vscode.EventEmitter<ViewMessage>()
  /** By session. */
  readonly #lines = new Map<string, AdapterLine>()

  constructor() {
    this.onDidPass = this.#passed.event
  }

  /** @returns what VS Code debugs the session with. */
  open({ id, name }: vscode.DebugSession, link: AdapterLink): vscode.DebugAdapterDescriptor {
    const messages = new vscode.EventEmitter<vscode.DebugProtocolMessage>()
    const line = new AdapterLine(link, {
      toEditor: message => messages.fire(message),
      viewsAsk: message => this.#passed.fire({ session: id, message }),
      lost: why => {
        void vscode.window.showErrorMessage(
          `Ringside: the debug adapter of "${name}" has ended unexpectedly, and its guest with it; start it again. (${why})`,
        )
      },
    })
    this.#lines.set(id, line)
    return new vscode.DebugAdapterInlineImplementation({
      onDidSendMessage: messages.event,
      handleMessage: message => line.fromEditor(message),
      dispose: () => {
        // A session that starts anew has another one by then.
        if (this.#lines.get(id) === line) this.#lines.delete(id)
        line.dispose()
        messages.dispose()
      },
    })
  }

  guestOf(session: vscode.DebugSession): GuestSession {
    return {
      id: session.id,
      request: async <Body>(command: string, args?: object): Promise<Body> => {
        const line = this.#lines.get(session.id)
        // Without one VS Code has connected to an adapter by itself (`debugServer`).
        const body: unknown = await (line?.request(command, args) ?? session.customRequest(command, args))
        // The adapter is ours, and keeps to the types of `protocol/`.
        return body as Body
      },
    }
  }

  dispose(): void {
    for (const line of this.#lines.values()) line.dispose()
    this.#passed.dispose()
  }
}
