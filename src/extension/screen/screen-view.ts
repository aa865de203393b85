/** The view of the guest's screen: asks for it when its page does, passes keys on, and keeps the last one. */

import * as vscode from 'vscode'
import { KEYBOARD_INPUT, type KeyboardInputArguments, SCREEN } from '../../protocol/screen-requests.ts'
import type { AdapterLines, GuestSession } from '../adapter-line/adapter-lines.ts'
import { DEBUG_TYPE } from '../debug-type.ts'
import { WebviewPage } from '../pages/webview-page.ts'
import { members } from '../session-messages.ts'
import type { SessionWatch } from '../session-watch.ts'
import { type HostMessage, isScreen, type PageMessage, parsePageMessage, type Screen } from './messages.ts'

export class ScreenView implements vscode.Disposable {
  readonly #watch: SessionWatch
  readonly #page: WebviewPage<HostMessage, PageMessage>
  readonly #disposable: vscode.Disposable
  /** For a page that is made when the guest has ended. */
  #last: Screen | undefined

  constructor(extension: vscode.Uri, watch: SessionWatch, lines: AdapterLines) {
    this.#watch = watch
    this.#page = new WebviewPage(extension, watch, {
      view: 'ringside.screen',
      title: 'Screen',
      name: 'screen',
      parse: parsePageMessage,
      answer: message => this.#answer(message),
    })
    this.#disposable = vscode.Disposable.from(
      this.#page,
      vscode.debug.registerDebugAdapterTrackerFactory(DEBUG_TYPE, {
        createDebugAdapterTracker: session => {
          const guest = lines.guestOf(session)
          return {
            onWillStartSession: () => {
              this.#last = undefined
            },
            onDidSendMessage: message => this.#keepLast(guest, message),
          }
        },
      }),
    )
  }

  dispose(): void {
    this.#disposable.dispose()
  }

  async #answer(message: PageMessage): Promise<void> {
    switch (message.type) {
      case 'ready':
        if (this.#last !== undefined) this.#page.send({ type: 'screen', screen: this.#last })
        return this.#page.tellState()
      case 'look':
        return await this.#look(message.since)
      case 'keys':
        return await this.#type({
          keys: message.keys.map(({ code, down }) => ({ code, action: down ? 'down' : 'up' })),
        })
      case 'text':
        return await this.#type({ text: message.text })
    }
  }

  async #look(since: string | undefined): Promise<void> {
    const { state } = this.#watch
    if (state.kind === 'none') return this.#page.tellState()
    const body: unknown = await state.session.request(SCREEN, since === undefined ? {} : { since })
    if (isScreen(body)) this.#show(body)
    else this.#page.send({ type: 'unchanged' })
  }

  #show(screen: Screen): void {
    this.#last = screen
    this.#page.send({ type: 'screen', screen })
  }

  /** The guest has ended, and its debugger goes with it: what it showed last is asked for while there is still one. */
  async #keepLast(guest: GuestSession, message: unknown): Promise<void> {
    const { type, event } = members(message)
    if (type !== 'event' || event !== 'exited' || this.#last === undefined) return
    try {
      const body: unknown = await guest.request(SCREEN, { since: this.#last.version })
      if (isScreen(body)) this.#show(body)
    } catch {
      // The debugger was gone first: the screen of a moment ago stays.
    }
  }

  async #type(input: KeyboardInputArguments): Promise<void> {
    const { state } = this.#watch
    if (state.kind === 'none') return this.#page.tellState()
    const { problem, waiting } = members(await state.session.request(KEYBOARD_INPUT, input))
    const waits = state.kind === 'stopped' && typeof waiting === 'number' && waiting > 0
    const note = waits ? 'Keys wait until the guest goes on.' : ''
    this.#page.send({ type: 'typed', note: typeof problem === 'string' ? sentence(problem) : note })
  }
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
