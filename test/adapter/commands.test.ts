/** The debug console in the teaching kernel's system call; see `test/golden/commands.txt`. */

import { expect, test } from 'vitest'
import { CONSOLE_COMMANDS } from '../support/console-commands.ts'
import { GUESTS } from '../support/markers.ts'
import { inSystemCall } from '../support/stopped-guest.ts'

test('commands of the debug console say what the golden file says', async () => {
  const { client } = await inSystemCall()
  const lines: string[] = []
  for (const expression of CONSOLE_COMMANDS) {
    const answer = await client
      .request<{ result: string }>('evaluate', { expression, frameId: 1, context: 'repl' })
      .then(({ result }) => result)
      .catch((error: Error) => `error: ${error.message}`)
    lines.push(`> ${expression}`, answer.replaceAll(`${GUESTS}prebuilt/tour.elf`, 'TOUR'), '')
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
