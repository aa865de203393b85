/** A request on its way through a virtqueue, by the kernel of `guests/virtqueue/`, as a golden conversation. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { frameIdOf } from '../../src/adapter/frame-ids.ts'
import { serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { STOP_STEPS } from '../../src/extension/rings/messages.ts'
import { stopCondition } from '../../src/extension/rings/rings-model.ts'
import { configure, readImage } from '../../src/machine/configuration.ts'
import { parseDisk } from '../../src/machine/disk-configuration.ts'
import { Pc } from '../../src/machine/pc.ts'
import type { DevicesBody, PciBody, VirtqueuesBody } from '../../src/protocol/device-requests.ts'
import type { RingBody } from '../../src/protocol/ring-request.ts'
import { GoldenSession } from '../support/golden-session.ts'
import { GUESTS } from '../support/markers.ts'

vi.setConfig({ testTimeout: 60_000 })

const DISK = 'virtio-blk0'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringside-virtqueue-'))
  const image = Buffer.alloc(64 * 512)
  image.write('RINGSIDE', 2 * 512)
  writeFileSync(join(folder, 'disk.img'), image)
})

afterAll(() => rmSync(folder, { recursive: true }))

async function launched(options: object = {}): Promise<GoldenSession> {
  const session = new GoldenSession('virtqueue')
  await session.launch({ disks: [`${join(folder, 'disk.img')},readonly`], ...options })
  return session
}

const stopAt = (session: GoldenSession, ...filterOptions: DebugProtocol.ExceptionFilterOptions[]) =>
  session.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setExceptionBreakpoints', {
    filters: [],
    filterOptions,
  })

const typed = async (session: GoldenSession, expression: string): Promise<string> =>
  (
    await session.request<{ result: string }>('evaluate', {
      ...{ expression, context: 'repl', frameId: frameIdOf({ vcpu: 0, depth: 0 }) },
    })
  ).result

const ended = async (session: GoldenSession): Promise<void> => {
  await session.request('continue', { threadId: 1 })
  await session.client.event('terminated')
}

test('a read is followed from its kick over the used ring to the interrupt, and into the history', async () => {
  const session = await launched()
  await session.breakAt('kernel.c', 'posted', 'interrupt')
  await session.start()
  await session.request('ringside/traceVirtqueue', { device: DISK, queue: 0, on: true })
  await stopAt(session, { filterId: 'virtqueue', condition: `kick ${DISK} 0` })
  expect(await session.go()).toMatchObject({ reason: 'exception', text: `${DISK}, queue 0: kick` })
  await session.at('kernel.c', 'kick')
  const kicked = await session.request<VirtqueuesBody>('ringside/virtqueues', { device: DISK, queue: 0 })
  const [queue] = kicked.devices[0].queues
  expect(queue).toMatchObject({ format: 'split', size: 8, pending: 1, problems: [], history: [] })
  expect(queue.chains[0].descriptors.map(({ length, direction, parts }) => [length, direction, parts[0].name])).toEqual(
    [
      [16, 'read', 'header'],
      [512, 'write', 'data'],
      [1, 'write', 'status'],
    ],
  )
  expect(queue.chains[0].descriptors[0].parts[0].fields).toEqual([
    { name: 'type', value: '0 (read)' },
    { name: 'sector', value: '2' },
  ])
  await typed(session, `chain ${DISK} 0 0`)

  await stopAt(session, { filterId: 'virtqueue', condition: `used ${DISK} 0 sector 2-5` })
  expect(await session.go()).toMatchObject({ text: `${DISK}, queue 0: chain used 0: read, sector 2, 512 bytes` })
  const { devices } = await session.request<VirtqueuesBody>('ringside/virtqueues', { device: DISK, queue: 0 })
  const [done] = devices[0].queues
  expect(done).toMatchObject({ pending: 0, used: [{ index: 0, id: 0, length: 513 }] })
  expect(done.history[0]).toMatchObject({ written: 513, summary: 'read, sector 2, 512 bytes' })
  expect(done.history[0].fields).toContainEqual({ name: 'status', value: '0 (OK)' })
  expect(done.history[0].steps.map(({ step }) => step)).toEqual(['posted', 'kicked', 'taken', 'used', 'interrupt'])
  const counts = done.history[0].steps.map(({ instructions }) => instructions)
  expect(counts.toSorted((a, b) => a - b)).toEqual(counts)
  await typed(session, 'virtqueues')

  await stopAt(session)
  expect(await session.go()).toMatchObject({ reason: 'breakpoint' })
  await session.at('kernel.c', 'interrupt')
  await session.request<DevicesBody>('ringside/devices', { device: DISK, registers: false })
  await session.request<PciBody>('ringside/pci', { function: DISK })
  await typed(session, `pci ${DISK}`)
  await ended(session)
  expect(session.client.output.stdout).toBe('virtqueue: sector 2 begins with RINGSIDE\n')
  await session.expectGolden('virtqueue', { [folder]: 'BUILD' })
})

test('looking at devices changes nothing', async () => {
  const image = readImage(`${GUESTS}prebuilt/virtqueue.elf`, 'program')
  const disk = parseDisk(`${join(folder, 'disk.img')},readonly`)
  const pc = await Pc.create(configure({ image, memory: 64 * 2 ** 20, devices: [disk] }), {
    ...{ console: () => undefined, debugConsole: () => undefined },
  })
  const client = DapClient.connect(
    (input, output) =>
      void serve(input, output, async () => {
        pc.boot()
        return new Debugger(new VmTarget(pc), new SymbolBook())
      }),
  )
  await client.launch({ program: image.name })
  const filterOptions = [{ filterId: 'virtqueue', condition: `kick taken used ${DISK}` }]
  await client.request('setExceptionBreakpoints', { filters: [], filterOptions })
  await client.request('configurationDone')
  for (const text of [/: kick$/, /: chain taken 0: read.*; .*: chain used 0: read/]) {
    expect(await client.event('stopped')).toMatchObject({ text: expect.stringMatching(text) })
    const before = Buffer.concat(pc.save())
    for (const request of ['virtqueues', 'ring', 'pci', 'devices']) await client.request(`ringside/${request}`, {})
    await client.request('ringside/traceVirtqueue', { device: DISK, queue: 0, on: true })
    await client.request('ringside/traceVirtqueue', { device: DISK, queue: 0, on: false })
    for (const expression of ['virtqueues', `chain ${DISK} 0 0`, `pci ${DISK}`, `devices ${DISK}`, 'devices'])
      await client.request('evaluate', { expression, frameId: 1, context: 'repl' }).catch(() => undefined)
    expect(Buffer.concat(pc.save()).equals(before)).toBe(true)
    await client.request('continue', { threadId: 1 })
  }
  await client.event('terminated')
  await client.close()
})

test('a queue that is traced before its driver has set it up is traced from then on', async () => {
  const session = await launched({ stopOnEntry: true })
  await session.start()
  expect(await typed(session, `trace ${DISK} 0 on`)).toBe(
    `${DISK}, queue 0 is traced as soon as its driver has set it up`,
  )
  await stopAt(session, { filterId: 'virtqueue', condition: `ready ${DISK} 0` })
  expect(await session.go()).toMatchObject({ text: `${DISK}, queue 0: set up by the driver` })
  await stopAt(session, { filterId: 'virtqueue', condition: `used ${DISK} 0` })
  await session.go()
  const { devices, traced } = await session.request<VirtqueuesBody>('ringside/virtqueues', { device: DISK })
  expect(traced).toEqual([{ device: DISK, queue: 0 }])
  expect(devices[0].queues[0].history[0].steps.map(({ step }) => step)).toContain('posted')
  await session.client.close()
})

test('what is asked for and what is not there', async () => {
  const session = await launched()
  const { breakpoints } = await stopAt(
    session,
    { filterId: 'virtqueue', condition: 'taken virtio-blk7' },
    { filterId: 'virtqueue', condition: `taken ${DISK} 3` },
    { filterId: 'virtqueue', condition: `used ${DISK} sector 3-9` },
  )
  expect(breakpoints.map(({ verified, message }) => [verified, message])).toEqual([
    [false, 'there is no virtio device "virtio-blk7"; there are virtio-blk0'],
    [false, 'virtio-blk0 has no queue 3; there are 0 to 0'],
    [true, undefined],
  ])
  await session.breakAt('kernel.c', 'interrupt')
  // Sector 2 is no sector that was asked for.
  expect(await session.start()).toMatchObject({ reason: 'breakpoint' })
  await session.at('kernel.c', 'interrupt')
  await expect(typed(session, 'virtqueues virtio-net0')).rejects.toThrow('there are virtio-blk0')
  await expect(typed(session, `chain ${DISK} 0 5`)).rejects.toThrow('no chain 5 is pending or taken')
  const offered = await session.request<{ targets: { label: string; start: number }[] }>('completions', {
    ...{ text: 'trace virtio-b', column: 15 },
  })
  expect(offered.targets).toEqual([expect.objectContaining({ label: DISK, start: 6, length: 8 })])
  await session.client.close()
})

test('a ring is told slot by slot, with the chain of the slot that is asked for', async () => {
  const session = await launched()
  // As the buttons of the view do it.
  await session.request('ringside/setViewStops', {
    stops: STOP_STEPS.map(step => ({
      ...{ kind: 'event', filterId: 'virtqueue', condition: stopCondition(step, DISK, 0) },
    })),
  })
  const ask = (args: object = {}) => session.request<RingBody>('ringside/ring', args)
  const posted = async () => (await ask({ selected: { ring: 'available ring', slot: 0 } })).ring
  expect(await session.start()).toMatchObject({ text: `${DISK}, queue 0: kick` })
  expect((await ask()).choices).toEqual([
    { device: DISK, broken: false, queues: [{ index: 0, name: 'requestq', enabled: true }] },
  ])
  expect(await posted()).toMatchObject({
    maps: [
      { ring: 'available ring', states: { free: 7, available: 1, taken: 0, used: 0 } },
      { ring: 'used ring', states: { used: 0 } },
      { ring: 'descriptor table', states: { free: 5, available: 3 } },
    ],
    faults: [],
    selected: { state: 'available', chain: 0, content: { summary: 'read, sector 2, 512 bytes' } },
  })
  expect((await session.go()).text).toMatch(/chain used 0/)
  const { ring, device } = await ask({ selected: { ring: 'used ring', slot: 0 } })
  expect(ring).toMatchObject({
    maps: [{ states: { free: 8 } }, { states: { used: 1 } }, { states: { used: 3 } }],
    selected: { state: 'used', chain: 0, written: 513 },
  })
  expect(device?.queues[0].history).toHaveLength(1)
  for (const [args, message] of [
    [{ device: 'virtio-net0' }, 'there are virtio-blk0'],
    [{ queue: 1 }, 'virtio-blk0 has no queue 1; there are 0 to 0'],
    [{ window: { first: 0, count: 0 } }, '"count" must be an integer from 1 to 32768'],
    [{ selected: { ring: 'ring', slot: 0 } }, '"ring" must be one of'],
  ] as const)
    await expect(ask(args)).rejects.toThrow(message)
  await session.client.close()
})

test('every step is told with a log message, a reset and an interrupt among them, at the same instructions again', async () => {
  const run = async (): Promise<string | undefined> => {
    const session = await launched()
    await session.request('setExceptionBreakpoints', {
      filters: [],
      filterOptions: ['kick', 'taken', 'used', 'interrupt', 'reset'].map(step => ({
        ...{ filterId: 'virtqueue', condition: step, logMessage: `${step} at {$rip}` },
      })),
    })
    await session.request('configurationDone')
    await session.client.event('terminated')
    await session.client.close()
    return session.client.output.console
  }
  const told = await run()
  expect(told?.split('\n').map(line => line.split(' ')[0])).toEqual(
    expect.arrayContaining(['reset', 'kick', 'taken', 'used', 'interrupt']),
  )
  expect(await run()).toBe(told)
})

test('a driver that breaks its ring is stopped at, with the descriptor; the ring is shown as it is', async () => {
  const session = await launched()
  await session.breakAt('kernel.c', 'posted')
  await session.start()
  const set = (expression: string, value: string) =>
    session.request('setExpression', { expression, value, frameId: frameIdOf({ vcpu: 0, depth: 0 }) })
  await set('descriptors[2].address', '0x1000000000000')
  await stopAt(session, { filterId: 'broken' }, { filterId: 'virtqueue', condition: 'kick' })
  expect(await session.go()).toMatchObject({ text: `${DISK}, queue 0: kick` })
  const chain = await typed(session, `chain ${DISK} 0 0`)
  expect(chain).toMatch(/^BROKEN: descriptor 2: 1 bytes at 0x1000000000000 are not all RAM$/m)
  expect((await session.go()).text).toBe(
    `${DISK}, queue 0: broken, the device needs a reset: queue 0 (requestq): descriptor 2: 1 bytes at 0x1000000000000 are not all RAM`,
  )
  await set('available.index', '100')
  expect(await typed(session, `virtqueues ${DISK} 0`)).toContain('BROKEN: avail.idx is 100: it jumped from 0')
  await session.client.close()
})
