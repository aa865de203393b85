/** The guest's display and keyboard over DAP, with a guest that shows the scan codes it reads at port 0x60. */

import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import type { KeyboardInputBody, ScreenBody } from '../../src/protocol/screen-requests.ts'
import { assembleFlat } from '../support/test-guest.ts'

let client: DapClient
beforeEach(async () => {
  client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ program: assembleFlat('keyboard'), memory: '16M', stopOnEntry: true })
  await client.request('configurationDone')
  await client.event('stopped')
  onTestFinished(() => client.close())
})

const screen = (since?: string): Promise<ScreenBody> => client.request('ringside/screen', { since })
const keys = (...list: readonly object[]): Promise<KeyboardInputBody> =>
  client.request('ringside/keyboardInput', { keys: list })

async function textScreen(): Promise<Extract<ScreenBody, { kind: 'text' }>> {
  const body = await screen()
  if (body.kind !== 'text') throw new Error(`no text: ${body.kind}`)
  return body
}

async function shows(text: string): Promise<void> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const { rows } = await textScreen()
    const shown = `${rows[0].trimEnd()}|${rows[1].trimEnd()}`
    if (shown === text) return
    if (Date.now() > deadline) throw new Error(`the screen shows "${shown}", not "${text}"`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

async function run(): Promise<void> {
  await client.request('continue', { threadId: 1 })
  await shows('Keys|')
}

test('the screen is told while the guest stands still and while it runs, with colours and cursor', async () => {
  expect(await textScreen()).toMatchObject({ columns: 80, cursor: { row: 0, column: 0 }, off: false })
  await run()
  await keys({ code: 'KeyA', action: 'down' })
  await shows('Keys|1e')
  const { attributes, rows, palette, cursor, blinks } = await textScreen()
  expect(rows.every(row => row.length === 80)).toBe(true)
  expect(attributes[0].slice(0, 10)).toBe('1f1f1f1f07')
  expect(attributes[1].slice(0, 8)).toBe('8e8e8e07')
  expect([palette[1], palette[14], palette[15], blinks]).toEqual(['#0000aa', '#ffff55', '#ffffff', true])
  expect(cursor).toEqual({ row: 1, column: 3, first: 13, last: 14 })
})

test('a screen that has not changed is not told again', async () => {
  const { version } = await screen()
  expect(await screen(version)).toEqual({ kind: 'unchanged', version })
  await run()
  const after = await screen(version)
  expect(after).toMatchObject({ kind: 'text' })
  expect(await screen(after.version)).toEqual({ kind: 'unchanged', version: after.version })
})

test('keys wake a guest that is idle, in the order in which they came', async () => {
  await run()
  await keys({ code: 'ShiftLeft', action: 'down' }, { code: 'ArrowUp' }, { code: 'ShiftLeft', action: 'up' })
  await shows('Keys|2a e0 48 e0 c8 aa')
  await client.request('ringside/keyboardInput', { text: 'b!' })
  await shows('Keys|2a e0 48 e0 c8 aa 30 b0 2a 02 82 aa')
})

test('keys wait for a guest that stands still, up to a limit, and change nothing of it meanwhile', async () => {
  await run()
  await client.request('pause', { threadId: 1 })
  await client.event('stopped', ({ reason }) => reason === 'pause')
  const before = await client.request('ringside/devices', { device: 'i8042' })
  expect(await keys({ code: 'KeyA' })).toEqual({ waiting: 2, dropped: 0 })
  expect(await client.request('ringside/devices', { device: 'i8042' })).toEqual(before)
  const many = Array.from({ length: 256 }, () => ({ code: 'KeyB', action: 'up' }))
  let full = await keys(...many)
  while (full.dropped === 0) full = await keys(...many)
  expect(full).toMatchObject({ dropped: 256, problem: expect.stringMatching(/^the guest stands still, or does not/) })
  expect(full.waiting).toBeLessThanOrEqual(4096)
  await client.request('continue', { threadId: 1 })
  const deadline = Date.now() + 30_000
  while ((await keys()).waiting > 0 && Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, 5))
  expect(await keys()).toEqual({ waiting: 0, dropped: 0 })
  expect((await textScreen()).rows[1]).toMatch(/^1e 9e b0 b0 /)
})

test('a guest that has ended takes no keys, and its last screen is there still', async () => {
  await run()
  await keys({ code: 'KeyA', action: 'down' }, { code: 'Escape' })
  await client.event('exited')
  await shows('Keys|1e 01')
  await expect(keys({ code: 'KeyA' })).rejects.toThrow('the guest has ended: it takes no keys')
})

test('keys and text that no keyboard has are refused', async () => {
  await expect(keys({ code: 'Fn' })).rejects.toThrow('there is no key "Fn"')
  await expect(client.request('ringside/keyboardInput', { text: 'ä' })).rejects.toThrow('has no key for "ä"')
  expect(await keys()).toEqual({ waiting: 0, dropped: 0 })
})

test('it is said when the guest does not hear keys', async () => {
  await run()
  await keys({ code: 'F12', action: 'down' })
  await shows('Keys|58')
  const problem = 'the guest has disabled the keyboard interface: keys wait until it enables it'
  expect(await keys({ code: 'KeyA' })).toMatchObject({ dropped: 0, problem })
})

test('the console has the screen as text', async () => {
  const typed = { expression: 'screen', context: 'repl' }
  expect((await client.request('evaluate', typed)).result).toBe('80 × 25, cursor at row 0, column 0: blank')
  await run()
  await client.request('pause', { threadId: 1 })
  await client.event('stopped', ({ reason }) => reason === 'pause')
  expect((await client.request('evaluate', typed)).result).toBe('80 × 25, cursor at row 0, column 0\nKeys')
})
