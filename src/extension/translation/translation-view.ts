/** The view of address translation: evaluates what the user types, asks for its translation, lets the page draw it. */

import { randomBytes } from 'node:crypto'
import * as vscode from 'vscode'
import { TRANSLATE, type TranslateBody } from '../../protocol/custom-requests.ts'
import type { MemoryDocuments } from '../memory-documents.ts'
import { members } from '../session-messages.ts'
import type { MachineState, SessionWatch } from '../session-watch.ts'
import { type Access, type HostMessage, type PageMessage, parsePageMessage } from './messages.ts'
import { pageHtml } from './page-html.ts'
import { translationModel } from './translation-model.ts'

const VIEW = 'ringside.translation'
const FILES = 'media'

export class TranslationView implements vscode.WebviewViewProvider, vscode.Disposable {
  readonly #extension: vscode.Uri
  readonly #watch: SessionWatch
  readonly #memory: MemoryDocuments
  readonly #disposable: vscode.Disposable
  #view: vscode.WebviewView | undefined
  /** What was asked for before there was a page. */
  #waiting: HostMessage | undefined
  /** Counts questions: a late answer to an earlier one is dropped. */
  #question = 0

  constructor(extension: vscode.Uri, watch: SessionWatch, memory: MemoryDocuments) {
    this.#extension = extension
    this.#watch = watch
    this.#memory = memory
    this.#disposable = vscode.Disposable.from(
      vscode.window.registerWebviewViewProvider(VIEW, this),
      watch.onDidChange(state => this.#tell(state)),
      vscode.commands.registerCommand('ringside.translate', (node: unknown) => this.#ask(node)),
    )
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view = view
    const files = vscode.Uri.joinPath(this.#extension, FILES)
    const { webview } = view
    webview.options = { enableScripts: true, localResourceRoots: [files, vscode.Uri.joinPath(this.#extension, 'dist')] }
    webview.html = pageHtml({
      nonce: randomBytes(18).toString('base64url'),
      script: webview.asWebviewUri(vscode.Uri.joinPath(this.#extension, 'dist', 'translation-page.js')).toString(),
      style: webview.asWebviewUri(vscode.Uri.joinPath(files, 'translation.css')).toString(),
      cspSource: webview.cspSource,
    })
    webview.onDidReceiveMessage((value: unknown) => {
      const message = parsePageMessage(value)
      if (message !== undefined) void this.#answer(message)
    })
    view.onDidChangeVisibility(() => {
      if (view.visible) this.#tell(this.#watch.state)
    })
    view.onDidDispose(() => {
      if (this.#view === view) this.#view = undefined
    })
  }

  dispose(): void {
    this.#disposable.dispose()
  }

  async #ask(node: unknown): Promise<void> {
    const { linear } = members(members(node).subject)
    const { code } = members(members(node).subject)
    await vscode.commands.executeCommand(`${VIEW}.focus`)
    if (typeof linear !== 'string') return
    this.#waiting = { type: 'ask', expression: linear, access: code === linear ? 'execute' : 'read' }
    // A page that was there already gets it at once; one that is being loaded asks when it is ready.
    if (this.#view !== undefined) this.#send(this.#waiting)
  }

  async #answer(message: PageMessage): Promise<void> {
    try {
      switch (message.type) {
        case 'ready':
          if (this.#waiting !== undefined) this.#send(this.#waiting)
          this.#waiting = undefined
          return this.#tell(this.#watch.state)
        case 'translate':
          return await this.#translate(message.expression, message.access)
        case 'openMemory':
          return await this.#memory.openMemory(message.memory)
        case 'openCode':
          return await this.#memory.openCode(message.address)
      }
    } catch (error) {
      this.#send({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }

  async #translate(expression: string, access: Access): Promise<void> {
    const { state } = this.#watch
    if (state.kind !== 'stopped') return this.#tell(state)
    const question = ++this.#question
    const { session, threadId } = state
    const address = await addressOf(session, threadId, expression)
    const body: TranslateBody = await session.customRequest(TRANSLATE, { address, access, threadId })
    if (question === this.#question) this.#send({ type: 'translated', model: translationModel(body) })
  }

  #tell(state: MachineState): void {
    if (state.kind === 'none') this.#send({ type: 'ended' })
    else this.#send({ type: state.kind })
  }

  #send(message: HostMessage): void {
    void this.#view?.webview.postMessage(message)
  }
}

/** Addresses of other address spaces are taken as they are; everything else is an expression of the innermost frame. */
async function addressOf(session: vscode.DebugSession, threadId: number, expression: string): Promise<string> {
  const text = expression.trim()
  if (/^(0x[0-9a-f]{1,16}|cr3=.*)$/i.test(text)) return text
  const frames = members(await session.customRequest('stackTrace', { threadId, levels: 1 })).stackFrames
  const frameId = Array.isArray(frames) ? members(frames[0]).id : undefined
  const format = { hex: true }
  const value = members(
    await session.customRequest('evaluate', { expression: text, frameId, context: 'watch', format }),
  )
  const { result, memoryReference } = value
  // The value of a number or pointer; of what has no number for a value, such as a struct, where it lies.
  const [number] = /^0x[0-9a-f]{1,16}/i.exec(String(result)) ?? []
  if (number !== undefined) return number
  if (typeof memoryReference === 'string' && /^0x/.test(memoryReference)) return memoryReference
  throw new Error(`"${text}" is ${String(result)}, which is no address`)
}
