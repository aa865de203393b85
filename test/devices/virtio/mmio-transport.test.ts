/** Virtio over MMIO (Virtio 1.2, 4.2). */

import { beforeEach, describe, expect, test } from 'vitest'
import * as m from '../../../src/devices/virtio/mmio-registers.ts'
import { VirtioBench, VirtioDriver } from '../../support/virtio-driver.ts'
import { EchoDevice } from './echo-device.ts'

let device: EchoDevice
let bench: VirtioBench

beforeEach(() => {
  device = new EchoDevice(2, 8)
  bench = new VirtioBench(device)
})

describe('virtio-mmio', () => {
  test('says what it is', () => {
    expect([m.MMIO_MAGIC_VALUE, m.MMIO_VERSION, m.MMIO_DEVICE_ID].map(at => bench.read(at))).toEqual([
      0x74726976, 2, 42,
    ])
  })

  test('has regions of shared memory nowhere', () => {
    expect([0xb0, 0xb4].map(at => bench.read(at))).toEqual([0xffffffff, 0xffffffff])
  })

  test('has a size of 0 for a queue that is not there', () => {
    const sizes = [0, 1, 2, 0xffffffff].map(queue => {
      bench.write(m.MMIO_QUEUE_SEL, queue)
      return bench.read(m.MMIO_QUEUE_NUM_MAX)
    })
    expect(sizes).toEqual([8, 8, 0, 0])
  })

  test('serves registers as 32 bits only', () => {
    expect(bench.transport.readMmio(m.MMIO_MAGIC_VALUE, 2)).toBe(0)
    expect(bench.transport.readMmio(m.MMIO_MAGIC_VALUE + 1, 1)).toBe(0)
    bench.transport.writeMmio(m.MMIO_STATUS, 1, 1)
    expect(bench.read(m.MMIO_STATUS)).toBe(0)
  })

  test('takes a queue away, and brings it back where it is put then', () => {
    const driver = new VirtioDriver(bench)
    bench.write(m.MMIO_QUEUE_SEL, 0)
    bench.write(m.MMIO_QUEUE_DESC_LOW, 0x5000)
    expect(bench.core.queues[0].address('descriptors')).toBe(driver.queues[0].descriptors)
    bench.write(m.MMIO_QUEUE_READY, 0)
    expect(bench.read(m.MMIO_QUEUE_READY)).toBe(0)
    bench.memory.bytes.fill(0, driver.queues[0].descriptors, bench.memory.mark)
    driver.queues[0].configure()
    expect(bench.read(m.MMIO_QUEUE_READY)).toBe(1)
  })

  test('makes a new edge for what is still pending when something else was acknowledged', () => {
    const driver = new VirtioDriver(bench)
    driver.queues[0].request([{ room: 1 }])
    device.port.configurationChanged()
    expect(bench.interrupts).toBe(1)
    bench.write(m.MMIO_INTERRUPT_ACK, m.INTERRUPT_QUEUE)
    expect([bench.line, bench.interrupts, bench.read(m.MMIO_INTERRUPT_STATUS)]).toEqual([true, 2, 2])
    bench.write(m.MMIO_INTERRUPT_ACK, m.INTERRUPT_CONFIGURATION)
    expect([bench.line, bench.read(m.MMIO_INTERRUPT_STATUS)]).toEqual([false, 0])
  })
})
