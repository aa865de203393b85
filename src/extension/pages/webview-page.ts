/** A view whose content is a page of the package: made when it is first seen, told of the machine, heard with care. */

import * as vscode from 'vscode'
import type { MachineState, SessionWatch } from '../session-watch.ts'
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
  /** What it throws is told to the page as `failed`. */
  answer(message: FromPage): Promise<void>
}

export class WebviewPage<ToPage extends { readonly type: string }, FromPage>
  implements vscode.WebviewViewProvider, vscode.Disposable
{
  readonly #definition: PageDefinition<FromPage>
  readonly #extension: vscode.Uri
  readonly #watch: SessionWatch
  readonly #disposable: vscode.Disposable
  #view: vscode.WebviewView | undefined

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
    this.#disposable.dispose()
  }

  #tell(state: MachineState): void {
    if (this.#view?.visible === true) this.send({ type: state.kind === 'none' ? 'ended' : state.kind })
  }

  async #receive(value: unknown): Promise<void> {
    const message = this.#definition.parse(value)
    if (message === undefined) return
    try {
      await this.#definition.answer(message)
    } catch (error) {
      // What was asked of a guest that ended meanwhile is of no interest.
      if (this.#watch.state.kind === 'none') return this.tellState()
      this.send({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }
}
