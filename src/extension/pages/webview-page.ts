/** A view whose content is a page of the package: made when it is first seen, told of the machine, heard with care. */

import * as vscode from 'vscode'
import { type MachineState, type SessionWatch, SHOWN_RUNNING_AFTER } from '../session-watch.ts'
import type { MachineMessage } from './machine-messages.ts'
import { pageHtml } from './page-html.ts'

export interface PageDefinition<FromPage> {
  /** As in `package.json`. */
  readonly view: string
  readonly title: string
  /** `dist/pages/NAME.js`, and `media/NAME.css` beside `media/page.css`. */
  readonly name: string
  /** undefined for what is no message of the page's: such are dropped. */
  parse(value: unknown): FromPage | undefined
  /** Messages of this type ask about the machine; the last one is answered anew at each stop, without the page's asking. */
  readonly question?: string
  /** What it throws is told to the page as `failed`. */
  answer(message: FromPage): Promise<void>
}

export class WebviewPage<ToPage extends { readonly type: string }, FromPage extends { readonly type: string }>
  implements vscode.WebviewViewProvider, vscode.Disposable
{
  readonly #definition: PageDefinition<FromPage>
  readonly #extension: vscode.Uri
  readonly #watch: SessionWatch
  readonly #disposable: vscode.Disposable
  #view: vscode.WebviewView | undefined
  /** What the page wants to know. */
  #question: FromPage | undefined
  #runningSoon: ReturnType<typeof setTimeout> | undefined

  constructor(extension: vscode.Uri, watch: SessionWatch, definition: PageDefinition<FromPage>) {
    this.#extension = extension
    this.#watch = watch
    this.#definition = definition
    this.#disposable = vscode.Disposable.from(
      vscode.window.registerWebviewViewProvider(definition.view, this),
      watch.onDidChange(state => this.#tell(state)),
    )
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view = view
    const { name, title } = this.#definition
    const { webview } = view
    const file = (...path: string[]) => vscode.Uri.joinPath(this.#extension, ...path)
    const uri = (...path: string[]) => webview.asWebviewUri(file(...path)).toString()
    webview.options = { enableScripts: true, localResourceRoots: [file('media'), file('dist', 'pages')] }
    webview.html = pageHtml({
      title,
      nonce: crypto.randomUUID(),
      script: uri('dist', 'pages', `${name}.js`),
      styles: [uri('media', 'page.css'), uri('media', `${name}.css`)],
      cspSource: webview.cspSource,
    })
    webview.onDidReceiveMessage((value: unknown) => void this.#receive(value))
    view.onDidChangeVisibility(() => {
      // The page goes when it is hidden, and comes back new.
      this.#question = undefined
      if (view.visible) this.tellState()
    })
    view.onDidDispose(() => {
      if (this.#view === view) this.#view = undefined
    })
  }

  /** Is there a page? One that is hidden is told nothing of the machine. */
  get open(): boolean {
    return this.#view !== undefined
  }

  send(message: ToPage | MachineMessage): void {
    void this.#view?.webview.postMessage(message)
  }

  /** Tells the page how the machine is: for when it says that it has been loaded. */
  tellState(): void {
    this.#tell(this.#watch.state)
  }

  dispose(): void {
    clearTimeout(this.#runningSoon)
    this.#disposable.dispose()
  }

  #tell({ kind }: MachineState): void {
    clearTimeout(this.#runningSoon)
    if (this.#view?.visible !== true) return
    if (kind === 'running') this.#runningSoon = setTimeout(() => this.send({ type: 'running' }), SHOWN_RUNNING_AFTER)
    else if (kind === 'none') this.send({ type: 'ended' })
    else if (this.#question === undefined) this.send({ type: 'stopped' })
    else void this.#answer(this.#question)
  }

  async #receive(value: unknown): Promise<void> {
    const message = this.#definition.parse(value)
    if (message === undefined) return
    // A page that has just been loaded knows by itself what it asks.
    if (message.type === 'ready') this.#question = undefined
    if (message.type === this.#definition.question) this.#question = message
    await this.#answer(message)
  }

  async #answer(message: FromPage): Promise<void> {
    try {
      await this.#definition.answer(message)
    } catch (error) {
      // What was asked of a guest that ended meanwhile is of no interest.
      if (this.#watch.state.kind === 'none') return this.tellState()
      this.send({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }
}
