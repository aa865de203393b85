/** The view of address translation: evaluates what the user types, asks for its translation, lets the page draw it. */

import * as vscode from 'vscode'
import { TRANSLATE, type TranslateBody } from '../../protocol/custom-requests.ts'
import { addressOf } from '../address-expression.ts'
import type { MemoryDocuments } from '../memory-documents.ts'
import { WebviewPage } from '../pages/webview-page.ts'
import { members } from '../session-messages.ts'
import type { SessionWatch } from '../session-watch.ts'
import type { ViewStops } from '../view-stops.ts'
import type { SetStop } from '../views/stops-model.ts'
import { nodeOf } from '../views/view-node.ts'
import { type Access, type HostMessage, type PageMessage, type PageStop, parsePageMessage } from './messages.ts'
import { translationModel, type Watched, watchExpression } from './translation-model.ts'

const VIEW = 'ringside.translation'

export class TranslationView implements vscode.Disposable {
  readonly #watch: SessionWatch
  readonly #memory: MemoryDocuments
  readonly #page: WebviewPage<HostMessage, PageMessage>
  readonly #stops: ViewStops
  readonly #disposable: vscode.Disposable
  /** What was asked for before there was a page. */
  #waiting: HostMessage | undefined
  /** The stops that the page knows. */
  #told = ''
  /** Counts questions: a late answer to an earlier one is dropped. */
  #question = 0

  constructor(extension: vscode.Uri, watch: SessionWatch, memory: MemoryDocuments, stops: ViewStops) {
    this.#watch = watch
    this.#stops = stops
    this.#memory = memory
    this.#page = new WebviewPage(extension, watch, {
      view: VIEW,
      title: 'Address translation',
      name: 'translation',
      parse: parsePageMessage,
      question: 'translate',
      answer: message => this.#answer(message),
    })
    this.#disposable = vscode.Disposable.from(
      vscode.commands.registerCommand('ringside.translate', (argument: unknown) => this.#ask(nodeOf(argument))),
      stops.onDidChange(() => this.#tellStops()),
      watch.onDidChange(() => this.#tellStops()),
    )
  }

  dispose(): void {
    this.#disposable.dispose()
    this.#page.dispose()
  }

  async #ask(node: unknown): Promise<void> {
    const { linear } = members(members(node).subject)
    const { code } = members(members(node).subject)
    await vscode.commands.executeCommand(`${VIEW}.focus`)
    if (typeof linear !== 'string') return
    this.#waiting = { type: 'ask', expression: linear, access: code === linear ? 'execute' : 'read' }
    // A page that was there already gets it at once; one that is being loaded asks when it is ready.
    if (this.#page.open) this.#page.send(this.#waiting)
  }

  async #answer(message: PageMessage): Promise<void> {
    switch (message.type) {
      case 'ready':
        if (this.#waiting !== undefined) this.#page.send(this.#waiting)
        this.#waiting = undefined
        this.#told = ''
        this.#tellStops()
        return this.#page.tellState()
      case 'translate':
        return await this.#translate(message.expression, message.access)
      case 'openMemory':
        return await this.#memory.openMemory(message.memory)
      case 'openCode':
        return await this.#memory.openCode(message.address)
      case 'watch':
        return await watch(message.memory, message.length)
      case 'toggleStop':
        return await this.#toggleStop(message)
    }
  }

  async #toggleStop({ memory, length, name }: Watched): Promise<void> {
    const { state } = this.#watch
    if (state.kind === 'none') return this.#page.tellState()
    try {
      await this.#stops.toggle(state.session, { kind: 'change', memory, length, name })
    } catch (error) {
      this.#page.send({ type: 'refused', message: error instanceof Error ? error.message : String(error) })
    }
  }

  #tellStops(): void {
    const { state } = this.#watch
    const stops = state.kind === 'none' ? [] : this.#stops.of(state.session).flatMap(pageStop)
    const told = JSON.stringify(stops)
    if (told === this.#told) return
    this.#told = told
    this.#page.send({ type: 'stops', stops })
  }

  async #translate(expression: string, access: Access): Promise<void> {
    const { state } = this.#watch
    if (state.kind !== 'stopped') return this.#page.tellState()
    const question = ++this.#question
    const { session, threadId } = state
    const address = await addressOf(session, threadId, expression)
    const body: TranslateBody = await session.request(TRANSLATE, { address, access, threadId })
    if (question === this.#question) this.#page.send({ type: 'translated', model: translationModel(body) })
  }
}

function pageStop({ stop, hit = false, said }: SetStop): PageStop[] {
  if (stop.kind !== 'change') return []
  const { memory, length, name } = stop
  if (length !== 4 && length !== 8) return []
  return [{ memory, length, name, hit, ...(said === undefined ? {} : { said }) }]
}

/**
 * Adds an expression to VS Code's Watch view, which shows what changes. There is no API for it: the command is that of
 * the menu of variables, and takes what the menu gives it.
 */
async function watch(memory: string, length: 4 | 8): Promise<void> {
  const evaluateName = watchExpression(memory, length)
  await vscode.commands.executeCommand('debug.addToWatchExpressions', { variable: { evaluateName } })
}
