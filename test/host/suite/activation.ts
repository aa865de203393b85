/** Nothing of ours runs before it is asked for, and little then. */

import { strict as assert } from 'node:assert'
import { Module } from 'node:module'
import * as vscode from 'vscode'
import { eventually } from './eventually.ts'
import { fileOf } from './guest.ts'
import { test } from './named-tests.ts'
import { note } from './page.ts'
import { descendants } from './processes.ts'

const MOST_MILLISECONDS = 100

export function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension('ringside.ringside')
  assert(found, 'the extension is there')
  return found
}

/** Files of the package that this extension host has loaded. */
const loaded = (): string[] => {
  const { extensionPath } = extension()
  const cache: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(Reflect.get(Module, '_cache')))
  return Object.keys(cache)
    .filter(path => path.startsWith(extensionPath))
    .map(path => path.slice(extensionPath.length + 1))
}

const started = (): string[] =>
  descendants()
    .map(({ commandLine }) => commandLine)
    .filter(line => line.includes(extension().extensionPath))

/** Tells how long it took; processor time of the extension host is less the machine's business than wall time. */
export async function activate(): Promise<void> {
  const [begun, used] = [performance.now(), process.cpuUsage()]
  await extension().activate()
  const milliseconds = performance.now() - begun
  const { user, system } = process.cpuUsage(used)
  const times = `${milliseconds.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of the processor`
  await note(`activation, loading included: ${times} (the must: ${MOST_MILLISECONDS} ms)`)
}

export function testActivation(): void {
  test('a window without a view, session or source of ours leaves the extension inactive', async () => {
    assert.equal(extension().isActive, false)
    assert.deepEqual(loaded(), [])
  })

  test('activation loads one file, starts no process, and takes little time', async () => {
    await activate()
    assert.deepEqual(loaded(), ['dist/extension.cjs'])
    assert.deepEqual(started(), [])
  })

  test('the language server starts with the first assembly source', async () => {
    await vscode.window.showTextDocument(fileOf('tour', 'kernel.c'))
    assert.deepEqual(started(), [])
    await vscode.window.showTextDocument(fileOf('tour', 'interrupts.asm'))
    await eventually('a language server', () => started().find(line => line.includes('language-server.mjs')))
    assert.deepEqual(loaded(), ['dist/extension.cjs', 'dist/language-client.cjs'])
    assert.equal(started().length, 1)
  })
}
