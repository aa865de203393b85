/** The status machine, negotiation, and when things happen (Virtio 1.2, 2.1 to 2.5, 3.1). */

import { beforeEach, describe, expect, test } from 'vitest'
import * as m from '../../../src/devices/virtio/mmio-registers.ts'
import { KICK_LATENCY_NS } from '../../../src/devices/virtio/virtio-core.ts'
import type { VirtioEvent } from '../../../src/devices/virtio/virtio-observer.ts'
import {
  ACKNOWLEDGE,
  DRIVER,
  DRIVER_OK,
  EVENT_IDX,
  FEATURES_OK,
  INDIRECT_DESC,
  NEEDS_RESET,
  RING_PACKED,
  SplitDriverQueue,
  VERSION_1,
  VirtioBench,
  VirtioDriver,
} from '../../support/virtio-driver.ts'
import { EchoDevice } from './echo-device.ts'

let device: EchoDevice
let bench: VirtioBench

beforeEach(() => {
  device = new EchoDevice(2)
  bench = new VirtioBench(device)
})

function negotiate(features: bigint): number {
  bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER)
  for (const half of [0, 1]) {
    bench.write(m.MMIO_DRIVER_FEATURES_SEL, half)
    bench.write(m.MMIO_DRIVER_FEATURES, Number((features >> BigInt(32 * half)) & 0xffff_ffffn))
  }
  bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK)
  return bench.read(m.MMIO_STATUS)
}

function offered(): bigint {
  return [0, 1].reduce((all, half) => {
    bench.write(m.MMIO_DEVICE_FEATURES_SEL, half)
    return all | (BigInt(bench.read(m.MMIO_DEVICE_FEATURES)) << BigInt(32 * half))
  }, 0n)
}

describe('negotiation', () => {
  test('offers the features of the device and those of rings; packed rings only if asked', () => {
    expect(offered() & 0xffffffn).toBe(0b101n)
    for (const feature of [VERSION_1, INDIRECT_DESC, EVENT_IDX, RING_PACKED]) expect(offered() & feature).toBe(feature)
    bench = new VirtioBench(new EchoDevice(), { packed: false })
    expect(offered() & RING_PACKED).toBe(0n)
    bench.write(m.MMIO_DEVICE_FEATURES_SEL, 2)
    expect(bench.read(m.MMIO_DEVICE_FEATURES)).toBe(0)
  })

  test.each([
    { name: 'accepts what was offered', features: VERSION_1 | 0b100n, ok: true },
    { name: 'refuses what was not', features: VERSION_1 | 0b010n, ok: false },
    { name: 'refuses a driver without VERSION_1', features: 0b001n, ok: false },
  ])('$name', ({ features, ok }) => {
    expect((negotiate(features) & FEATURES_OK) !== 0).toBe(ok)
    expect(device.port.features).toBe(ok ? features : 0n)
  })

  test('is refused if the device refuses it', () => {
    device.stubborn = true
    expect(negotiate(VERSION_1) & FEATURES_OK).toBe(0)
  })

  test('is over with FEATURES_OK', () => {
    negotiate(VERSION_1 | 1n)
    bench.write(m.MMIO_DRIVER_FEATURES_SEL, 0)
    bench.write(m.MMIO_DRIVER_FEATURES, 4)
    expect(device.port.features).toBe(VERSION_1 | 1n)
  })
})

describe('status', () => {
  test('gains bits and never loses them, but for a reset', () => {
    negotiate(VERSION_1)
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE)
    expect(bench.read(m.MMIO_STATUS)).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK)
    bench.write(m.MMIO_STATUS, NEEDS_RESET)
    expect(bench.read(m.MMIO_STATUS) & NEEDS_RESET).toBe(0)
    bench.write(m.MMIO_STATUS, 0)
    expect(bench.read(m.MMIO_STATUS)).toBe(0)
    expect(device.resets).toBe(1)
  })

  test('a queue enabled before FEATURES_OK breaks the device', () => {
    bench.write(m.MMIO_QUEUE_READY, 1)
    expect(bench.read(m.MMIO_STATUS)).toBe(NEEDS_RESET)
    expect(bench.core.brokenReason).toContain('before FEATURES_OK')
  })
})

describe('a kick', () => {
  test('is served a moment of virtual time later, and never at once', () => {
    const [queue] = new VirtioDriver(bench).queues
    queue.post([{ room: 1 }])
    queue.kick()
    expect(device.services).toEqual([])
    bench.advance(KICK_LATENCY_NS - 1)
    expect(device.services).toEqual([])
    bench.advance(1)
    expect(device.services).toEqual([0])
  })

  test('is served once, however often the queue was kicked, in the order of queues kicked', () => {
    const [first, second] = new VirtioDriver(bench).queues
    second.kick()
    first.kick()
    second.kick()
    bench.advance()
    expect(device.services).toEqual([1, 0])
  })

  test('before DRIVER_OK waits for it', () => {
    negotiate(VERSION_1)
    const queue = new SplitDriverQueue(bench, 0, 8, 0n)
    queue.configure()
    queue.post([{ room: 1 }])
    queue.kick()
    bench.advance(1_000_000)
    expect(device.services).toEqual([])
    expect(device.port.queues[0].take()).toBeUndefined()
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    bench.advance()
    expect(device.services).toEqual([0])
  })

  test('of a queue that is not there, or not enabled, is nothing', () => {
    negotiate(VERSION_1)
    for (const queue of [0, 1, 2, 77, 0xffff, 0x10000, 0xffffffff]) bench.write(m.MMIO_QUEUE_NOTIFY, queue)
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    bench.advance()
    expect(device.services).toEqual([])
  })
})

describe('the configuration', () => {
  test('is read and written in any size within its bounds, and reads as nothing behind them', () => {
    expect(bench.transport.readMmio(m.MMIO_CONFIG, 4)).toBe(0x04030201)
    expect(bench.transport.readMmio(m.MMIO_CONFIG + 8, 4)).toBe(0x0a09)
    expect(bench.transport.readMmio(m.MMIO_CONFIG + 0x800, 4)).toBe(0)
    bench.transport.writeMmio(m.MMIO_CONFIG + 2, 2, 0xbbaa)
    bench.transport.writeMmio(m.MMIO_CONFIG + 8, 4, 0xffffffff)
    expect([...device.configuration]).toEqual([1, 2, 0xaa, 0xbb, 5, 6, 7, 8, 9, 10])
  })

  test('raises its generation and interrupts when it changes, once the driver works', () => {
    device.port.configurationChanged()
    expect(bench.read(m.MMIO_CONFIG_GENERATION)).toBe(1)
    expect(bench.line).toBe(false)
    const driver = new VirtioDriver(bench)
    device.port.configurationChanged()
    expect(driver.acknowledge()).toBe(m.INTERRUPT_CONFIGURATION)
    expect(bench.line).toBe(false)
  })
})

describe('a reset', () => {
  test('in the middle of a request forgets everything; the device may complete what it has in vain', () => {
    device.hold = true
    const driver = new VirtioDriver(bench)
    driver.queues[0].post([{ bytes: Uint8Array.of(1) }, { room: 1 }])
    driver.queues[0].kick()
    bench.advance()
    const [chain] = device.held
    driver.queues[1].kick()
    bench.write(m.MMIO_STATUS, 0)
    const memory = bench.memory.bytes.slice()
    device.port.queues[0].complete(chain, 1)
    device.port.queues[0].flush()
    device.port.queues[0].putBack(chain)
    bench.advance()
    expect(bench.memory.bytes).toEqual(memory)
    expect(device.services).toEqual([0])
    expect([bench.line, bench.read(m.MMIO_INTERRUPT_STATUS), bench.read(m.MMIO_QUEUE_READY)]).toEqual([false, 0, 0])
    device.hold = false
    expect(new VirtioDriver(bench).queues[0].request([{ room: 1 }]).used).toHaveLength(1)
  })

  test('takes pending interrupts back', () => {
    const [queue] = new VirtioDriver(bench).queues
    queue.request([{ room: 1 }])
    expect(bench.line).toBe(true)
    bench.write(m.MMIO_STATUS, 0)
    expect(bench.line).toBe(false)
  })
})

describe('a device that failed', () => {
  test('says so in its status, tells the driver, and does nothing more until it is reset', () => {
    const driver = new VirtioDriver(bench)
    device.port.fail('the driver asks for the moon')
    expect(driver.needsReset).toBe(true)
    expect(driver.acknowledge()).toBe(m.INTERRUPT_CONFIGURATION)
    expect(device.port.running).toBe(false)
    expect(bench.core.brokenReason).toBe('the driver asks for the moon')
    expect(bench.core.registers().find(({ name }) => name === 'status')?.meaning).toContain('asks for the moon')
    driver.queues[0].request([{ room: 1 }])
    expect(device.services).toEqual([])
    bench.write(m.MMIO_STATUS, 0)
    expect(bench.core.needsReset).toBe(false)
  })
})

test('an observer is told of each step, with device, queue and chain', () => {
  const events: VirtioEvent[] = []
  const driver = new VirtioDriver(bench)
  bench.core.observer = event => events.push(event)
  const { posted } = driver.queues[1].request([{ bytes: Uint8Array.of(7) }, { room: 1 }])
  device.port.fail('enough')
  bench.write(m.MMIO_STATUS, 0)
  expect(events.map(event => `${event.device} ${event.kind} ${'queue' in event ? event.queue : ''}`)).toEqual([
    'echo0 kick 1',
    'echo0 taken 1',
    'echo0 used 1',
    'echo0 interrupt 1',
    'echo0 broken undefined',
    'echo0 interrupt undefined',
    'echo0 reset ',
  ])
  const [, taken, used] = events
  expect(taken.kind === 'taken' && [...taken.chain.read(0, 9)]).toEqual([7])
  expect(used.kind === 'used' && used.entry).toMatchObject({ id: posted.id, written: 1 })
  bench.core.observer = undefined
  expect(new VirtioDriver(bench).queues[0].request([{ room: 1 }]).used).toHaveLength(1)
  expect(events).toHaveLength(7)
})
