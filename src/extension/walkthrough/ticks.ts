/**
 * Keeps the ticks of VS Code's walkthrough page true. A context key ticks a step once in the life of a window, and the
 * page lets everybody tick and untick a step by a click on its box, of which no event tells. So while the page may be
 * seen, its ticks are put right again and again.
 */

import * as vscode from 'vscode'
import type { Progress } from './progress.ts'
import { tickCorrections } from './tick-corrections.ts'

/** Milliseconds. */
const INTERVAL = 2000

export class Ticks implements vscode.Disposable {
  readonly #extension: string
  readonly #progress: Progress
  readonly #disposable: vscode.Disposable
  #timer: NodeJS.Timeout | undefined
  /** One correction follows the other. */
  #correcting: Promise<void> = Promise.resolve()

  /** @param extension its id, which ids of steps begin with */
  constructor(extension: string, progress: Progress) {
    this.#extension = extension
    this.#progress = progress
    const look = (): void => this.#look()
    this.#disposable = vscode.Disposable.from(
      progress.onDidChange(() => this.#correct(true)),
      vscode.window.tabGroups.onDidChangeTabs(look),
      vscode.window.tabGroups.onDidChangeTabGroups(look),
      vscode.window.onDidChangeWindowState(look),
    )
    look()
  }

  dispose(): void {
    clearInterval(this.#timer)
    this.#disposable.dispose()
  }

  #look(): void {
    const visible = vscode.window.state.focused && mayShowWalkthrough()
    if (visible === (this.#timer !== undefined)) return
    clearInterval(this.#timer)
    this.#timer = visible ? setInterval(() => this.#correct(false), INTERVAL) : undefined
    if (visible) this.#correct(true)
  }

  #correct(thorough: boolean): void {
    this.#correcting = this.#correcting
      .then(() => this.#mark(thorough))
      .catch(() => {
        // Another editor than VS Code, or one that has not read the walkthroughs yet: it ticks by context keys alone.
      })
  }

  async #mark(thorough: boolean): Promise<void> {
    for (const { step, tick } of tickCorrections(each => this.#progress.isDone(each), thorough)) {
      const [walkthrough, name] = step.id.split('.')
      const command = tick ? 'welcome.markStepComplete' : 'welcome.markStepIncomplete'
      await vscode.commands.executeCommand(command, `${this.#extension}#${walkthrough}#${name}`)
    }
  }
}

/** The page is one of the editors that extensions are told nothing of. */
const mayShowWalkthrough = (): boolean =>
  vscode.window.tabGroups.all.some(({ activeTab }) => activeTab !== undefined && activeTab.input === undefined)
