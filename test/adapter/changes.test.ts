/**
 * What a user changes from a client, and what the client is told of it: variables, registers, expressions, memory, the
 * next instruction, another beginning. On the kernel of `guests/modes/`, as golden files.
 */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test, vi } from 'vitest'
import { GoldenSession } from '../support/golden-session.ts'
import { GUESTS } from '../support/markers.ts'

vi.setConfig({ testTimeout: 120_000 })

const TELL_ALL = { supportsMemoryEvent: true, supportsInvalidatedEvent: true, supportsProgressReporting: true }

const refused = (answer: Promise<unknown>, why: string) => expect(answer).rejects.toThrow(why)

/** Reference of a scope of the innermost frame. */
async function scope(session: GoldenSession, wanted: string): Promise<number> {
  const { scopes } = await session.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId: 1 })
  return scopes.find(({ name }) => name === wanted)?.variablesReference ?? 0
}

test('variables, registers, their fields and expressions are set, and the guest goes on with them', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, TELL_ALL)
  await session.breakAt('user.c', 'syscall', 'answer')
  await session.start()
  await session.go()
  expect(await session.evaluate('argument')).toBe('21')

  // A local of a caller's frame is in memory, as in the innermost.
  const locals = await scope(session, 'Locals')
  await session.request('variables', { variablesReference: locals })
  await session.request('setVariable', { variablesReference: locals, name: 'argument', value: '0x40 / 2 + 1' })
  expect(await session.client.event('memory')).toMatchObject({ offset: 0, count: 8 })
  expect(await session.client.event('invalidated')).toEqual({ areas: ['stacks', 'variables'] })
  expect(await session.evaluate('argument')).toBe('33')
  await refused(
    session.request('setVariable', { variablesReference: locals, name: 'argument', value: 'nonsense' }),
    'nonsense',
  )
  await refused(session.request('setVariable', { variablesReference: locals, name: 'other', value: '1' }), 'other')

  const general = await scope(session, 'General registers')
  await session.request('setVariable', { variablesReference: general, name: 'r15', value: '0xfeed' })
  await session.request('setExpression', { expression: '$r14', value: '$r15 + 1', frameId: 1 })
  expect(await session.evaluate('$r14 == 0xfeee && $r15 == 0xfeed')).toBe('1')
  await session.request('setExpression', { expression: '$rflags.DF', value: '1', frameId: 1 })
  await session.request('setExpression', { expression: '$rflags.DF', value: '0', frameId: 1 })
  await session.request('setExpression', { expression: 'argument', value: '21', frameId: 1 })
  await refused(session.request('setExpression', { expression: 'argument + 1', value: '1', frameId: 1 }), 'no place')
  await refused(session.request('setExpression', { expression: '$r14', value: '1 << 64', frameId: 1 }), '64')

  // The kernel doubled what it was told to; the program is told something else.
  await session.go()
  await session.at('user.c', 'answer')
  await session.request('setExpression', { expression: 'answer', value: 'answer + 1', frameId: 1 })
  await session.breakAt('user.c')
  await session.breakAt('kernel.c', 'end')
  await session.go()
  expect(session.client.output.stdout).toContain("user: the kernel can't double\n")
  await session.expectGolden('set-values')
})

test('memory is written in the address space that is named, whole or as far as it goes', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, TELL_ALL)
  await session.breakAt('user.c', 'user')
  await session.start()
  const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64')
  const write = (memoryReference: string, text: string, more: object = {}) =>
    session.request('writeMemory', { memoryReference, data: base64(text), ...more })
  const text = await session.evaluate('(char *)0x40000090')
  expect(text).toContain('user: hello from ring 3')
  // The program's page is read-only for the program, and for nobody else.
  await write('0x40000090', 'USER')
  expect(await session.client.event('memory')).toEqual({ memoryReference: '0x40000090', offset: 0, count: 4 })
  const { page } = await session.request<{ page: { gpa: string } }>('ringside/translate', { address: '0x40000090' })
  await write(`phys:${page.gpa}`, 'HELLO', { offset: 6 })
  const cr3 = (await session.evaluate('$cr3')).split(' ')[0]
  await write(`cr3=${cr3}:0x40000090`, 'RING', { offset: 17 })
  await session.request('readMemory', { memoryReference: '0x40000090', count: 24 })
  await refused(write('0x40000ffe', 'over the edge'), 'nothing can be written at 0x40001000')
  await session.request('readMemory', { memoryReference: '0x40000ffc', count: 8 })
  await write('0x40000ffe', '\0\0over the edge', { allowPartial: true })
  await refused(write('hpa:0x6100000', 'x'), 'host-physical memory is not written')
  await refused(write('phys:0xfee00000', 'x'), 'no RAM')
  await refused(session.request('writeMemory', { memoryReference: '0x40000090', data: 'a' }), 'base64')
  await session.breakAt('user.c', 'double')
  await session.go()
  expect(session.client.output.stdout).toContain('USER: HELLO from RING 3\n')
  await session.expectGolden('write-memory')
})

test('the next instruction is set elsewhere, and one of several calls is stepped into', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, TELL_ALL)
  await session.breakAt('kernel.c', 'kernel')
  await session.start()
  const source = { path: `${GUESTS}modes/kernel.c` }
  const targetsOf = (line: number) =>
    session.request<{ targets: DebugProtocol.GotoTarget[] }>('gotoTargets', { source, line })
  // A line of comment has the next line's code; behind the end there is none.
  await targetsOf(1)
  await targetsOf(100_000)
  const { targets } = await targetsOf(session.line('kernel.c', 'enter-user'))
  expect(targets).toHaveLength(1)
  await session.request('goto', { threadId: 1, targetId: targets[0].id })
  expect(await session.stopped()).toMatchObject({ reason: 'goto' })
  await session.at('kernel.c', 'enter-user')
  await refused(session.request('goto', { threadId: 1, targetId: targets[0].id }), 'belongs to an earlier stop')
  // Back: what was left out is done after all.
  const back = await targetsOf(session.line('kernel.c', 'kernel'))
  await session.request('goto', { threadId: 1, targetId: back.targets[0].id })
  await session.stopped()
  await session.at('kernel.c', 'kernel')

  await session.breakAt('kernel.c', 'sign')
  await session.go()
  const calls = await session.request<{ targets: DebugProtocol.StepInTarget[] }>('stepInTargets', { frameId: 1 })
  expect(calls.targets.map(({ label }) => label)).toEqual(['sign_letter'])
  await session.request('stepIn', { threadId: 1, targetId: calls.targets[0].id })
  expect(await session.stopped()).toMatchObject({ reason: 'step' })
  expect((await session.stack(2)).map(({ name }) => name)).toEqual(['sign_letter', 'look_at_letter'])
  await refused(
    session.request('stepIn', { threadId: 1, targetId: calls.targets[0].id }),
    'this target belongs to an earlier stop',
  )
  await session.expectGolden('goto-and-targets')
})

test('a guest begins anew with the same breakpoints, whether it stands, runs or has ended', async () => {
  const session = new GoldenSession('modes')
  await session.launch({ stopOnEntry: true }, TELL_ALL)
  await session.breakAt('user.c', 'user')
  await session.start()
  await session.go()
  await session.at('user.c', 'user')
  await session.request('restart', {})
  expect(await session.stopped()).toMatchObject({ reason: 'entry' })
  await session.at('modes.asm', 'start')
  await session.go()
  await session.at('user.c', 'user')
  await session.breakAt('user.c')
  await session.request('continue', { threadId: 1 })
  await session.client.event('terminated')
  await refused(session.request('stackTrace', { threadId: 1 }), 'the guest has ended')
  await session.request('restart', {})
  expect(await session.stopped()).toMatchObject({ reason: 'entry' })
  await session.at('modes.asm', 'start')
  await session.expectGolden('restart')
})

test('loading tells its progress, and what waits for its turn can be cancelled', async () => {
  const session = new GoldenSession('modes')
  const { client } = session
  await client.request('initialize', { adapterID: 'ringside', ...TELL_ALL })
  const launched = client.request('launch', { program: `${GUESTS}prebuilt/modes.elf`, stopOnEntry: true })
  const cancelled = client.request('modules')
  const served = client.request('threads')
  // Requests are numbered from 1.
  await client.request('cancel', { requestId: 3 })
  await expect(cancelled).rejects.toThrow('the request was cancelled before its turn')
  await launched
  await served
  // Too late, and no request of that number: neither is an error.
  await client.request('cancel', { requestId: 4 })
  await client.request('cancel', { requestId: 1000 })
  await session.start()
  await session.expectGolden('progress-and-cancel')
})
