/** Steps by line and by statement, where a line has several statements. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'

const GUESTS = fileURLToPath(new URL('../../guests/', import.meta.url))
const PAGING = `${GUESTS}tour/paging.c`
const LOOP = readFileSync(PAGING, 'utf8')
  .split('\n')
  .findIndex(line => line.includes('for (int shift'))
/** From 1. */
const LOOP_LINE = LOOP + 1

/** Where the guest is after a step from the beginning of the loop's line, which begins the loop and asks for its end. */
async function afterStep(granularity: object): Promise<DebugProtocol.StackFrame[]> {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ program: `${GUESTS}prebuilt/tour.elf`, memory: '64M' })
  await client.request('setBreakpoints', { source: { path: PAGING }, breakpoints: [{ line: LOOP_LINE }] })
  await client.request('configurationDone')
  const frames: DebugProtocol.StackFrame[] = []
  for (const command of ['next', undefined]) {
    await client.event('stopped')
    const { stackFrames } = await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
      threadId: 1,
    })
    frames.push(stackFrames[0])
    if (command !== undefined) await client.request(command, { threadId: 1, ...granularity })
  }
  await client.close()
  return frames
}

test('a step by statement ends at the next one, which may be of the same line', async () => {
  const [before, after] = await afterStep({ granularity: 'statement' })
  expect(before.line).toBe(LOOP_LINE)
  expect(after.line).toBe(LOOP_LINE)
  expect(after.instructionPointerReference).not.toBe(before.instructionPointerReference)
})

test.each([{ granularity: 'line' }, {}])('a step %j leaves the line', async granularity => {
  const [before, after] = await afterStep(granularity)
  expect(before.line).toBe(LOOP_LINE)
  expect(after.line).toBe(LOOP_LINE + 1)
})
