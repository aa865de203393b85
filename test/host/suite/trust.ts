/** What a folder may do that nobody trusts, and what trust changes. */

import { strict as assert } from 'node:assert'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as vscode from 'vscode'
import { PROOFS } from '../page-questions.ts'
import type { Proofs } from '../workspace.ts'
import { activate } from './activation.ts'
import { eventually } from './eventually.ts'
import { fileOf, folder, TOUR } from './guest.ts'
import { test } from './named-tests.ts'
import { click, DIALOG, shows } from './page.ts'
import { adapters } from './processes.ts'

export const proofs = (): Proofs => JSON.parse(process.env[PROOFS] ?? '')

const marks = (): string[] => readdirSync(proofs().marks)
const setting = () => vscode.workspace.getConfiguration('ringside.adapter', folder()).get('path')

export function testTrust(): void {
  test('a folder that is not trusted chooses no program', async () => {
    assert.equal(vscode.workspace.isTrusted, false)
    await activate()
    assert.equal(setting(), '')
  })

  test('its assembly is checked by Ringside itself, and no assembler runs', async () => {
    const source = fileOf('wrong.asm')
    await vscode.window.showTextDocument(source)
    const { source: checker } = await eventually('a diagnostic', () => vscode.languages.getDiagnostics(source).at(0))
    assert.equal(checker, 'ringside')
  })

  for (const [how, start] of [
    ['a configuration', () => vscode.debug.startDebugging(folder(), TOUR)],
    ['the command for the tour', () => vscode.commands.executeCommand('ringside.debugTour')],
  ] as const)
    test(`${how} starts nothing while trust is refused`, async () => {
      const starting = start()
      await shows(DIALOG, /trust/i)
      await click(`${DIALOG} .monaco-button`, 'Cancel')
      assert.notEqual(await starting, true)
      assert.equal(vscode.debug.activeDebugSession, undefined)
      assert.deepEqual(adapters(), [])
      assert.deepEqual(marks(), [])
    })

  test('trust lets the folder choose its adapter and have its assembly checked by an assembler', async () => {
    const starting = vscode.debug.startDebugging(folder(), TOUR)
    await shows(DIALOG, /trust/i)
    await click(`${DIALOG} .monaco-button`, 'Trust')
    await eventually('trust', () => vscode.workspace.isTrusted || undefined)
    assert.equal(setting(), proofs().adapter)
    await eventually('the adapter of the folder', () => existsSync(join(proofs().marks, 'adapter')) || undefined)
    await eventually('the word of an assembler', () =>
      vscode.languages.getDiagnostics(fileOf('wrong.asm')).find(({ source }) => source === 'nasm'),
    )
    // It is no adapter: it ends at once.
    await shows(DIALOG, /the debug adapter has ended: exit status 0/)
    await click(`${DIALOG} .monaco-button`, 'Cancel')
    await starting
  })
}
