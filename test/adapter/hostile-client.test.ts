import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { DapClient, DapError } from '../../scripts/dap-client.ts'
import { COMMANDS, serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { FakeTarget } from '../support/fake-target.ts'

const launcher = async () => new Debugger(new FakeTarget([0x1000n, 0x1001n]), new SymbolBook())

const ENDING = ['terminate', 'disconnect']
const REQUESTS = [...COMMANDS.filter(command => !ENDING.includes(command)), 'constructor', '__proto__']

const ARGUMENTS: readonly unknown[] = [
  undefined,
  null,
  0,
  'x',
  [],
  {},
  { program: {} },
  { program: 'p', symbols: [null] },
  { breakpoints: 5 },
  { breakpoints: [null] },
  { breakpoints: [{ name: '('.repeat(10_000) }] },
  { breakpoints: [{ instructionReference: '0xffffffffffffffff', offset: 2 ** 40 }] },
  { threadId: 1e308 },
  { threadId: -1 },
  { frameId: 2 ** 31 },
  { variablesReference: 1.5 },
  { memoryReference: '0xffffffffffffffff', count: 16 },
  { memoryReference: 'hpa:0xffffffffffffffff', count: 16 },
  { memoryReference: 'phys:0x1fffffffffffff', count: 16, offset: 1 },
  { memoryReference: '0xfffffffffffffff0', instructionCount: 100, instructionOffset: -50 },
  { memoryReference: '0x0', instructionCount: 100, instructionOffset: -65536 },
  { memoryReference: 'cr3=0xffffffffffffffff:0xffff800000000000', count: 8, instructionCount: 2 },
  { expression: `${'1+'.repeat(50_000)}1` },
  { expression: '\u0000' },
  { address: 'cr3=0xffffffffffffffff:0x7fffffffffff' },
  { text: 'x'.repeat(100_000) },
  { text: 'x'.repeat(2_000_000), column: 2 },
  { text: '$', column: -1 },
  { source: null },
  { source: { path: 5 }, line: 1 },
  { source: { path: '/etc/passwd' }, line: 1, endLine: 2 ** 31 - 1, breakpoints: [{ line: -1 }, { line: {} }] },
  { source: { path: 'x'.repeat(100_000) }, breakpoints: [{ line: 1, condition: '(('.repeat(5000), mode: 'none' }] },
  { source: { path: 'x' }, breakpoints: [{ line: 1, hitCondition: 'often', logMessage: '{'.repeat(1000) }] },
  { filters: ['nothing'] },
  { filters: ['exception'], filterOptions: [{ filterId: 'port', condition: '0x10000-5, sideways if ((' }] },
  {
    filterOptions: [
      { filterId: 'exit', condition: 'soon' },
      { filterId: 'cr', condition: 'cr9' },
    ],
  },
  { breakpoints: [{ dataId: '0x1000#0', accessType: 'write' }] },
  { breakpoints: [{ dataId: 'hpa:0x1000#9999999', accessType: 'execute' }] },
  { breakpoints: [{ dataId: '#' }] },
  { name: '*(u64*)0', frameId: 1, asAddress: true, bytes: 2 ** 30 },
  { name: '__proto__', variablesReference: 1, value: '1', expression: '$rax' },
  { expression: '$rip', value: '0x'.padEnd(10_000, 'f'), frameId: 1 },
  { expression: 'x/99999999gx 0', context: 'repl', frameId: 1 },
  { expression: 'translate translate translate translate', context: 'repl' },
  { expression: `maps ${'9'.repeat(500)}`, context: 'repl' },
  { memoryReference: '0x1000', data: '!!!' },
  { memoryReference: 'phys:0xfffffffffffff000', data: 'AAAA', allowPartial: true },
  { start: '-1', limit: 0 },
  { start: 'phys:0', limit: 4096 },
  { table: 'pdt', start: 9999 },
  { threadId: 1, targetId: 99, granularity: 'year' },
  { requestId: 5, progressId: 'x' },
]

describe('a client that sends nonsense', () => {
  test('gets an answer to every request, and the adapter lives on', async () => {
    const client = DapClient.connect((input, output) => void serve(input, output, launcher))
    await client.launch({ program: 'p' })
    for (const command of REQUESTS)
      for (const args of ARGUMENTS) {
        const answer = client.request(command, args)
        await answer.catch((error: unknown) => expect(error).toBeInstanceOf(DapError))
      }
    expect(await client.request('threads')).toEqual({ threads: [{ id: 1, name: 'vCPU 0' }] })
    await client.close()
  })

  test('is told of a message that is no JSON', async () => {
    const input = new PassThrough()
    const client = DapClient.connect((fromClient, output) => {
      fromClient.pipe(input)
      void serve(input, output, launcher)
    })
    input.write('Content-Length: 5\r\n\r\n{"a":')
    await client.launch({ program: 'p' })
    expect(client.output.important).toMatch(/^A message that is no DAP was ignored: .*JSON/)
    await client.close()
  })
})
