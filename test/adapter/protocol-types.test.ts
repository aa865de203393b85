/** Every message of the golden conversations, and of one in which every request is made, is one of the protocol. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { COMMANDS, serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import { argumentsType, bodyType, type TypedText, typedMessage, typeErrors } from '../support/protocol-check.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const TOUR = join(ROOT, 'guests/prebuilt/tour.elf')
const KERNEL = join(ROOT, 'guests/tour/kernel.c')

/** About a queue that a driver has set up; the guest has no drivers. */
const UNSERVED = 'ringside/traceVirtqueue'
/** A request that nobody knows. */
const NONSENSE = 'nonsense'

/** The arguments and bodies of a golden conversation, but for the arguments of requests that were refused. */
function partsOf(text: string): TypedText[] {
  const parts = text.split(/^(?=[<>] )/m)
  const answer = (command: string, after: number): string | undefined =>
    parts.slice(after).find(part => part.startsWith(`< ${command} `))
  return parts.flatMap((part, index): TypedText[] => {
    const [head, ...rest] = part.split('\n')
    const json = rest.join('\n').trim()
    const match = /^(?:> (?<command>\S+)|< event (?<event>\S+)|< (?<done>\S+) done|< \S+ (?<failed>FAILED))$/.exec(head)
    if (match === null || json === '') return []
    const { command, event, done } = match.groups ?? {}
    if (command !== undefined && answer(command, index)?.startsWith(`< ${command} FAILED`)) return []
    if (command !== undefined) return [{ type: argumentsType(command), json }]
    if (event !== undefined) return [{ type: bodyType('event', event), json }]
    if (done !== undefined) return [{ type: bodyType('response', done), json }]
    return [{ type: "DebugProtocol.ErrorResponse['body']", json }]
  })
}

/** The transcript of a session with the teaching kernel in which every request succeeds that there is. */
async function wholeConversation(): Promise<DapClient['transcript']> {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  const source = { path: KERNEL }
  const text = readFileSync(KERNEL, 'utf8')
  const line = text.slice(0, text.indexOf('page_table_root()')).split('\n').length
  const stop = async (command: string, args: object = {}): Promise<void> => {
    await client.request(command, { threadId: 1, ...args })
    await client.event('stopped')
  }
  const own: readonly (readonly [string, object])[] = [
    ['ringside/translate', { address: '0x101000', access: 'execute' }],
    ['ringside/mappings', { limit: 5 }],
    ['ringside/eptMappings', { limit: 5 }],
    ['ringside/physicalMap', {}],
    ...['gdt', 'ldt', 'idt', 'tss'].map(table => ['ringside/descriptorTable', { table }] as const),
    ['ringside/interruptControllers', {}],
    ['ringside/processors', { rare: true }],
    ['ringside/exits', { recent: 5, spans: 4 }],
    ['ringside/status', {}],
    ['ringside/setViewStops', { stops: [] }],
    ['ringside/timeline', {}],
    ['ringside/consoleInput', { text: 'x' }],
    ['ringside/balloon', { size: 0 }],
    ['ringside/virtqueues', {}],
    ['ringside/ring', {}],
    ['ringside/packets', { count: 4 }],
    ['ringside/pci', {}],
    ['ringside/devices', {}],
    ['ringside/screen', {}],
    ['ringside/keyboardInput', { text: 'x' }],
  ]
  await client.request('initialize', {
    ...{ adapterID: 'ringside', clientID: 'test', linesStartAt1: true, columnsStartAt1: true, pathFormat: 'path' },
    ...{ supportsInvalidatedEvent: true, supportsMemoryEvent: true, supportsProgressReporting: true },
  })
  await client.request('launch', {
    program: TOUR,
    memory: '64M',
    stopOnEntry: true,
    rng: '',
    balloon: true,
    net: 'user',
  })
  await client.request('breakpointLocations', { source, line: 1, endLine: 1000 })
  await client.request('setBreakpoints', { source, breakpoints: [{ line }, { line: 100_000 }] })
  await client.request('setExceptionBreakpoints', {
    filters: [],
    filterOptions: [{ filterId: 'port', condition: '1' }],
  })
  await client.request('setInstructionBreakpoints', { breakpoints: [{ instructionReference: '0x0' }] })
  await client.request('configurationDone')
  await client.event('stopped')
  await stop('continue')
  await client.request('threads')
  await client.request('modules', {})
  const { sources } = await client.request<{ sources: DebugProtocol.Source[] }>('loadedSources', {})
  await client.request('source', { source: sources[0], sourceReference: 0 })
  await client.request('stackTrace', { threadId: 1 })
  const { targets } = await client.request<{ targets: DebugProtocol.StepInTarget[] }>('stepInTargets', { frameId: 1 })
  await client.request('disassemble', { memoryReference: '0x100000', instructionCount: 8, resolveSymbols: true })
  const { memoryReference } = await client.request<{ memoryReference: string }>('evaluate', {
    ...{ expression: 'next_frame', frameId: 1, context: 'watch', format: { hex: true } },
  })
  const { data } = await client.request<{ data: string }>('readMemory', { memoryReference, count: 8 })
  await client.request('writeMemory', { memoryReference, data })
  await client.request('evaluate', { expression: 'help', frameId: 1, context: 'repl' })
  await client.request('completions', { text: 'tr', column: 3, frameId: 1 })
  const { scopes } = await client.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId: 1 })
  for (const { variablesReference } of scopes) await client.request('variables', { variablesReference, start: 0 })
  const general = scopes.find(({ name }) => name === 'General registers')?.variablesReference
  await client.request('setVariable', { variablesReference: general, name: 'r15', value: '1' })
  await client.request('setExpression', { expression: '$r15', value: '2', frameId: 1 })
  for (const [command, args] of own) await client.request(command, args)
  await client.request(UNSERVED, { device: 'virtio-rng0', queue: 0 }).catch(() => undefined)
  await stop('stepIn', { targetId: targets[0].id })
  await stop('stepOut')
  await stop('next')
  await stop('stepIn', { granularity: 'instruction' })
  const places = await client.request<{ targets: DebugProtocol.GotoTarget[] }>('gotoTargets', { source, line })
  await stop('goto', { targetId: places.targets[0].id })
  const { dataId } = await client.request<{ dataId: string }>('dataBreakpointInfo', { name: 'timer_ticks', frameId: 1 })
  await client.request('setDataBreakpoints', { breakpoints: [{ dataId, accessType: 'write' }] })
  await stop('continue')
  await client.request('setDataBreakpoints', { breakpoints: [] })
  await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'power_off', condition: '$cpl == 0' }] })
  await client.request('setExceptionBreakpoints', { filters: ['exception'] })
  await stop('continue')
  await client.request('exceptionInfo', { threadId: 1 })
  await client.request('restart', {})
  await client.request('pause', { threadId: 1 })
  await client.request('cancel', { requestId: 1 })
  await client.request(NONSENSE).catch(() => undefined)
  await client.request('terminate', {})
  await client.event('terminated')
  await client.request('disconnect', {})
  return client.transcript
}

test('every message of the golden conversations has the type that the protocol gives it', () => {
  const parts = globSync('test/golden/*.txt', { cwd: ROOT, exclude: ['**/commands.txt'] }).flatMap(file =>
    partsOf(readFileSync(join(ROOT, file), 'utf8')),
  )
  expect(parts.length).toBeGreaterThan(200)
  expect(typeErrors(parts)).toBe('')
}, 60_000)

test('every request, its response and what comes of it have the types that the protocol gives them', async () => {
  const transcript = await wholeConversation()
  const done = new Set(transcript.flatMap(each => ('request_seq' in each && each.success ? [each.command] : [])))
  expect(COMMANDS.filter(command => !done.has(command) && command !== UNSERVED)).toEqual([])
  const seen = new Set(transcript.flatMap(each => ('event' in each ? [each.event] : [])))
  const events = [
    'initialized',
    'invalidated',
    'memory',
    'output',
    'progressEnd',
    'progressStart',
    'stopped',
    'terminated',
  ]
  expect([...seen].sort()).toEqual(events)
  const known = transcript.filter(each => each.type !== 'request' || !('command' in each) || each.command !== NONSENSE)
  expect(typeErrors(known.map(typedMessage))).toBe('')
}, 120_000)

test('a message that is not of the protocol is found out', () => {
  const wrong = [
    { seq: 1, type: 'event', event: 'stopped', body: { reason: 'step', thread: 1 } },
    { seq: 2, type: 'response', request_seq: 1, success: true, command: 'threads', body: { threads: [{ id: 1 }] } },
    { seq: 3, type: 'response', request_seq: 1, success: false, command: 'threads', body: 'no' },
    { seq: 4, type: 'request', command: 'next', arguments: {} },
  ]
  const errors = typeErrors(wrong.map(typedMessage))
  const lines = new Set([...errors.matchAll(/messages\.ts\((\d+),/g)].map(([, line]) => line))
  expect(lines.size, errors).toBe(wrong.length)
}, 60_000)
