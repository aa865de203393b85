/** Looking changes nothing: the whole machine is the same before and after every request that does not mean to change it. */

import { expect, test, vi } from 'vitest'
import { COMMANDS } from '../../src/adapter/server.ts'
import { CONSOLE_COMMANDS } from '../support/console-commands.ts'
import { GUESTS } from '../support/markers.ts'
import { inSystemCall, type StoppedGuest, stopGuest } from '../support/stopped-guest.ts'

vi.setConfig({ testTimeout: 120_000 })

/** Where the guest is to go on, end, or be another. */
const CHANGES = [
  ...['initialize', 'launch', 'configurationDone', 'restart', 'terminate', 'disconnect'],
  ...['continue', 'pause', 'next', 'stepIn', 'stepOut', 'goto'],
  ...['setVariable', 'setExpression', 'writeMemory'],
  ...['ringside/consoleInput', 'ringside/keyboardInput', 'ringside/balloon'],
]

/** @param path of a source of the guest */
const looks = (path: string): readonly (readonly [command: string, args: object])[] => [
  ['threads', {}],
  ['stackTrace', { threadId: 1 }],
  ['modules', {}],
  ['loadedSources', {}],
  ['source', { source: { path }, sourceReference: 0 }],
  ['breakpointLocations', { source: { path }, line: 1, endLine: 100 }],
  ['gotoTargets', { source: { path }, line: 40 }],
  ['stepInTargets', { frameId: 1 }],
  ['readMemory', { memoryReference: '0x0', count: 2 ** 20 }],
  ['readMemory', { memoryReference: 'phys:0x0', count: 2 ** 24 }],
  ['readMemory', { memoryReference: 'hpa:0x0', count: 4096 }],
  ['readMemory', { memoryReference: 'phys:0xfee00000', count: 4096 }],
  ['disassemble', { memoryReference: '0x40000000', instructionOffset: -100, instructionCount: 200 }],
  ['evaluate', { expression: '$rip', frameId: 1, context: 'watch' }],
  ['evaluate', { expression: '*(u64 *)$rsp + 1', frameId: 1, context: 'variables' }],
  ['evaluate', { expression: 'kernel_main', frameId: 1, context: 'hover' }],
  ['completions', { text: 'k', column: 2 }],
  ['cancel', { requestId: 1 }],
  ['dataBreakpointInfo', { name: '0x100000', asAddress: true, bytes: 8 }],
  // Breakpoints patch no byte of the guest.
  ['setBreakpoints', { source: { path }, breakpoints: [{ line: 40 }, { line: 50, condition: '$rax == 1' }] }],
  ['setFunctionBreakpoints', { breakpoints: [{ name: 'print' }, { name: 'nowhere' }] }],
  ['setInstructionBreakpoints', { breakpoints: [{ instructionReference: 'phys:0x100000' }] }],
  ['setDataBreakpoints', { breakpoints: [{ dataId: '0x100000#8', accessType: 'readWrite' }] }],
  ['setExceptionBreakpoints', { filters: ['exception', 'cr', 'port', 'transition'] }],
  [
    'ringside/setViewStops',
    {
      stops: [
        { kind: 'event', filterId: 'exit', condition: 'io' },
        { kind: 'change', memory: 'phys:0x100000', length: 8, name: 'entry' },
        { kind: 'change', memory: 'hpa:0x6200000', length: 8, name: 'entry of EPT' },
        { kind: 'code', address: '0x100000', name: 'code' },
      ],
    },
  ],
  ['ringside/translate', { address: '0x40000000', access: 'write' }],
  ['ringside/translate', { address: 'cr3=0x5000:0xffff800000000000' }],
  ['ringside/mappings', {}],
  ['ringside/mappings', { cr3: '0x5000', start: '0xffff800000000000' }],
  ['ringside/eptMappings', {}],
  ['ringside/physicalMap', {}],
  ...['gdt', 'ldt', 'idt', 'tss'].map((table): [string, object] => ['ringside/descriptorTable', { table }]),
  ['ringside/interruptControllers', {}],
  ['ringside/processors', { rare: true }],
  ['ringside/status', {}],
  ['ringside/exits', { recent: 100, spans: 24 }],
  ['ringside/timeline', {}],
  ['ringside/virtqueues', {}],
  ['ringside/ring', {}],
  ['ringside/packets', {}],
  ['ringside/pci', {}],
  ['ringside/devices', {}],
  ['ringside/screen', {}],
]

/** Of virtqueues, where there are some: `virtqueue.test.ts`. */
const ELSEWHERE = ['ringside/traceVirtqueue']

/** Served below with what they need: references of scopes, a stop at an event. */
const LOOKS_OF_THEIR_OWN = ['scopes', 'variables', 'exceptionInfo']

test('every request that there is looks, or is known to change something', () => {
  const known = [...CHANGES, ...looks('').map(([command]) => command), ...LOOKS_OF_THEIR_OWN, ...ELSEWHERE]
  expect([...new Set(known)].sort()).toEqual([...COMMANDS].sort())
})

async function lookEverywhere({ client, pc }: StoppedGuest, name: string): Promise<void> {
  const whole = (): Buffer => Buffer.concat(pc.save())
  const before = whole()
  const unchanged = (after: string): void => expect(whole().equals(before), after).toBe(true)
  for (const [command, args] of looks(`${GUESTS}${name}/kernel.c`)) {
    await client.request(command, args)
    unchanged(`${command} ${JSON.stringify(args)}`)
  }
  for (const expression of CONSOLE_COMMANDS)
    await client.request('evaluate', { expression, frameId: 1, context: 'repl' }).catch(() => undefined)
  unchanged('commands of the debug console')
  const { stackFrames } = await client.request<{ stackFrames: { id: number }[] }>('stackTrace', { threadId: 1 })
  for (const { id: frameId } of stackFrames) {
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
  unchanged('scopes and variables')
}

test('nothing has changed before the first instruction, without paging and with memory that was never touched', async () => {
  const guest = await stopGuest('modes', ['setFunctionBreakpoints', { breakpoints: [{ name: 'start' }] }])
  await lookEverywhere(guest, 'modes')
  await guest.client.close()
})

test('nothing has changed in a system call', async () => {
  const guest = await inSystemCall()
  await lookEverywhere(guest, 'tour')
  await guest.client.close()
})

test('nothing has changed before a page fault, which waits for its delivery', async () => {
  const filterOptions = [{ filterId: 'exception', condition: '#PF' }]
  const guest = await stopGuest('modes', ['setExceptionBreakpoints', { filters: [], filterOptions }])
  const { client, pc } = guest
  const before = Buffer.concat(pc.save())
  expect(await client.request('exceptionInfo', { threadId: 1 })).toMatchObject({ exceptionId: '#PF' })
  expect(Buffer.concat(pc.save()).equals(before)).toBe(true)
  await lookEverywhere(guest, 'modes')
  await client.close()
})
