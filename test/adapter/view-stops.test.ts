/** Stops that views set: at a page-table entry, an entry of EPT, an event; beside the breakpoints of the client. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { TranslateBody } from '../../src/protocol/custom-requests.ts'
import { parseSetViewStopsArguments, type SetViewStopsBody, type ViewStop } from '../../src/protocol/view-stops.ts'
import { GoldenSession } from '../support/golden-session.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const HEAP = '0x40010000'
let session: GoldenSession

/** The tour, where it is about to give its program a page. */
beforeEach(async () => {
  session = new GoldenSession('tour')
  await session.launch()
  await session.request('setFunctionBreakpoints', { breakpoints: [{ name: 'give_page' }] })
  await session.start()
})
afterEach(() => session.client.close())

const setStops = async (...stops: ViewStop[]): Promise<SetViewStopsBody['stops']> =>
  (await session.request<SetViewStopsBody>('ringside/setViewStops', { stops })).stops
const translate = (address: string): Promise<TranslateBody> =>
  session.request<TranslateBody>('ringside/translate', { address, access: 'write' })

test('a page-table entry that changes stops the guest, by its name, with what it was and is', async () => {
  const entry = (await translate(HEAP)).levels.at(-1)
  expect(entry).toMatchObject({ level: 'PT', entry: '0x0' })
  const memory = `phys:${entry?.entryAddress}`
  const [{ id, verified }] = await setStops({ kind: 'change', memory, length: 8, name: `PT[16] at ${memory}` })
  expect(verified).toBe(true)

  // The client's own lists come and go beside it.
  await session.request('setFunctionBreakpoints', { breakpoints: [] })
  await session.request('setDataBreakpoints', { breakpoints: [] })
  await session.request('setExceptionBreakpoints', { filters: [] })
  const { hitBreakpointIds, description, reason } = await session.go()
  expect([reason, hitBreakpointIds]).toEqual(['data breakpoint', [id]])
  expect(description).toMatch(/^PT\[16\] at phys:0x[0-9a-f]+ changed from 0x0 to 0x80000000[0-9a-f]+, by .*<map_page/)
  expect((await session.stack())[0].name).toMatch(/^map_page/)
})

test('all bytes of what is watched are told, where an instruction writes one of them', async () => {
  const address = await session.evaluate('&next_frame')
  const memory = /0x[0-9a-f]+/.exec(address)?.[0] ?? ''
  await session.request('writeMemory', { memoryReference: memory, data: Buffer.alloc(8, 0x11).toString('base64') })
  await setStops({ kind: 'change', memory, length: 8, name: 'next_frame' })
  const rip = await session.evaluate('$rip')
  // mov byte ptr [next_frame], 0x22: C6 04 25 disp32 imm8
  const code = Buffer.from([0xc6, 0x04, 0x25, 0, 0, 0, 0, 0x22])
  code.writeInt32LE(Number(memory), 3)
  const reference = /0x[0-9a-f]+/.exec(rip)?.[0]
  await session.request('writeMemory', { memoryReference: reference, data: code.toString('base64') })
  const { description } = await session.go()
  expect(description).toMatch(/^next_frame changed from 0x1111111111111111 to 0x1111111111111122, by /)
})

test('an entry of EPT changes when the hypervisor maps a frame for the guest', async () => {
  const next = /0x[0-9a-f]+/.exec(await session.evaluate('(void *)next_frame'))?.[0] ?? ''
  const entry = (await translate(next)).page?.ept?.steps.at(-1)
  expect(entry?.entry).toBe('0x0')
  const memory = `hpa:${entry?.entryAddress}`
  const [{ id }] = await setStops({ kind: 'change', memory, length: 8, name: `EPT PT at ${memory}` })
  const { hitBreakpointIds, description } = await session.go()
  expect(hitBreakpointIds).toEqual([id])
  expect(description).toMatch(
    /^EPT PT at hpa:0x[0-9a-f]+ changed from 0x0 to 0x[0-9a-f]+, by the hypervisor, exit: ept-/,
  )
  expect((await translate(next)).page?.ept?.steps.at(-1)?.entry).toBe(/to (0x[0-9a-f]+)/.exec(description ?? '')?.[1])

  // It says so once: the value that it has now is the one to change.
  await session.request('setFunctionBreakpoints', { breakpoints: [{ name: 'power_off' }] })
  await session.go()
  expect((await session.stack())[0].name).toBe('power_off')
})

test('events and places in code stop as well, and what is no longer in the list does not', async () => {
  await session.request('setFunctionBreakpoints', { breakpoints: [] })
  const io: ViewStop = { kind: 'event', filterId: 'exit', condition: 'io' }
  const leaving: ViewStop = { kind: 'event', filterId: 'transition', condition: 'user' }
  const [first, second] = await setStops(io, leaving)
  expect(await session.go()).toMatchObject({ reason: 'exception', hitBreakpointIds: [first.id], text: 'exit: io' })
  await setStops(leaving)
  expect(await session.go()).toMatchObject({ hitBreakpointIds: [second.id], text: 'CPL 0 -> 3 by iret' })

  const address = /0x[0-9a-f]+/.exec(await session.evaluate('&handle_system_call'))?.[0] ?? ''
  await setStops({ kind: 'code', address, name: 'system call' })
  expect(await session.go()).toMatchObject({ reason: 'breakpoint', description: 'system call' })
})

test('what can not stop says why, and a filter that there is not refuses all', async () => {
  const [far] = await setStops({ kind: 'event', filterId: 'virtqueue', condition: 'kick virtio-blk0' })
  expect(far).toMatchObject({ verified: false, message: expect.stringMatching(/virtio/) })
  await expect(setStops({ kind: 'event', filterId: 'sunrise', condition: '' })).rejects.toThrow(/no exception filter/)
})

test('arguments are checked', () => {
  const change = { kind: 'change', memory: 'phys:0x10', length: 8, name: 'PT' }
  expect(parseSetViewStopsArguments({ stops: [change] })).toEqual([
    { kind: 'change', address: { space: 'physical', address: 0x10n }, length: 8, name: 'PT' },
  ])
  for (const wrong of [
    { ...change, length: 0 },
    { ...change, length: 4097 },
    { ...change, memory: 'nowhere' },
    { ...change, name: 'x'.repeat(501) },
    { kind: 'event', filterId: 7, condition: '' },
    { kind: 'rumour' },
  ])
    expect(() => parseSetViewStopsArguments({ stops: [wrong] })).toThrow()
  expect(() => parseSetViewStopsArguments({ stops: Array(1001).fill(change) })).toThrow(/at most 1000/)
})
