/** What can be done with a node of the views: set a register, open memory or code, stop at a reason. */

import * as vscode from 'vscode'
import type { MemoryDocuments } from './memory-documents.ts'
import { members } from './session-messages.ts'
import type { SessionWatch } from './session-watch.ts'
import type { ViewStops } from './view-stops.ts'
import { asViewStop } from './views/stops-model.ts'
import { nodeOf } from './views/view-node.ts'

export interface CommandParts {
  readonly watch: SessionWatch
  readonly stops: ViewStops
  readonly memory: MemoryDocuments
  /** Asks all views again. */
  refresh(): void
}

export function registerViewCommands(parts: CommandParts): vscode.Disposable {
  return vscode.Disposable.from(
    command('ringside.editRegister', node => editRegister(parts, members(subjectOf(node).register))),
    command('ringside.openMemory', node => withText(subjectOf(node).memory, at => parts.memory.openMemory(at))),
    command('ringside.goToCode', node => withText(subjectOf(node).code, at => parts.memory.openCode(at))),
    command('ringside.copyValue', async node => {
      const { label, description } = members(node)
      await vscode.env.clipboard.writeText(String(description ?? label ?? ''))
    }),
    command('ringside.toggleStop', node => toggleStop(parts, subjectOf(node).stop)),
    command('ringside.removeStop', node => toggleStop(parts, subjectOf(node).stop)),
    command('ringside.refreshViews', async () => parts.refresh()),
  )
}

/** A failure becomes a message; what a command is called with may be anything. */
function command(id: string, run: (argument: unknown) => Promise<void>): vscode.Disposable {
  return vscode.commands.registerCommand(id, async (argument: unknown) => {
    try {
      await run(nodeOf(argument))
    } catch (error) {
      void vscode.window.showErrorMessage(`Ringside: ${error instanceof Error ? error.message : String(error)}`)
    }
  })
}

const subjectOf = (node: unknown) => members(members(node).subject)

async function withText(text: unknown, run: (text: string) => Promise<void>): Promise<void> {
  if (typeof text === 'string') await run(text)
}

async function toggleStop({ watch, stops }: CommandParts, wanted: unknown): Promise<void> {
  const stop = asViewStop(wanted)
  if (stop === undefined) return
  const { state } = watch
  if (state.kind === 'none') throw new Error('no guest is being debugged')
  await stops.toggle(state.session, stop)
}

async function editRegister({ watch }: CommandParts, register: { readonly [name: string]: unknown }): Promise<void> {
  const { frameId, expression, value } = register
  if (typeof expression !== 'string' || typeof value !== 'string') return
  const { state } = watch
  if (state.kind !== 'stopped') throw new Error('registers are set while the guest stands still')
  // What is refused is said at the field, where it can be mended.
  let refused: { readonly text: string; readonly why: string } | undefined
  for (;;) {
    const wrong = refused
    const entered = await vscode.window.showInputBox({
      title: `Set ${expression}`,
      prompt: 'A number or an expression, such as 0x1000 or $rsp + 8',
      value: wrong?.text ?? value,
      validateInput: text => (text === wrong?.text ? wrong.why : undefined),
    })
    if (entered === undefined) return
    try {
      // The adapter says that something changed, and the views follow.
      await state.session.request('setExpression', { expression, value: entered, frameId })
      return
    } catch (error) {
      refused = { text: entered, why: error instanceof Error ? error.message : String(error) }
    }
  }
}
