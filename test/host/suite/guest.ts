/** A debug session of the tests, with every message that passed between VS Code and the adapter. */

import { strict as assert } from 'node:assert'
import * as vscode from 'vscode'
import { eventually } from './eventually.ts'

interface Message {
  readonly type: string
  readonly event?: string
  readonly command?: string
  readonly success?: boolean
  readonly message?: string
  readonly body?: Readonly<Record<string, unknown>>
  readonly arguments?: unknown
  /** When it passed, milliseconds since 1970. */
  readonly time: number
}

const seen = new Map<string, Message[]>()

/** To be called before the first session. */
export function listenToSessions(): vscode.Disposable {
  return vscode.debug.registerDebugAdapterTrackerFactory('ringside', {
    createDebugAdapterTracker({ id }) {
      const messages: Message[] = []
      seen.set(id, messages)
      const keep = (message: Omit<Message, 'time'>): void => void messages.push({ ...message, time: Date.now() })
      return { onDidSendMessage: keep, onWillReceiveMessage: keep }
    },
  })
}

/** Tries to start a session; tells whether the adapter has launched it. */
export async function launches(
  configuration: vscode.DebugConfiguration,
): Promise<{ success: boolean; started: Thenable<boolean> }> {
  const known = new Set(seen.keys())
  const started = vscode.debug.startDebugging(folder(), configuration)
  const response = await eventually('an answer to the launch', () =>
    [...seen]
      .filter(([id]) => !known.has(id))
      .flatMap(([, messages]) => messages)
      .find(({ type, command }) => type === 'response' && command === 'launch'),
  )
  return { success: response.success === true, started }
}

export const folder = (): vscode.WorkspaceFolder => {
  const [first] = vscode.workspace.workspaceFolders ?? []
  assert(first, 'a folder is open')
  return first
}

export const fileOf = (...path: string[]): vscode.Uri => vscode.Uri.joinPath(folder().uri, ...path)

export const TOUR = {
  type: 'ringside',
  request: 'launch',
  name: 'Tour',
  program: `\${workspaceFolder}/kernels/tour.elf`,
  memory: '64M',
}

export class Guest implements AsyncDisposable {
  readonly session: vscode.DebugSession
  #stopsSeen = 0

  private constructor(session: vscode.DebugSession) {
    this.session = session
  }

  static async start(configuration: vscode.DebugConfiguration): Promise<Guest> {
    const started = new Promise<vscode.DebugSession>(resolve => {
      const once = vscode.debug.onDidStartDebugSession(session => {
        once.dispose()
        resolve(session)
      })
    })
    assert(await vscode.debug.startDebugging(folder(), configuration), 'the session starts')
    return new Guest(await started)
  }

  get messages(): readonly Message[] {
    return seen.get(this.session.id) ?? []
  }

  get output(): string {
    const texts = this.events('ringside/consoleOutput').map(({ body }) => String(body?.text))
    return texts.join('')
  }

  events(name: string): Message[] {
    return this.messages.filter(({ event }) => event === name)
  }

  /** The next stop that was not waited for yet. */
  async stopped(): Promise<Message> {
    const number = this.#stopsSeen++
    return await eventually(
      `stop ${number + 1} of ${this.session.name}`,
      () => this.events('stopped')[number],
      async () => `it told ${JSON.stringify(this.messages.slice(-5)).slice(0, 1000)}`,
    )
  }

  async request(command: string, args: object = {}): Promise<Record<string, unknown>> {
    return await this.session.customRequest(command, args)
  }

  /** Rows of the stack, innermost first. */
  async frames(): Promise<readonly { readonly id: number; readonly name: string; readonly line: number }[]> {
    const { stackFrames } = await this.session.customRequest('stackTrace', { threadId: 1, levels: 20 })
    return stackFrames
  }

  async evaluate(expression: string): Promise<string> {
    const [{ id }] = await this.frames()
    const { result } = await this.request('evaluate', {
      expression,
      frameId: id,
      context: 'watch',
      format: { hex: true },
    })
    return String(result)
  }

  async ended(): Promise<void> {
    await eventually(`the end of ${this.session.name}`, () => hasEnded.has(this.session.id) || undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Ends it if it hasn't ended by itself. */
  async stop(): Promise<void> {
    if (!hasEnded.has(this.session.id)) await vscode.debug.stopDebugging(this.session)
    await this.ended()
  }
}

const hasEnded = new Set<string>()
vscode.debug.onDidTerminateDebugSession(({ id }) => hasEnded.add(id))
