/** Whole conversations with the adapter over a target without a processor; see `test/golden/` for what is said. */

import { describe, expect, test } from 'vitest'
import { DapClient, DapError } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import type { LaunchOptions } from '../../src/debugger/launch.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { SymbolTable } from '../../src/symbols/symbol-table.ts'
import { transcriptText } from '../support/dap-transcript.ts'
import { FakeTarget } from '../support/fake-target.ts'

/** 0x10000: mov eax, 1; call 0x10020; out 0xf4, al; hlt. 0x10020: push ebp; ret. */
const MAIN = [0xb8, 1, 0, 0, 0, 0xe8, 0x16, 0, 0, 0, 0xe6, 0xf4, 0xf4]
const CALLEE = [0x55, 0xc3]

interface Adapter {
  readonly client: DapClient
  readonly target: FakeTarget
  readonly launched: LaunchOptions[]
  readonly over: Promise<void>
}

function adapter(): Adapter {
  const target = new FakeTarget([
    { rip: 0x10000n, rsp: 0x8000n },
    0x10005n,
    { rip: 0x10020n, rsp: 0x7ffcn },
    { rip: 0x10021n, rsp: 0x7ff8n },
    { rip: 0x1000an, rsp: 0x8000n },
    { rip: 0x1000cn, effect: () => target.listener?.output('serial', new TextEncoder().encode('Grüße\n')) },
  ])
  target.machine.write(0x10000, MAIN)
  target.machine.write(0x10020, CALLEE)
  const symbols = new SymbolBook()
  const functions = [
    ['main', 0x10000n],
    ['callee', 0x10020n],
  ] as const
  symbols.add(
    'fake',
    new SymbolTable(
      functions.map(([name, address]) => ({ name, address, size: 0x20n, kind: 'function', global: true })),
    ),
  )
  const launched: LaunchOptions[] = []
  let over: Promise<void> = Promise.resolve()
  const client = DapClient.connect((input, output) => {
    over = serve(input, output, async options => {
      launched.push(options)
      return new Debugger(target, symbols)
    })
  })
  return { client, target, launched, over }
}

describe('a debug session', () => {
  test('from launch to the end, as the golden file says', async () => {
    const { client, launched } = adapter()
    await client.launch({ program: 'kernel.bin', memory: '64M', stopOnEntry: true })
    expect(launched).toEqual([
      { program: 'kernel.bin', symbols: [], moduleSymbols: [], disks: [], shares: [], cmdline: '', memory: 2 ** 26 },
    ])
    await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'callee' }, { name: 'nowhere' }] })
    await client.request('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: '0x10000', offset: 10 }, { instructionReference: 'phys:0x10000' }],
    })
    await client.request('setBreakpoints', { source: { path: 'kernel.c' }, breakpoints: [{ line: 3 }] })
    await client.request('configurationDone')
    await client.event('stopped')
    await client.request('threads')
    await client.request('stackTrace', { threadId: 1 })
    await client.request('next', { threadId: 1, granularity: 'instruction' })
    await client.event('stopped')
    await client.request('continue', { threadId: 1 })
    await client.event('stopped')
    await client.request('stackTrace', { threadId: 1 })
    await client.request('stepIn', { threadId: 1, granularity: 'instruction' })
    await client.event('stopped')
    await client.request('continue', { threadId: 1 })
    await client.event('stopped')
    await client.request('continue', { threadId: 1 })
    await client.event('terminated')
    await client.request('disconnect')
    await expect(transcriptText(client)).toMatchFileSnapshot('../golden/session.txt')
  })

  test("sends the guest's serial console as events of its own to a client that has a terminal for it", async () => {
    const { client } = adapter()
    await client.launch({ program: 'kernel.bin', console: 'integratedTerminal' })
    await client.request('configurationDone')
    expect(await client.event('ringside/consoleOutput')).toEqual({ text: 'Grüße\n' })
    await client.event('terminated')
    expect(client.output.stdout).toBeUndefined()
    await client.close()
  })

  test('makes VS Code turn to disassembly where there is no source', async () => {
    const { client } = adapter()
    await client.request('initialize', { adapterID: 'ringside', clientID: 'vscode' })
    await client.request('launch', { program: 'kernel.bin', stopOnEntry: true })
    await client.request('configurationDone')
    expect(await client.event('stopped')).toMatchObject({
      reason: 'instruction breakpoint',
      description: 'Stopped before the first instruction',
    })
    await client.close()
  })

  test('shows registers, memory, code and translations, as the golden file says', async () => {
    const { client } = adapter()
    await client.launch({ program: 'kernel.bin', stopOnEntry: true })
    await client.request('configurationDone')
    await client.event('stopped')
    const { scopes } = await client.request<{ scopes: { variablesReference: number }[] }>('scopes', { frameId: 1 })
    for (const { variablesReference } of scopes) await client.request('variables', { variablesReference })
    // The fields of CS, the first of the segments.
    await client.request('variables', { variablesReference: scopes.length + 1 })
    await client.request('readMemory', { memoryReference: '0x10000', count: 4 })
    await client.request('readMemory', { memoryReference: 'phys:0x10000', offset: 5, count: 1 })
    await client.request('readMemory', { memoryReference: 'hpa:0xffffe', count: 8 })
    await client.request('disassemble', { memoryReference: '0x10005', instructionOffset: -1, instructionCount: 3 })
    await client.request('evaluate', { expression: '$eip + 0x20', frameId: 1, context: 'watch' })
    await client.request('evaluate', { expression: '*(u8*)main', frameId: 1, context: 'watch' })
    await client.request('ringside/translate', { address: '0x10005', access: 'execute' })
    await client.request('ringside/exits', { recent: 5 })
    await expect(transcriptText(client)).toMatchFileSnapshot('../golden/inspection.txt')
    await client.close()
  })

  test('answers what it can not do with a message, as the golden file says', async () => {
    const { client, target } = adapter()
    const failing: readonly (readonly [string, object?])[] = [
      ['threads'],
      ['launch', { program: 'kernel.bin', cpus: 'many' }],
      ['stepBack', { threadId: 1 }],
    ]
    await client.request('initialize', { adapterID: 'ringside' })
    for (const [command, args] of failing) await expect(client.request(command, args)).rejects.toThrow(DapError)
    await client.request('launch', { program: 'kernel.bin', stopOnEntry: true })
    await client.event('initialized')
    await client.request('configurationDone')
    await client.event('stopped')
    const afterLaunch: readonly (readonly [string, object?])[] = [
      ['launch', { program: 'kernel.bin' }],
      ['setInstructionBreakpoints', { breakpoints: [{ instructionReference: 'there' }] }],
      ['setFunctionBreakpoints', { breakpoints: [{}] }],
      ['stackTrace', { threadId: 7 }],
      ['variables', { variablesReference: 99 }],
      ['readMemory', { memoryReference: 'gpa:0', count: 1 }],
      ['readMemory', { memoryReference: '0x0', count: 1e9 }],
      ['disassemble', { memoryReference: '0x0', instructionCount: -1 }],
      ['evaluate', { expression: '$foo', frameId: 1 }],
      ['evaluate', { expression: 'main +', frameId: 1 }],
      ['ringside/translate', { address: 'phys:0x1000' }],
      ['ringside/translate', { address: '0x1000', access: 'look' }],
      ['ringside/exits', { recent: -1 }],
      ['ringside/consoleInput', {}],
    ]
    for (const [command, args] of afterLaunch) await expect(client.request(command, args)).rejects.toThrow(DapError)
    target.atEnd = 'loop'
    await client.request('continue', { threadId: 1 })
    await expect(client.request('stackTrace', { threadId: 1 })).rejects.toThrow('pause it first')
    await client.request('pause', { threadId: 1 })
    await client.event('stopped')
    await expect(transcriptText(client)).toMatchFileSnapshot('../golden/errors.txt')
    await client.close()
  })

  test('without stopOnEntry starts when the client is ready', async () => {
    const { client } = adapter()
    await client.launch({ program: 'kernel.bin' })
    await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'callee' }] })
    await client.request('configurationDone')
    expect(await client.event('stopped')).toMatchObject({ reason: 'breakpoint' })
    await client.close()
  })

  test('variables of an earlier stop are not those of the next', async () => {
    const { client } = adapter()
    await client.launch({ program: 'kernel.bin', stopOnEntry: true })
    await client.request('configurationDone')
    await client.event('stopped')
    const { scopes } = await client.request<{ scopes: { variablesReference: number }[] }>('scopes', { frameId: 1 })
    await client.request('stepIn', { threadId: 1 })
    await client.event('stopped')
    const stale = client.request('variables', { variablesReference: scopes[0].variablesReference })
    await expect(stale).rejects.toThrow('these variables belong to an earlier stop')
    await client.close()
  })

  test('types at the console of the guest', async () => {
    const { client, target } = adapter()
    await client.launch({ program: 'kernel.bin', stopOnEntry: true })
    await client.request('ringside/consoleInput', { text: 'ls\n' })
    expect(target.typed).toEqual(['ls\n'])
    await client.close()
  })

  test('ends the guest when the client goes without a word', async () => {
    const { client, target, over } = adapter()
    await client.launch({ program: 'kernel.bin', stopOnEntry: true })
    await client.close()
    await over
    expect(target.state.kind).toBe('ended')
  })

  test('ends the guest on request', async () => {
    const { client, target } = adapter()
    await client.launch({ program: 'kernel.bin', stopOnEntry: true })
    await client.request('terminate')
    await client.event('terminated')
    expect(target.state.kind).toBe('ended')
    await client.close()
  })
})
