/** Which steps of the walkthrough are done: kept for good, and told to VS Code by context keys, which tick the steps. */

import * as vscode from 'vscode'
import type { Step } from './observation.ts'
import { contextKey, STEPS } from './steps.ts'

const KEY = 'ringside.walkthrough.done'

export class Progress implements vscode.Disposable {
  /** Fires when a step is done, and when all begin again. */
  readonly onDidChange: vscode.Event<void>

  readonly #changed = new vscode.EventEmitter<void>()
  readonly #state: vscode.Memento
  readonly #done: Set<string>

  /** @param state outlives VS Code */
  constructor(state: vscode.Memento) {
    this.onDidChange = this.#changed.event
    this.#state = state
    const kept = state.get<unknown>(KEY)
    const known = STEPS.map(({ id }) => id)
    this.#done = new Set(Array.isArray(kept) ? known.filter(id => kept.includes(id)) : [])
    for (const step of STEPS) if (this.isDone(step)) tell(step, true)
  }

  isDone({ id }: Step): boolean {
    return this.#done.has(id)
  }

  undone(): readonly Step[] {
    return STEPS.filter(step => !this.isDone(step))
  }

  async complete(step: Step): Promise<void> {
    if (this.isDone(step)) return
    this.#done.add(step.id)
    tell(step, true)
    this.#changed.fire()
    await this.#state.update(KEY, [...this.#done])
  }

  async beginAgain(): Promise<void> {
    this.#done.clear()
    for (const step of STEPS) tell(step, false)
    this.#changed.fire()
    await this.#state.update(KEY, undefined)
  }

  dispose(): void {
    this.#changed.dispose()
  }
}

const tell = (step: Step, done: boolean): void =>
  void vscode.commands.executeCommand('setContext', contextKey(step), done)
