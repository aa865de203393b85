/** The screen and keyboard of one guest's serial console. */

import * as vscode from 'vscode'
import { TerminalText } from './terminal-text.ts'

const FAINT = '\x1b[2m'
const PLAIN = '\x1b[0m'

export class SerialTerminal implements vscode.Pseudoterminal {
  readonly onDidWrite: vscode.Event<string>

  readonly #written = new vscode.EventEmitter<string>()
  readonly #text = new TerminalText()
  readonly #type: (text: string) => Thenable<void>
  /** What came before VS Code was ready to show it; undefined from then on. */
  #early: string | undefined = ''
  #ended = false

  /** @param type takes what the user types. */
  constructor(type: (text: string) => Thenable<void>) {
    this.#type = type
    this.onDidWrite = this.#written.event
  }

  open(): void {
    const early = this.#early
    this.#early = undefined
    if (early) this.#written.fire(early)
  }

  /** The user closed the terminal; the guest goes on without. */
  close(): void {
    this.#ended = true
  }

  handleInput(text: string): void {
    if (this.#ended) return
    this.#type(text).then(undefined, (error: unknown) =>
      this.#note(`not sent: ${error instanceof Error ? error.message : String(error)}`),
    )
  }

  /** Text from the guest. */
  write(text: string): void {
    this.#show(this.#text.convert(text))
  }

  /** The guest is gone; what it wrote stays. */
  end(): void {
    if (this.#ended) return
    this.#note('the guest has ended')
    this.#ended = true
  }

  #note(text: string): void {
    this.#show(`\r\n${FAINT}[${text}]${PLAIN}\r\n`)
  }

  #show(text: string): void {
    if (this.#early === undefined) this.#written.fire(text)
    else this.#early += text
  }
}
