/**
 * The teaching kernel by its source: breakpoints of every kind, steps by line, stacks, variables, assignments, events.
 * What is said is in `test/golden/source-level.txt`.
 */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'
import { transcriptText } from '../support/dap-transcript.ts'
import { findMarker, GUESTS } from '../support/markers.ts'

const TOUR = `${GUESTS}prebuilt/tour.elf`
const KERNEL = `${GUESTS}tour/kernel.c`
const PAGING = `${GUESTS}tour/paging.c`

test('a kernel is debugged by its source, as the golden file says', async () => {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  const stopped = () => client.event<DebugProtocol.StoppedEvent['body']>('stopped')
  const variablesOf = async (frameId: number, name: string) => {
    const { scopes } = await client.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId })
    const variablesReference = scopes.find(scope => scope.name === name)?.variablesReference
    return (await client.request<{ variables: DebugProtocol.Variable[] }>('variables', { variablesReference }))
      .variables
  }
  await client.launch({ program: TOUR, memory: '64M' })
  const line = findMarker('tour/kernel.c', 'page-tables')
  await client.request('setBreakpoints', { source: { path: KERNEL }, breakpoints: [{ line }, { line: 100_000 }] })
  await client.request('configurationDone')
  expect(await stopped()).toMatchObject({ reason: 'breakpoint' })
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 3 })
  await client.request('stepInTargets', { frameId: 1 })
  await client.request('next', { threadId: 1 })
  expect(await stopped()).toMatchObject({ reason: 'step' })
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 1 })

  // Stopped in the second level of the tables, by a condition; variables are looked at and set.
  await client.request('setBreakpoints', { source: { path: KERNEL }, breakpoints: [] })
  await client.request('setBreakpoints', {
    source: { path: PAGING },
    breakpoints: [{ line: findMarker('tour/paging.c', 'upper-levels'), condition: 'shift == 30' }],
  })
  await client.request('continue', { threadId: 1 })
  await stopped()
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 4 })
  const locals = await variablesOf(1, 'Locals')
  const entry = locals.find(({ name }) => name === 'entry')
  await client.request('variables', { variablesReference: entry?.variablesReference, format: { hex: true } })
  await client.request('evaluate', { expression: '*entry == 0 ? -1 : shift * 2', frameId: 1, context: 'watch' })
  await client.request('evaluate', { expression: 'next_frame', frameId: 1, context: 'hover' })
  await client.request('evaluate', { expression: 'rights = rights | 0x200', frameId: 1, context: 'repl' })
  await client.request('setExpression', { expression: 'rights', value: 'rights & ~0x200', frameId: 1 })
  await client.request('evaluate', { expression: '$cr3', frameId: 8193, context: 'watch' })
  const info = await client.request<{ dataId: string }>('dataBreakpointInfo', { name: '*entry', frameId: 1 })
  await client.request('setDataBreakpoints', { breakpoints: [{ dataId: info.dataId, accessType: 'write' }] })
  await client.request('setBreakpoints', { source: { path: PAGING }, breakpoints: [] })
  await client.request('continue', { threadId: 1 })
  expect(await stopped()).toMatchObject({ reason: 'data breakpoint' })
  await client.request('setDataBreakpoints', { breakpoints: [] })

  // A page fault of the user's program, explained.
  await client.request('setExceptionBreakpoints', {
    filters: [],
    filterOptions: [{ filterId: 'exception', condition: '#PF if $cpl == 3' }],
  })
  await client.request('continue', { threadId: 1 })
  expect(await stopped()).toMatchObject({ reason: 'exception', text: expect.stringContaining('#PF') })
  await client.request('exceptionInfo', { threadId: 1 })
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 2 })
  await client.request('setExceptionBreakpoints', { filters: [] })

  // What the kernel does about it, seen from a log message and a hit count.
  await client.request('setFunctionBreakpoints', {
    breakpoints: [
      { name: 'give_page', logMessage: 'page {$rdi} at CPL {$cpl}' },
      { name: 'handle_system_call', hitCondition: '== 1', condition: '$cpl == 0' },
    ],
  })
  await client.request('continue', { threadId: 1 })
  expect(await stopped()).toMatchObject({ reason: 'breakpoint' })
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 4 })
  await client.request('stepOut', { threadId: 1 })
  await stopped()
  await client.request('stackTrace', { threadId: 1, startFrame: 0, levels: 1 })

  const text = transcriptText(client, { [GUESTS]: 'GUESTS/' })
  await client.request('disconnect')
  await expect(text.slice(text.indexOf('> launch'))).toMatchFileSnapshot('../golden/source-level.txt')
}, 120_000)
