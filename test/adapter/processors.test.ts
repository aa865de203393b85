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

type Register = ProcessorsBody['processors'][number]['groups'][number]['registers'][number]

test('every register and field that can be edited takes its own value, written as the view does', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, {})
  await session.breakAt('kernel.c', 'kernel')
  await session.start()
  const { processors } = await session.request<ProcessorsBody>('ringside/processors', {})
  const { groups, frameId } = processors[0]
  const all = (registers: readonly Register[]): Register[] =>
    registers.flatMap(register => [register, ...all(register.children ?? [])])
  const editable = groups.flatMap(({ registers }) => all(registers)).filter(({ register }) => register !== undefined)
  const names = editable.map(({ register, field }) => (field === undefined ? `$${register}` : `$${register}.${field}`))
  expect(names).toEqual(expect.arrayContaining(['$rax', '$rip', '$cr3', '$cr0.WP', '$rflags.IF']))
  const before = await session.request<ProcessorsBody>('ringside/processors', {})
  const failed: string[] = []
  for (const [index, expression] of names.entries()) {
    const [value] = editable[index].value.split(' ')
    await session.request('setExpression', { expression, value, frameId }).catch(error => {
      failed.push(`${expression} = ${value}: ${error}`)
    })
  }
  expect(failed).toEqual([])
  expect(await session.request<ProcessorsBody>('ringside/processors', {})).toEqual(before)
})

test('a value that a register can not have is refused with why, and nothing has changed', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, {})
  await session.breakAt('kernel.c', 'kernel')
  await session.start()
  const ask = () => session.request<ProcessorsBody>('ringside/processors', {})
  const before = await ask()
  const { frameId } = before.processors[0]
  const set = (expression: string, value: string) => session.request('setExpression', { expression, value, frameId })
  for (const [expression, value, why] of [
    ['$rflags.IF', '2', /IF of rflags has room for 0 to 1/],
    ['$rflags.IOPL', '4', /room for 0 to 3/],
    ['$cr3.BASE', '0x10000000000000', /room for/],
    ['$rax', 'nothing', /nothing/],
    ['$rax', '1 +', /expected|ends/],
    ['$cs.base', '0', /no place that can be set/],
  ] as const)
    await expect(set(expression, value), `${expression} = ${value}`).rejects.toThrow(why)
  expect(await ask()).toEqual(before)
})
