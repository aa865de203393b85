import { expect, test, vi } from 'vitest'
import type { ProcessorsBody } from '../../src/protocol/processor-requests.ts'
import { GoldenSession } from '../support/golden-session.ts'

vi.setConfig({ testTimeout: 120_000 })

test('all processors at once: mode, registers decoded, and a frame in which they are set', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, {})
  await session.breakAt('user.c', 'syscall', 'answer')
  await session.start()
  await session.go()
  const ask = (args = {}) => session.request<ProcessorsBody>('ringside/processors', args)
  const { processors, focus, instructions } = await ask()
  expect(instructions).toBeGreaterThan(0)
  expect(focus).toBe(1)
  const [first] = processors
  expect(first).toMatchObject({ threadId: 1, mode: '64-bit', cpl: 3, symbol: expect.stringMatching(/^system_call/) })
  expect(first.groups.map(({ name }) => name)).toEqual([
    ...['CPU mode', 'General registers', 'Flags', 'Segments', 'Control registers'],
  ])
  const rare = await ask({ rare: true })
  expect(rare.processors[0].groups.map(({ name }) => name)).toContain('Debug registers')

  const { frameId } = first
  await session.request('setExpression', { expression: '$rbx', value: '0x1234', frameId })
  const general = (await ask()).processors[0].groups.find(({ name }) => name === 'General registers')
  expect(general?.registers.find(({ name }) => name === 'rbx')).toMatchObject({
    value: '0x0000000000001234',
    register: 'rbx',
  })
})
