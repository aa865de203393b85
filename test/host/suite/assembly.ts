/** Assembly sources in the editor: what the language server tells VS Code through its client. */

import { strict as assert } from 'node:assert'
import * as vscode from 'vscode'
import { eventually } from './eventually.ts'
import { fileOf } from './guest.ts'
import { test } from './named-tests.ts'

const run = <T>(command: string, ...args: readonly unknown[]): Thenable<T> =>
  vscode.commands.executeCommand<T>(command, ...args)

/** Opens a source; returns it and where a text begins. */
async function open(path: readonly string[]) {
  const document = await vscode.workspace.openTextDocument(fileOf(...path))
  await vscode.window.showTextDocument(document)
  return { uri: document.uri, at: (text: string) => document.positionAt(document.getText().indexOf(text) + 1) }
}

export function testAssembly(): void {
  test('hover, completion, definition and symbols of NASM', async () => {
    const { uri, at } = await open(['tour', 'interrupts.asm'])
    const label = await eventually('symbols', async () => {
      const symbols = await run<vscode.DocumentSymbol[] | undefined>('vscode.executeDocumentSymbolProvider', uri)
      return symbols?.find(({ name }) => name === 'interrupt_common') ?? symbols?.at(0)
    })
    assert(label.name.length > 0)
    const hovers = await run<vscode.Hover[]>('vscode.executeHoverProvider', uri, at('iretq'))
    assert.match(hovers.flatMap(textsOf).join(), /RIP, CS, RFLAGS/)
    const list = await run<vscode.CompletionList>('vscode.executeCompletionItemProvider', uri, at('iretq'))
    assert(list.items.some(({ label: each }) => (typeof each === 'string' ? each : each.label) === 'iretq'))
  })

  test('definition, references, rename and calls of GAS', async () => {
    const { uri, at } = await open(['calls.S'])
    const definitions = await eventually('a definition', async () => {
      const found = await run<vscode.Location[]>('vscode.executeDefinitionProvider', uri, at('inner'))
      return found.length > 0 ? found : undefined
    })
    assert.equal(definitions[0].range.start.line, 6)
    const references = await run<vscode.Location[]>('vscode.executeReferenceProvider', uri, at('inner'))
    assert.equal(references.length, 3)
    const edit = await run<vscode.WorkspaceEdit>('vscode.executeDocumentRenameProvider', uri, at('inner'), 'innermost')
    assert.equal(edit.get(uri).length, 3)
    const hovers = await run<vscode.Hover[]>('vscode.executeHoverProvider', uri, at('cr3'))
    assert.match(hovers.flatMap(textsOf).join(), /page table/)

    const [inner] = await run<vscode.CallHierarchyItem[]>('vscode.prepareCallHierarchy', uri, at('inner'))
    const callers = await run<vscode.CallHierarchyIncomingCall[]>('vscode.provideIncomingCalls', inner)
    assert.deepEqual(
      callers.map(({ from, fromRanges }) => [from.name, fromRanges.length]),
      [['outer', 2]],
    )
    const callees = await run<vscode.CallHierarchyOutgoingCall[]>('vscode.provideOutgoingCalls', callers[0].from)
    assert.deepEqual(
      callees.map(({ to, fromRanges }) => [to.name, fromRanges.length]),
      [['inner', 2]],
    )
    await vscode.commands.executeCommand('workbench.action.closeAllEditors')
  })
}

const textsOf = ({ contents }: vscode.Hover): string[] =>
  contents.map(content => (typeof content === 'string' ? content : content.value))
