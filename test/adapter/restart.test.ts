/** `restart` with another configuration, or after what the configuration names has changed: the guest is put together anew. */

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterEach, expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'

const GUESTS = fileURLToPath(new URL('../../guests/', import.meta.url))
const TOUR = `${GUESTS}prebuilt/tour.elf`
const MODES = `${GUESTS}prebuilt/modes.elf`

let client: DapClient
const stopped = () => client.event<DebugProtocol.StoppedEvent['body']>('stopped')

/** Stopped before the first instruction. */
async function begin(args: object): Promise<void> {
  client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ memory: '64M', stopOnEntry: true, ...args })
  await client.request('configurationDone')
  await stopped()
}

afterEach(() => client.close())

/** Bytes of RAM, as far as 64 MiB. */
async function ram(): Promise<number> {
  for (const megabytes of [32, 64]) {
    const end = { memoryReference: `phys:0x${(megabytes * 2 ** 20).toString(16)}`, count: 1 }
    if ((await client.request<{ data?: string }>('readMemory', end)).data === undefined) return megabytes
  }
  return Number.POSITIVE_INFINITY
}

const nameOfFrame = async (): Promise<string> => {
  const { stackFrames } = await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
    threadId: 1,
  })
  return stackFrames[0].name
}

test('a machine with other memory has the breakpoints of the one before', async () => {
  await begin({ program: TOUR })
  const { breakpoints } = await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', {
    breakpoints: [{ name: 'kernel_main', condition: '$cpl == 0' }],
  })
  expect(await ram()).toBe(64)
  await client.request('restart', { arguments: { program: TOUR, memory: '32M', stopOnEntry: true } })
  expect(await stopped()).toMatchObject({ reason: 'entry' })
  expect(await ram()).toBe(32)
  await client.request('continue', { threadId: 1 })
  expect(await stopped()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [breakpoints[0].id] })
  expect(await nameOfFrame()).toBe('kernel_main')
})

test('breakpoints by name are where the other image has them, and the client is told', async () => {
  await begin({ program: TOUR })
  const { breakpoints } = await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', {
    breakpoints: [{ name: 'take_frame' }, { name: 'kernel_main' }],
  })
  await client.request('setExceptionBreakpoints', {
    ...{ filters: [], filterOptions: [{ filterId: 'exception', condition: 'if timer_ticks > 1000' }] },
  })
  await client.request('restart', { arguments: { program: MODES, memory: '64M' } })
  const changes = new Map<number | undefined, DebugProtocol.Breakpoint>()
  for (let i = 0; i < 3; i++) {
    const { breakpoint } = await client.event<DebugProtocol.BreakpointEvent['body']>('breakpoint')
    changes.set(breakpoint.id, breakpoint)
  }
  expect(changes.get(breakpoints[0].id)).toMatchObject({ verified: false })
  expect(changes.get(breakpoints[1].id)).toMatchObject({ verified: true })
  // Its condition speaks of a variable that is gone.
  const messages = [...changes.values()].map(({ message }) => message ?? '')
  expect(messages.filter(message => message.includes('"timer_ticks"'))).toHaveLength(1)
  expect(await stopped()).toMatchObject({ hitBreakpointIds: [breakpoints[1].id] })
})

test('the same configuration is the same machine from power-on; only what concerns the session changes', async () => {
  await begin({ program: TOUR })
  await client.request('restart', { arguments: { program: TOUR, memory: '64M', stopOnEntry: false, name: 'again' } })
  await client.event('terminated')
  expect(client.output.stdout).toContain('powering off')
})

test('an image that was built anew is loaded anew', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-restart-'))
  try {
    const program = join(folder, 'kernel.elf')
    copyFileSync(TOUR, program)
    await begin({ program })
    await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'sign_letter' }] })
    copyFileSync(MODES, program)
    await client.request('restart')
    expect(await stopped()).toMatchObject({ reason: 'entry' })
    await client.request('continue', { threadId: 1 })
    await stopped()
    expect(await nameOfFrame()).toMatch(/^sign_letter/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a configuration that is refused leaves the guest as it is', async () => {
  await begin({ program: TOUR })
  await client.request('stepIn', { threadId: 1, granularity: 'instruction' })
  await stopped()
  const frame = await nameOfFrame()
  for (const [change, why] of [
    [{ program: '/nonexistent/kernel' }, 'there is no such file'],
    [{ program: TOUR, memory: '64 pages' }, '"memory"'],
    [{ program: TOUR, memory: '64G' }, 'more than there is'],
  ] as const)
    await expect(client.request('restart', { arguments: change })).rejects.toThrow(why)
  expect(await nameOfFrame()).toBe(frame)
  expect(await ram()).toBe(64)
})
