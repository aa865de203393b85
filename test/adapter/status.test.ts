import { expect, test, vi } from 'vitest'
import type { StatusBody } from '../../src/protocol/status-request.ts'
import { GoldenSession } from '../support/golden-session.ts'

vi.setConfig({ testTimeout: 120_000 })

test('how far the guest is, at a stop and while it runs; a kernel that is no Linux has no processes', async () => {
  const session = new GoldenSession('tour')
  await session.launch({ stopOnEntry: true })
  await session.start()
  const ask = (args = {}) => session.request<StatusBody>('ringside/status', args)
  expect(await ask()).toEqual({ instructions: 0, running: false })
  expect(await ask({ threadId: 1 })).toEqual({ instructions: 0, running: false })
  await expect(ask({ threadId: 2 })).rejects.toThrow(/no vCPU 1/)
  await expect(ask({ threadId: 0 })).rejects.toThrow(/threadId/)
  await session.request('setFunctionBreakpoints', { breakpoints: [{ name: 'give_page' }] })
  await session.request('continue', { threadId: 1 })
  expect((await ask()).running).toBe(true)
  await session.stopped()
  const { instructions, running } = await ask()
  expect(running).toBe(false)
  expect(instructions).toBeGreaterThan(1_000_000)
  await session.client.close()
})
