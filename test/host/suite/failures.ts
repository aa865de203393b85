/** What goes wrong: no adapter, a guest that dies, an adapter that is killed. */

import { strict as assert } from 'node:assert'
import * as vscode from 'vscode'
import { eventually } from './eventually.ts'
import { folder, TOUR } from './guest.ts'
import { test } from './named-tests.ts'
import { notified } from './notifications.ts'
import { click, DIALOG, pages, STATUS, shows } from './page.ts'
import { adapters } from './processes.ts'
import { noBreakpoints, stopInTour } from './sessions.ts'
import { openViews, viewsAreEmpty } from './views.ts'

/** A physical page with nothing in it. */
const NO_TABLE = '0x3f00000'

export function testFailures(): void {
  for (const [name, path] of [
    ['path', '/nowhere/ringside.mjs'],
    ['node', '/nowhere/node'],
  ] as const)
    test(`a setting "ringside.adapter.${name}" that names nothing is told by its name`, async () => {
      const settings = vscode.workspace.getConfiguration('ringside.adapter')
      await settings.update(name, path, vscode.ConfigurationTarget.Global)
      try {
        const starting = vscode.debug.startDebugging(folder(), TOUR)
        await shows(DIALOG, new RegExp(`ringside\\.adapter\\.${name}.*${path}`))
        await click(`${DIALOG} .monaco-button`, 'Cancel')
        await starting
        assert.equal(vscode.debug.activeDebugSession, undefined)
        assert.deepEqual(adapters(), [])
      } finally {
        await settings.update(name, undefined, vscode.ConfigurationTarget.Global)
      }
    })

  test('a guest that dies of a triple fault can be looked at, and ends when it is resumed', async () => {
    await using guest = await stopInTour()
    noBreakpoints()
    const [{ id: frameId }] = await guest.frames()
    await guest.request('setExpression', { expression: '$cr3', value: NO_TABLE, frameId })
    await guest.request('continue', { threadId: 1 })
    const { body } = await guest.stopped()
    assert.match(`${body?.reason} ${body?.description} ${body?.text}`, /triple fault/)
    assert.equal(BigInt(await guest.evaluate('$cr3')), BigInt(NO_TABLE))
    await shows(STATUS, new RegExp(`CR3 ${NO_TABLE}`))
    await guest.request('continue', { threadId: 1 })
    await guest.ended()
    await eventually('no adapter', () => adapters().length === 0 || undefined)
  })

  test('an adapter that is killed ends its session, leaves no process, and the next session works', async () => {
    await openViews()
    const guest = await stopInTour()
    const [adapter] = adapters()
    assert(adapter, 'there is an adapter')
    process.kill(adapter.pid, 'SIGKILL')
    await guest.ended()
    await notified(/the debug adapter of "Tour" has ended unexpectedly.*SIGKILL/)
    await viewsAreEmpty()
    for (const text of await pages()) assert.doesNotMatch(text, /failed/)
    await eventually('no adapter', () => adapters().length === 0 || undefined)
    await vscode.commands.executeCommand('notifications.clearAll')
    await using next = await stopInTour()
    assert.equal((await next.frames())[0].name, 'give_page')
  })
}
