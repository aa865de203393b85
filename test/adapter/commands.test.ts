/** The debug console and the requests about the machine, in the teaching kernel's system call; see `test/golden/`. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { configure, readImage } from '../../src/machine/configuration.ts'
import { Pc } from '../../src/machine/pc.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))

const COMMANDS = [
  ...['help', 'help x', 'help nothing', 'mode', 'regs', 'regs control', 'regs $cr4', 'regs nothing'],
  ...['translate $rip execute', 'translate 0x40000000 write', 'translate 0x8000000000000000', 'translate'],
  ...['maps', 'maps 0x40000000 1', 'maps phys:0', 'ept', 'ept 0x100000 1'],
  ...[
    'x/4gx $rsp',
    'x/3i $rip',
    'x/s phys:0x100000',
    'x/2wx phys:0x100000',
    'x/8xb hpa:0',
    'x/q 0',
    'x 0x8000000000',
    'x/2a $rsp',
  ],
  ...['gdt', 'ldt', 'idt', 'idt 14', 'tss', 'exits 3', 'apic', 'devices', 'devices pic', 'devices nothing'],
  ...['symbol $rip', 'symbol kernel_main', 'number', 'number + 1', '$rflags.IF', '(mode)'],
]

interface Scene {
  readonly client: DapClient
  readonly pc: Pc
}

/** The tour, stopped in its first system call. */
async function inSystemCall(): Promise<Scene> {
  const image = readImage(TOUR, 'program')
  const pc = await Pc.create(configure({ image, memory: 64 * 2 ** 20 }), {
    console: () => undefined,
    debugConsole: () => undefined,
  })
  const client = DapClient.connect(
    (input, output) =>
      void serve(input, output, async () => {
        pc.boot()
        const symbols = new SymbolBook()
        symbols.addElf(TOUR, image.bytes)
        return new Debugger(new VmTarget(pc), symbols)
      }),
  )
  await client.launch({ program: TOUR })
  await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'handle_system_call' }] })
  await client.request('configurationDone')
  await client.event('stopped')
  return { client, pc }
}

test('commands of the debug console say what the golden file says', async () => {
  const { client } = await inSystemCall()
  const lines: string[] = []
  for (const expression of COMMANDS) {
    const answer = await client
      .request<{ result: string }>('evaluate', { expression, frameId: 1, context: 'repl' })
      .then(({ result }) => result)
      .catch((error: Error) => `error: ${error.message}`)
    lines.push(`> ${expression}`, answer.replaceAll(TOUR, 'TOUR'), '')
  }
  await client.close()
  await expect(lines.join('\n')).toMatchFileSnapshot('../golden/commands.txt')
}, 60_000)

test('completion offers commands, registers, their fields and symbols, in place of what was typed', async () => {
  const { client } = await inSystemCall()
  const complete = async (text: string, column = text.length + 1) =>
    (
      await client.request<{ targets: { label: string; start: number; length: number }[] }>('completions', {
        ...{ text, column, frameId: 1 },
      })
    ).targets
  expect(await complete('tr')).toContainEqual(expect.objectContaining({ label: 'translate', start: 0, length: 2 }))
  expect(await complete('translate kernel_m')).toEqual([
    { label: 'kernel_main', type: 'function', start: 10, length: 8 },
  ])
  expect((await complete('$cr4.sma')).map(({ label }) => label)).toEqual(['SMAP'])
  expect((await complete('x/4gx $rs')).map(({ label }) => label)).toEqual(['rsi', 'rsp'])
  expect((await complete('help t')).map(({ label }) => label)).toContain('tss')
  expect(await complete('$rax', 1)).not.toEqual([])
  await client.close()
}, 60_000)

const LOOKS: readonly (readonly [string, object])[] = [
  ['threads', {}],
  ['stackTrace', { threadId: 1 }],
  ['modules', {}],
  ['loadedSources', {}],
  ['breakpointLocations', { source: { path: 'kernel.c' }, line: 1, endLine: 100 }],
  ['gotoTargets', { source: { path: 'kernel.c' }, line: 40 }],
  ['stepInTargets', { frameId: 1 }],
  ['readMemory', { memoryReference: '0x0', count: 2 ** 20 }],
  ['readMemory', { memoryReference: 'phys:0x0', count: 2 ** 24 }],
  ['readMemory', { memoryReference: 'hpa:0x0', count: 4096 }],
  ['readMemory', { memoryReference: 'phys:0xfee00000', count: 4096 }],
  ['disassemble', { memoryReference: '0x40000000', instructionOffset: -100, instructionCount: 200 }],
  ['dataBreakpointInfo', { name: 'number', frameId: 1 }],
  ['evaluate', { expression: 'number + first', frameId: 1, context: 'watch' }],
  ['evaluate', { expression: 'kernel_main', frameId: 1, context: 'hover' }],
  ['completions', { text: 'k', column: 2 }],
  ['ringside/translate', { address: '0x40000000', access: 'write' }],
  ['ringside/mappings', {}],
  ['ringside/mappings', { cr3: '0x5000', start: '0xffff800000000000' }],
  ['ringside/eptMappings', {}],
  ...['gdt', 'ldt', 'idt', 'tss'].map((table): [string, object] => ['ringside/descriptorTable', { table }]),
  ['ringside/interruptControllers', {}],
  ['ringside/exits', { recent: 100 }],
]

test('looking changes nothing: the whole machine is the same before and after every request', async () => {
  const { client, pc } = await inSystemCall()
  const whole = () => Buffer.concat(pc.save())
  const before = whole()
  for (const [command, args] of LOOKS) {
    await client.request(command, args)
    expect(whole().equals(before), `${command} ${JSON.stringify(args)}`).toBe(true)
  }
  for (const expression of COMMANDS)
    await client.request('evaluate', { expression, frameId: 1, context: 'repl' }).catch(() => undefined)
  expect(whole().equals(before), 'commands of the debug console').toBe(true)
  for (const frameId of [1, 8193]) {
    const { scopes } = await client.request<{ scopes: { variablesReference: number }[] }>('scopes', { frameId })
    const references = scopes.map(({ variablesReference }) => variablesReference)
    for (const variablesReference of references) {
      const { variables } = await client.request<{ variables: { variablesReference: number }[] }>('variables', {
        ...{ variablesReference, format: { hex: true } },
      })
      for (const child of variables)
        if (child.variablesReference > 0 && references.length < 200) references.push(child.variablesReference)
    }
  }
  expect(whole().equals(before), 'scopes and variables').toBe(true)
  await client.close()
}, 60_000)
