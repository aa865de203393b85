/** A guest is debugged: by VS Code's own means, through its terminal, and by each request of ours. */

import { strict as assert } from 'node:assert'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import * as vscode from 'vscode'
import { REQUESTS } from '../page-questions.ts'
import { eventually } from './eventually.ts'
import { fileOf, Guest, launches, TOUR } from './guest.ts'
import { test } from './named-tests.ts'
import { click, DIALOG, STATUS, shows } from './page.ts'
import { adapters, descendants, listening } from './processes.ts'
import { proofs } from './trust.ts'

/** In give_page(): the program touched new memory, and a frame for it has just been taken. */
const STOP = 'map_page(address & FRAME, frame,'

export async function breakAt(file: string, text: string): Promise<vscode.Breakpoint> {
  const uri = fileOf(...file.split('/'))
  const line = (await readFile(uri.fsPath, 'utf8')).split('\n').findIndex(each => each.includes(text))
  assert.notEqual(line, -1, `${file} has "${text}"`)
  const breakpoint = new vscode.SourceBreakpoint(new vscode.Location(uri, new vscode.Position(line, 0)))
  vscode.debug.addBreakpoints([breakpoint])
  return breakpoint
}

export const noBreakpoints = (): void => vscode.debug.removeBreakpoints(vscode.debug.breakpoints)

/** The tour at the first page fault of its program, in C. */
export async function stopInTour(more: object = {}): Promise<Guest> {
  noBreakpoints()
  await breakAt('tour/paging.c', STOP)
  const guest = await Guest.start({ ...TOUR, ...more })
  await guest.stopped()
  return guest
}

/** What requests need that do not make sense without. */
const ARGUMENTS: Readonly<Record<string, object>> = {
  'ringside/translate': { address: '0x40010000', access: 'write' },
  'ringside/consoleInput': { text: 'a' },
  'ringside/keyboardInput': { keys: [] },
  'ringside/traceVirtqueue': { device: 'virtio-rng0', queue: 0, on: true },
  'ringside/ring': { device: 'virtio-rng0', queue: 0 },
  'ringside/setViewStops': { stops: [] },
}

/** Why a request may be refused by this machine. */
const LACKING = /network|balloon|queue/

export function testSessions(): void {
  test('a breakpoint in C stops the tour, with its stack down to ring 3', async () => {
    await using guest = await stopInTour()
    const names = (await guest.frames()).map(({ name }) => name)
    assert.equal(names[0], 'give_page')
    assert(names.includes('user_main'), names.join())
    const [{ body }] = guest.events('stopped')
    assert.equal(body?.reason, 'breakpoint')
    await shows(STATUS, /64-bit {2}CPL 0 {2}CR3 0x[0-9a-f]+ {2}[\d,]+ instructions/)
  })

  test('it steps, evaluates, and sets a register', async () => {
    await using guest = await stopInTour()
    const [{ line }] = await guest.frames()
    assert.equal(BigInt(await guest.evaluate('address')), 0x4001_0000n)
    await guest.request('next', { threadId: 1 })
    await guest.stopped()
    assert((await guest.frames())[0].line > line, 'the step went to a later line')
    const [{ id: frameId }] = await guest.frames()
    await guest.request('setExpression', { expression: '$rbx', value: '0x1234', frameId })
    assert.equal(BigInt(await guest.evaluate('$rbx')), 0x1234n)
  })

  test('each request of ours answers', async () => {
    await using guest = await stopInTour({ rng: true, balloon: true, net: 'user' })
    const requests: string[] = JSON.parse(process.env[REQUESTS] ?? '')
    assert(requests.length > 10)
    for (const command of requests)
      await guest.request(command, ARGUMENTS[command] ?? {}).then(undefined, (error: unknown) => {
        if (!LACKING.test(String(error))) throw new Error(`${command}: ${error}`)
      })
  })

  test('what is typed in the terminal reaches the guest, and its answer comes back', async () => {
    noBreakpoints()
    await using guest = await Guest.start({ ...TOUR, name: 'Echo', program: 'kernels/echo.elf' })
    await eventually('its first words', () => guest.output.includes('ready') || undefined)
    const terminal = vscode.window.terminals.find(({ name }) => name === 'Echo: serial')
    assert(terminal, 'there is a terminal')
    terminal.sendText('hello', false)
    await eventually('the echo', () => guest.output.includes('HELLO') || undefined)
    await shows('.xterm-rows > div', /HELLO/)
    await shows(STATUS, /running/)
    terminal.sendText('.', false)
    await guest.ended()
    await shows('.xterm-rows > div', /the guest has ended/)
  })

  test('a guest without network listens on nothing, and starts nothing', async () => {
    await using guest = await stopInTour({ rng: true, disks: [] })
    const [adapter] = adapters()
    assert(adapter, 'there is an adapter')
    assert.equal(adapters().length, 1)
    assert.deepEqual(listening(adapter.pid), [])
    assert.deepEqual(
      descendants().filter(({ parent }) => parent === adapter.pid),
      [],
    )
    assert(guest.messages.length > 0)
  })

  test('a forwarded port is one of the loopback', async () => {
    await using guest = await stopInTour({ net: 'user,forward=tcp:0:22' })
    const sockets = listening(adapters()[0].pid)
    // 127.0.0.1, as proc(5) prints it on a little-endian machine.
    for (const socket of sockets) assert.match(socket, /^(tcp|udp) 0100007F:/)
    assert(guest.messages.length > 0)
  })

  test('no file that a configuration names is executed', async () => {
    const { image, marks } = proofs()
    const files = { initrd: image, symbols: [image], moduleSymbols: image, disks: [`${image},readonly`] }
    for (const [field, value] of Object.entries({ program: image, ...files })) {
      const { success, started } = await launches({ ...TOUR, stopOnEntry: true, [field]: value })
      if (!success) {
        await shows(DIALOG, /image\.sh/)
        await click(`${DIALOG} .monaco-button`, 'Cancel')
      }
      await started
      await vscode.debug.stopDebugging()
      await eventually('no adapter', () => adapters().length === 0 || undefined)
    }
    assert.deepEqual(readdirSync(marks), [])
  })
}
