/**
 * Requests that mean something, with one field after the other made wrong, to a guest with symbols that stands still;
 * and streams that are cut off, nested without end, or never read. Each request gets its answer, and memory is bounded.
 */

import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DapClient, DapError } from '../../scripts/dap-client.ts'
import { COMMANDS, serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'

const GUESTS = fileURLToPath(new URL('../../guests/', import.meta.url))
const SOURCE = { path: `${GUESTS}tour/kernel.c`, name: 'kernel.c' }
const PLACE = { memoryReference: '0x100000', offset: 0 }
const LIMITS = { condition: '$cpl == 0', hitCondition: '>= 2', logMessage: 'at {$rip}', mode: 'kernel' }

/** Arguments of each request that neither moves nor ends the guest. */
const SENSIBLE: Readonly<Record<string, object>> = {
  initialize: { adapterID: 'ringside', clientID: 'x', supportsMemoryEvent: true, supportsProgressReporting: true },
  launch: { program: `${GUESTS}prebuilt/tour.elf`, symbols: [{ path: 'x', slide: '0x1000' }], memory: '64M', cpus: 1 },
  cancel: { requestId: 1, progressId: 'request 1' },
  setBreakpoints: { source: SOURCE, breakpoints: [{ line: 40, column: 1, ...LIMITS }], sourceModified: false },
  setFunctionBreakpoints: { breakpoints: [{ name: 'kernel_main', ...LIMITS }] },
  setInstructionBreakpoints: { breakpoints: [{ instructionReference: '0x100000', offset: 4, ...LIMITS }] },
  dataBreakpointInfo: { name: 'timer_ticks', frameId: 1, bytes: 4, asAddress: false, variablesReference: 0 },
  setDataBreakpoints: { breakpoints: [{ dataId: '0x100000#4', accessType: 'write', ...LIMITS }] },
  setExceptionBreakpoints: {
    ...{
      filters: ['exception'],
      filterOptions: [{ filterId: 'port', condition: '0x3f8-0x3ff out if $rax', mode: 'x' }],
    },
  },
  exceptionInfo: { threadId: 1 },
  threads: {},
  stackTrace: { threadId: 1, startFrame: 0, levels: 20, format: { hex: true } },
  stepInTargets: { frameId: 1 },
  gotoTargets: { source: SOURCE, line: 50, column: 1 },
  modules: { startModule: 0, moduleCount: 10 },
  loadedSources: {},
  source: { source: SOURCE, sourceReference: 0 },
  breakpointLocations: { source: SOURCE, line: 1, column: 1, endLine: 100, endColumn: 1 },
  scopes: { frameId: 1 },
  variables: { variablesReference: 1, filter: 'named', start: 0, count: 10, format: { hex: true } },
  setVariable: { variablesReference: 1, name: 'rax', value: '1', format: { hex: true } },
  readMemory: { ...PLACE, count: 64 },
  writeMemory: { ...PLACE, data: 'AAAA', allowPartial: true },
  disassemble: { ...PLACE, instructionOffset: -4, instructionCount: 8, resolveSymbols: true },
  evaluate: { expression: 'timer_ticks + 1', frameId: 1, context: 'repl', format: { hex: true } },
  setExpression: { expression: '$rbx', value: '2', frameId: 1, format: { hex: true } },
  completions: { text: 'trans', column: 6, line: 1, frameId: 1 },
  'ringside/translate': { address: '0x100000', access: 'execute', threadId: 1 },
  'ringside/mappings': { start: '0', limit: 10, threadId: 1 },
  'ringside/eptMappings': { start: '0', limit: 10 },
  'ringside/physicalMap': {},
  'ringside/descriptorTable': { table: 'gdt', start: 0, count: 8, threadId: 1 },
  'ringside/interruptControllers': {},
  'ringside/processors': { rare: true },
  'ringside/balloon': { size: 0 },
  'ringside/exits': { recent: 10, addresses: 10, spans: 8 },
  'ringside/status': { threadId: 1 },
  'ringside/setViewStops': {
    stops: [{ kind: 'change', memory: 'phys:0x1000', length: 8, name: 'entry', filterId: 'exit', condition: 'io' }],
  },
  'ringside/timeline': { recent: 10 },
  'ringside/virtqueues': { device: 'virtio-rng0', queue: 0, start: 0, count: 4, history: 4 },
  'ringside/ring': {
    device: 'virtio-rng0',
    queue: 0,
    window: { first: 0, count: 8 },
    selected: { ring: 'descriptor table', slot: 1 },
    history: 4,
  },
  'ringside/traceVirtqueue': { device: 'virtio-rng0', queue: 0, on: true },
  'ringside/pci': { function: '00:03.0' },
  'ringside/devices': { device: 'virtio-rng0', registers: true },
  'ringside/packets': { count: 4, addresses: 4 },
  'ringside/screen': { since: '0' },
  'ringside/keyboardInput': { text: 'x', keys: [{ code: 'KeyA', action: 'press' }] },
  'ringside/consoleInput': { text: 'x' },
}
/** Requests that move or end the guest; `hostile-client.test.ts` makes them all, with whatever arguments. */
const MOVING = [
  ...['configurationDone', 'restart', 'terminate', 'disconnect', 'continue', 'pause', 'next', 'stepOut', 'stepIn'],
  'goto',
]

const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels))

const WRONG: readonly unknown[] = [
  ...[null, true, -1, 0, 0.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, '', '0', 'x', '\u0000', '../../etc/passwd'],
  ...[
    '0x',
    '0xffffffffffffffff',
    `0x${'f'.repeat(1000)}`,
    '9'.repeat(1000),
    '%s%n{}{0}',
    '\ud800',
    '('.repeat(100_000),
  ],
  ...['x'.repeat(1_000_000), '['.repeat(50_000), '*'.repeat(50_000), '-'.repeat(50_000), `${'a.'.repeat(50_000)}a`],
  ...[[], {}, [null], [[]], [{}], Array(10_000).fill({}), deep(500), { __proto__: null, toString: 1, path: {} }],
]

/** The value with each of its parts, at whatever depth, replaced by something wrong, one at a time; or left out. */
function* madeWrong(value: unknown): Generator<unknown> {
  yield* WRONG
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) for (const wrong of madeWrong(item)) yield value.with(index, wrong)
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))
      for (const wrong of madeWrong(item)) yield { ...value, [name]: wrong }
    }
  }
}

const megabytes = (): number => {
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}

test('every request is here, or said not to be', () => {
  expect(COMMANDS.filter(command => SENSIBLE[command] === undefined && !MOVING.includes(command))).toEqual([])
})

test('every field of every request may be wrong', async () => {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({
    program: `${GUESTS}prebuilt/tour.elf`,
    memory: '16M',
    stopOnEntry: true,
    rng: '',
    balloon: true,
  })
  await client.request('configurationDone')
  await client.event('stopped')
  const before = megabytes()
  let most = 0
  let made = 0
  for (const [command, sensible] of Object.entries(SENSIBLE)) {
    for (const args of madeWrong(sensible)) {
      await client.request(command, args).catch((error: unknown) => expect(error).toBeInstanceOf(DapError))
      made++
      // What was said is the client's to remember.
      client.transcript.length = 0
    }
    most = Math.max(most, megabytes() - before)
  }
  expect(made).toBeGreaterThan(3000)
  // Garbage is among it; what is kept for each request would be far more.
  expect(most).toBeLessThan(1000)
  expect(await client.request('threads')).toEqual({ threads: [{ id: 1, name: 'vCPU 0' }] })
  await client.close()
}, 300_000)

const framed = (text: string): string => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
const request = (seq: number, command: string, args = '{}'): string =>
  framed(`{"seq":${seq},"type":"request","command":"${command}","arguments":${args}}`)

test('arguments that are nested without end are refused like others', async () => {
  const depth = 1_000_000
  const [input, output] = [new PassThrough(), new PassThrough()]
  const over = serve(input, output, launch)
  let said = ''
  output.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8').slice(0, 1000)
  })
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ]) {
    const nested = `${open.repeat(depth)}1${close.repeat(depth)}`
    input.write(request(1, 'launch', nested))
    input.write(request(2, 'setBreakpoints', `{"source":${nested},"breakpoints":${nested}}`))
  }
  input.write(request(9, 'initialize'))
  input.end()
  await over
  expect(said).toContain('"request_seq":9,"command":"initialize","success":true')
})

test.each([
  ['in a header', 'Content-Le'],
  ['before a message', 'Content-Length: 100\r\n\r\n'],
  ['in a message', 'Content-Length: 100\r\n\r\n{"seq":1,'],
  ['in a character', Buffer.concat([Buffer.from('Content-Length: 9\r\n\r\n"'), Buffer.from([0xc3])])],
])('a stream that ends %s ends the conversation', async (_where, bytes) => {
  const input = new PassThrough()
  const over = serve(input, new PassThrough().resume(), launch)
  input.write(bytes)
  input.end()
  await over
})

test('a client that asks and never reads is given up when what it has not read is too much', async () => {
  const [input, output] = [new PassThrough(), new PassThrough()]
  let closed = false
  void serve(input, output, launch).then(() => {
    closed = true
  })
  const many = request(1, 'x'.repeat(1000)).repeat(1000)
  const before = megabytes()
  let most = 0
  for (let sent = 0; !closed && sent < 1000; sent++) {
    input.write(many)
    await new Promise(resolve => setImmediate(resolve))
    most = Math.max(most, output.writableLength / 2 ** 20)
  }
  expect(closed).toBe(true)
  expect(output.destroyed).toBe(true)
  expect(most).toBeLessThan(300)
  expect(megabytes() - before).toBeLessThan(1500)
}, 120_000)
