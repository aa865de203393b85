/**
 * Keeps the ticks of VS Code's walkthrough page true. A context key ticks a step once in the life of a window, and the
 * page lets everybody tick and untick a step by a click on its box, of which no event tells. So while the page may be
 * seen, its ticks are put right again and again.
 */

import * as vscode from 'vscode'
import type { Step } from './observation.ts'
import type { Progress } from './progress.ts'
import { lessonOf, STEPS } from './steps.ts'

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
      progress.onDidChange(() => this.#correct('all')),
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
    this.#timer = visible ? setInterval(() => this.#correct('usual'), INTERVAL) : undefined
    if (visible) this.#correct('all')
  }

  #correct(which: 'all' | 'usual'): void {
    this.#correcting = this.#correcting
      .then(() => this.#correctLessons(which))
      .catch(() => {
        // Another editor than VS Code, or one that has not read the walkthroughs yet: it ticks by context keys alone.
      })
  }

  async #correctLessons(which: 'all' | 'usual'): Promise<void> {
    for (const lesson of new Set(STEPS.map(lessonOf))) {
      const steps = STEPS.filter(step => lessonOf(step) === lesson)
      const done = steps.filter(step => this.#progress.isDone(step))
      const undone = steps.filter(step => !this.#progress.isDone(step))
      for (const step of done) await this.#mark('Complete', step)
      // VS Code hides a walkthrough when a step changes while all the others are done, in whichever direction: so it
      // gets a second one that is not, for a moment. That can be seen, and is not done all the time.
      const [helper] = undone.length === 1 ? done : []
      if (helper !== undefined && which === 'usual') continue
      if (helper !== undefined) await this.#mark('Incomplete', helper)
      for (const step of undone) await this.#mark('Incomplete', step)
      if (helper !== undefined) await this.#mark('Complete', helper)
    }
  }

  #mark(how: 'Complete' | 'Incomplete', { id }: Step): Thenable<unknown> {
    const [walkthrough, step] = id.split('.')
    return vscode.commands.executeCommand(`welcome.markStep${how}`, `${this.#extension}#${walkthrough}#${step}`)
  }
}

/** The page is one of the editors that extensions are told nothing of. */
const mayShowWalkthrough = (): boolean =>
  vscode.window.tabGroups.all.some(({ activeTab }) => activeTab !== undefined && activeTab.input === undefined)
