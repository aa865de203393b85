/** What F5 launches, what it refuses, and what the commands say when there is no guest. */

import { strict as assert } from 'node:assert'
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import * as vscode from 'vscode'
import { extension } from './activation.ts'
import { eventually } from './eventually.ts'
import { fileOf, folder, Guest, TOUR } from './guest.ts'
import { test } from './named-tests.ts'
import { clearNotifications, NOTIFICATION, notified } from './notifications.ts'
import { click, DIALOG, press, QUICK_INPUT, shows, texts, type } from './page.ts'
import { adapters } from './processes.ts'

/** A node on which every command of a view can act. */
const NODE = {
  id: 'node',
  label: 'CR3',
  description: '0x1000',
  subject: {
    memory: '0x1000',
    linear: '0x1000',
    code: '0x1000',
    register: { frameId: 1, expression: '$cr3', value: '0x1000' },
    exitReason: 'io',
  },
}

/** What they say, of those that must say something. */
const ANSWERS: Readonly<Record<string, RegExp>> = {
  'ringside.openMemory': /no guest is being debugged/,
  'ringside.goToCode': /no guest is being debugged/,
  'ringside.editRegister': /registers are set while the guest stands still/,
}
/** Starts a session. */
const TOUR_COMMAND = 'ringside.debugTour'

const commands = (): string[] =>
  extension().packageJSON.contributes.commands.map((each: { command: string }) => each.command)

export function testConfigurations(): void {
  for (const [what, change, complaint] of [
    ['without a program', { program: undefined }, /"program"/],
    ['with a program that is not there', { program: 'kernels/none.elf' }, /"program": there is no file .*none\.elf/],
    ['with a field that is wrong', { memory: 'plenty' }, /"memory"/],
    ['with a field that nobody knows', { memroy: '64M' }, /"memroy"/],
    ['with a disk that is not there', { disks: ['disk.img,readonly'] }, /"disks": there is no file .*disk\.img/],
  ] as const)
    test(`a configuration ${what} starts nothing and names the field`, async () => {
      const { program, ...rest } = { ...TOUR, ...change }
      const starting = vscode.debug.startDebugging(folder(), { ...rest, ...(program === undefined ? {} : { program }) })
      await notified(complaint)
      assert.deepEqual(adapters(), [])
      await clearNotifications()
      assert.notEqual(await starting, true)
    })

  test('an image that is no kernel is refused with its name', async () => {
    const starting = vscode.debug.startDebugging(folder(), { ...TOUR, program: 'kernels/notes.txt' })
    await shows(DIALOG, /notes\.txt/)
    await click(`${DIALOG} .monaco-button`, 'Cancel')
    await starting
    await eventually('no adapter', () => adapters().length === 0 || undefined)
  })

  test('variables are substituted, files are those of the folder, and defaults are filled in', async () => {
    const guest = await Guest.start({ ...TOUR, symbols: 'kernels/tour.elf', stopOnEntry: true })
    await guest.stopped()
    const { configuration } = guest.session
    assert.equal(configuration.program, fileOf('kernels', 'tour.elf').fsPath)
    assert.equal(configuration.symbols, fileOf('kernels', 'tour.elf').fsPath)
    assert.equal(configuration.console, 'integratedTerminal')
    await guest.stop()
  })

  test('F5 in a folder with two kernels asks which one', async () => {
    await vscode.window.showTextDocument(fileOf('tour', 'kernel.c'))
    const starting = vscode.commands.executeCommand('workbench.action.debug.start')
    await shows(`${QUICK_INPUT} .monaco-list-row`, /kernels\/echo\.elf/)
    await click(`${QUICK_INPUT} .monaco-list-row`, 'kernels/tour.elf')
    await starting
    const session = await eventually('a session', () => vscode.debug.activeDebugSession)
    assert.equal(session.configuration.program, fileOf('kernels', 'tour.elf').fsPath)
    assert.equal(session.configuration.stopOnEntry, true)
    await vscode.debug.stopDebugging()
    await eventually('no session', () => vscode.debug.activeDebugSession === undefined || undefined)
  })

  test('a QEMU command line becomes a configuration in launch.json', async () => {
    const importing = vscode.commands.executeCommand('ringside.importQemu')
    await shows(QUICK_INPUT, /QEMU/)
    await type('qemu-system-x86_64 -kernel kernels/tour.elf -m 96M -sandbox on')
    await press('Enter')
    await notified(/Left out: .*sandbox/)
    await click(`${NOTIFICATION} .monaco-button`, 'Add to launch.json')
    await importing
    const launch = JSON.parse(await readFile(fileOf('.vscode', 'launch.json').fsPath, 'utf8'))
    assert.match(launch.configurations[0].program, /kernels\/tour\.elf$/)
    assert.equal(launch.configurations[0].memory, '96M')
    await vscode.commands.executeCommand('workbench.action.closeAllEditors')
  })

  test('each command runs without a guest, and those that need one say so', async () => {
    for (const command of commands()) {
      await clearNotifications()
      const running = Promise.resolve(vscode.commands.executeCommand(command, NODE))
      // VS Code shows why a command was rejected.
      const done = running.then(
        () => '',
        (error: unknown) => String(error),
      )
      const wanted = ANSWERS[command]
      if (wanted !== undefined) await notified(wanted)
      // One that waits for an answer is left with Escape.
      const outcome = await Promise.race([done, wait(1500, undefined)])
      if (outcome === undefined) {
        await press('Escape')
        await clearNotifications()
      }
      const said = [await done, ...(await texts(NOTIFICATION))]
      assert.deepEqual(
        said.filter(text => /undefined|TypeError|Cannot read|not a function/.test(text)),
        [],
        command,
      )
      if (command === TOUR_COMMAND) await eventually('the tour', () => vscode.debug.activeDebugSession)
      await vscode.debug.stopDebugging()
      await eventually('no session', () => vscode.debug.activeDebugSession === undefined || undefined)
    }
    await clearNotifications()
    await vscode.commands.executeCommand('workbench.action.closeAllEditors')
  })
}
