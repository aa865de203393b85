/** Drivers that break the rules: the device asks for a reset, names the descriptor, and touches nothing else. */

import { describe, expect, test } from 'vitest'
import * as m from '../../../src/devices/virtio/mmio-registers.ts'
import {
  ACKNOWLEDGE,
  DRIVER,
  DRIVER_OK,
  type DriverOptions,
  FEATURES_OK,
  INDIRECT,
  INDIRECT_DESC,
  NEEDS_RESET,
  NEXT,
  PackedDriverQueue,
  SplitDriverQueue,
  VERSION_1,
  VirtioBench,
  VirtioDriver,
  WRITE,
} from '../../support/virtio-driver.ts'
import { EchoDevice } from './echo-device.ts'

const RAM = 2 ** 20
const DATA = 0x80000

function start(options: DriverOptions = {}) {
  const device = new EchoDevice(1, 8)
  const bench = new VirtioBench(device)
  const driver = new VirtioDriver(bench, options)
  return { device, bench, driver, queue: driver.queues[0] }
}

function splitQueue(options: DriverOptions = {}) {
  const machine = start(options)
  if (!(machine.queue instanceof SplitDriverQueue)) throw new Error('not a split queue')
  return { ...machine, queue: machine.queue }
}

function packedQueue(options: DriverOptions = {}) {
  const machine = start({ packed: true, ...options })
  if (!(machine.queue instanceof PackedDriverQueue)) throw new Error('not a packed queue')
  return { ...machine, queue: machine.queue }
}

/** The reason for which a kick broke the device; the driver has been told, and another device works after a reset. */
function reasonAfterKick({
  bench,
  driver,
  queue,
}: Pick<ReturnType<typeof start>, 'bench' | 'driver' | 'queue'>): string {
  queue.kick()
  bench.advance()
  expect(driver.needsReset).toBe(true)
  expect(driver.acknowledge() & m.INTERRUPT_CONFIGURATION).toBe(m.INTERRUPT_CONFIGURATION)
  const reason = bench.core.brokenReason ?? ''
  const again = new VirtioDriver(bench, { packed: driver.packed })
  bench.memory.bytes.fill(0, again.queues[0].descriptors, bench.memory.mark)
  expect(again.queues[0].request([{ bytes: Uint8Array.of(1) }, { room: 1 }]).used).toHaveLength(1)
  return reason
}

describe('a split queue with', () => {
  type Chain = readonly (readonly [gpa: number, length: number, flags: number, next: number])[]
  const good = [DATA, 16, 0, 0] as const

  const chains: readonly { name: string; chain: Chain; reason: RegExp }[] = [
    {
      name: 'a descriptor that follows itself',
      chain: [[DATA, 1, NEXT, 0]],
      reason: /descriptor 0: the chain of .* loop/,
    },
    {
      name: 'a loop of three',
      chain: [
        [DATA, 1, NEXT, 1],
        [DATA, 1, NEXT, 2],
        [DATA, 1, NEXT, 0],
      ],
      reason: /the chain of descriptor 0 is a loop/,
    },
    {
      name: 'a next outside the table',
      chain: [[DATA, 1, NEXT, 8]],
      reason: /descriptor 0: the next is 8 of a table of 8/,
    },
    {
      name: 'a readable buffer behind a writable one',
      chain: [[DATA, 1, WRITE | NEXT, 1], good],
      reason: /descriptor 1: a readable buffer after a writable one/,
    },
    {
      name: 'a buffer behind the end of RAM',
      chain: [[RAM, 1, 0, 0]],
      reason: /descriptor 0: 1 bytes at 0x100000 are not/,
    },
    {
      name: 'a buffer across the end of RAM',
      chain: [[RAM - 1, 2, WRITE, 0]],
      reason: /2 bytes at 0xfffff are not all RAM/,
    },
    { name: 'a length that wraps 32 bits', chain: [[DATA, 0xffffffff, 0, 0]], reason: /4294967295 bytes at 0x80000/ },
    { name: 'an address that wraps 64 bits', chain: [[2 ** 63, 16, 0, 0]], reason: /descriptor 0: 16 bytes at/ },
    {
      name: 'a nested indirect table',
      chain: [[DATA, 16, INDIRECT, 0]],
      reason: /entry 0 of its indirect table: .* nested/,
    },
    {
      name: 'INDIRECT and NEXT',
      chain: [[DATA, 16, INDIRECT | NEXT, 1], good],
      reason: /descriptor 0: both INDIRECT and NEXT/,
    },
    { name: 'an empty indirect table', chain: [[DATA, 0, INDIRECT, 0]], reason: /an indirect table of 0 bytes/ },
    { name: 'an odd indirect table', chain: [[DATA, 17, INDIRECT, 0]], reason: /an indirect table of 17 bytes/ },
    {
      name: 'a huge indirect table',
      chain: [[0, 0xfffffff0, INDIRECT, 0]],
      reason: /268435455 descriptors; 1024 at most/,
    },
    {
      name: 'an indirect table outside RAM',
      chain: [[RAM - 8, 16, INDIRECT, 0]],
      reason: /indirect table of 16 bytes at/,
    },
  ]

  test.each(chains)('$name', ({ chain, reason }) => {
    const machine = splitQueue()
    const { queue, bench } = machine
    for (const [i, [gpa, length, flags, link]] of chain.entries())
      queue.writeDescriptor(i, { gpa, length, flags, link })
    // What is at DATA is itself an indirect descriptor, for the nested case.
    queue.writeDescriptor(0, { gpa: DATA, length: 16, flags: INDIRECT, link: 0 }, DATA)
    queue.makeAvailable(0)
    const before = bench.memory.bytes.slice(DATA)
    expect(reasonAfterKick(machine)).toMatch(reason)
    expect(bench.memory.bytes.slice(DATA)).toEqual(before)
  })

  test('an indirect table that refers to itself', () => {
    const machine = splitQueue()
    machine.queue.writeDescriptor(0, { gpa: DATA, length: 32, flags: INDIRECT, link: 0 })
    machine.queue.writeDescriptor(0, { gpa: DATA, length: 1, flags: NEXT, link: 1 }, DATA)
    machine.queue.writeDescriptor(1, { gpa: DATA, length: 1, flags: NEXT, link: 0 }, DATA)
    machine.queue.makeAvailable(0)
    expect(reasonAfterKick(machine)).toMatch(/descriptor 0: its indirect table is a loop/)
  })

  test('an indirect table whose links leave it', () => {
    const machine = splitQueue()
    machine.queue.writeDescriptor(3, { gpa: DATA, length: 16, flags: INDIRECT, link: 0 })
    machine.queue.writeDescriptor(0, { gpa: DATA, length: 1, flags: NEXT, link: 1 }, DATA)
    machine.queue.makeAvailable(3)
    expect(reasonAfterKick(machine)).toMatch(/descriptor 3, entry 0: the next is 1 of a table of 1/)
  })

  test('an indirect table that was not negotiated', () => {
    const machine = splitQueue({ features: 0n })
    machine.queue.post([{ room: 1 }], { indirect: true })
    expect(reasonAfterKick(machine)).toMatch(/INDIRECT_DESC was not negotiated/)
  })

  test('more than 2^32 bytes in a chain', () => {
    const machine = splitQueue()
    const { queue } = machine
    const entries = 1024
    const table = 0x20000
    // 1024 times 1 MiB is 2^30: the whole RAM again and again is not too long, so the limit needs larger RAM.
    for (let i = 0; i < entries; i++)
      queue.writeDescriptor(i, { gpa: 0, length: RAM, flags: i + 1 < entries ? NEXT : 0, link: i + 1 }, table)
    queue.writeDescriptor(0, { gpa: table, length: 16 * entries, flags: INDIRECT, link: 0 })
    queue.makeAvailable(0)
    queue.kick()
    machine.bench.advance()
    expect(queue.takeUsed()).toHaveLength(1)
    const large = splitQueue()
    large.bench.memory.containsRam = () => true
    for (let i = 0; i < 2; i++)
      large.queue.writeDescriptor(i, { gpa: 0, length: 0xffffffff, flags: (i === 0 ? NEXT : 0) | WRITE, link: 1 })
    large.queue.makeAvailable(0)
    expect(reasonAfterKick(large)).toMatch(/descriptor 1: the chain has more than 2\^32 bytes/)
  })

  test.each([
    {
      name: 'an index that jumps',
      posted: 9,
      reason: /available index 9: it jumped from 0, and the queue has 8 entries/,
    },
    { name: 'an index that goes back', posted: 0xffff, reason: /available index 65535: it jumped/ },
  ])('$name', ({ posted, reason }) => {
    const machine = splitQueue()
    machine.queue.setAvailableIndex(posted)
    expect(reasonAfterKick(machine)).toMatch(reason)
  })

  test('a head outside the table', () => {
    const machine = splitQueue()
    machine.queue.makeAvailable(0xfff)
    expect(reasonAfterKick(machine)).toMatch(/available entry 0: descriptor 4095 of a table of 8/)
  })

  test('a head that is made available while it is in use', () => {
    const machine = splitQueue()
    machine.device.hold = true
    machine.queue.post([{ room: 1 }])
    machine.queue.makeAvailable(0)
    machine.queue.kick()
    machine.bench.advance()
    expect(machine.bench.core.brokenReason).toMatch(/descriptor 0: made available again while it is in use/)
    const [chain] = machine.device.held
    machine.device.finish(chain)
    expect(machine.queue.takeUsed()).toEqual([])
  })

  test('descriptors changed while they are in use: the copy counts', () => {
    const { device, queue, bench } = splitQueue()
    device.hold = true
    const { addresses } = queue.post([{ bytes: Uint8Array.of(1, 2, 3) }, { room: 3 }])
    queue.kick()
    bench.advance()
    queue.writeDescriptor(0, { gpa: 0, length: 0xffffffff, flags: INDIRECT | NEXT, link: 77 })
    queue.writeDescriptor(1, { gpa: RAM, length: 0xffffffff, flags: NEXT, link: 77 })
    device.finish(device.held[0])
    expect(queue.takeUsed()).toEqual([{ id: 0, length: 3 }])
    expect([...bench.memory.bytes.slice(addresses[1], addresses[1] + 3)]).toEqual([1, 2, 3])
  })

  test('a buffer over its own available ring: the device goes on when the guest has run', () => {
    const { queue, bench, device } = splitQueue()
    // Each echo writes an index one further into the ring: there is always one more chain.
    const { history } = bench.core.queues[0]
    bench.memory.onAccess = gpa => {
      if (gpa === DATA) bench.memory.view.setUint16(DATA, history.entries.length + 2, true)
    }
    queue.writeDescriptor(0, { gpa: DATA, length: 2, flags: NEXT, link: 1 })
    queue.writeDescriptor(1, { gpa: queue.driver + 2, length: 2, flags: WRITE, link: 0 })
    queue.setAvailableIndex(1)
    queue.kick()
    bench.advance(1500)
    expect(bench.core.queues[0].completed).toHaveLength(8)
    expect(device.services).toHaveLength(1)
    bench.advance(1000)
    expect(bench.core.queues[0].completed).toHaveLength(16)
    expect(bench.core.needsReset).toBe(false)
  })
})

describe('a packed queue with', () => {
  const raw = (gpa: number, length: number, flags: number) => ({ gpa, length, flags, link: 1 })

  test.each([
    { name: 'a buffer outside RAM', chain: [raw(RAM, 1, 0)], reason: /descriptor 0: 1 bytes at 0x100000/ },
    {
      name: 'a chain round the whole ring',
      chain: Array.from({ length: 8 }, () => raw(DATA, 1, NEXT)),
      reason: /descriptor 0: its chain goes round the whole ring/,
    },
    {
      name: 'a readable buffer behind a writable one',
      chain: [raw(DATA, 1, WRITE | NEXT), raw(DATA, 1, 0)],
      reason: /descriptor 1: a readable buffer after/,
    },
    { name: 'INDIRECT and NEXT', chain: [raw(DATA, 16, INDIRECT | NEXT)], reason: /both INDIRECT and NEXT/ },
    { name: 'an odd indirect table', chain: [raw(DATA, 8, INDIRECT)], reason: /an indirect table of 8 bytes/ },
    {
      name: 'an indirect table outside RAM',
      chain: [raw(2 ** 40, 16, INDIRECT)],
      reason: /table of 16 bytes at 0x10000000000/,
    },
  ])('$name', ({ chain, reason }) => {
    const machine = packedQueue()
    machine.queue.postRaw(chain)
    expect(reasonAfterKick(machine)).toMatch(reason)
  })

  test('a nested indirect table', () => {
    const machine = packedQueue()
    machine.queue.writeDescriptor(0, raw(DATA, 16, INDIRECT), DATA)
    machine.queue.postRaw([raw(DATA, 16, INDIRECT)])
    expect(reasonAfterKick(machine)).toMatch(/entry 0 of its indirect table: indirect tables can't be nested/)
  })

  test('a buffer id that is in use already', () => {
    const machine = packedQueue()
    machine.device.hold = true
    machine.queue.postRaw([raw(DATA, 1, 0)])
    machine.queue.postRaw([raw(DATA, 1, 0)])
    machine.queue.kick()
    machine.bench.advance()
    expect(machine.bench.core.brokenReason).toMatch(/descriptor 1: made available again/)
  })

  test('descriptors overwritten before they were used', () => {
    const machine = packedQueue()
    machine.device.hold = true
    for (let id = 0; id < 9; id++) machine.queue.postRaw([{ ...raw(DATA, 1, 0), link: id }])
    for (let i = 0; i < 3; i++) {
      machine.queue.kick()
      machine.bench.advance()
    }
    // The ninth took the first one's place.
    expect(machine.bench.core.needsReset || machine.device.held.length <= 8).toBe(true)
    expect(machine.device.held.length).toBeLessThanOrEqual(8)
  })
})

describe('queues that can not be', () => {
  const areas = { desc: 0x1000, driver: 0x2000, device: 0x3000 }
  const cases: readonly {
    name: string
    size: number
    packed?: boolean
    reason: RegExp
    desc?: number
    driver?: number
    device?: number
  }[] = [
    { name: 'no entries', size: 0, reason: /a size of 0, which is not a power of two/ },
    { name: 'three entries', size: 3, reason: /a size of 3, which is not a power of two/ },
    { name: 'more entries than offered', size: 16, reason: /a size of 16; 8 is the most/ },
    { name: 'a size of 65535', size: 0xffff, reason: /a size of 65535/ },
    { name: 'no entries, packed', size: 0, packed: true, reason: /a size of 0; 1 to 32768/ },
    {
      name: 'a misaligned table',
      size: 8,
      desc: 0x1008,
      reason: /descriptor table at 0x1008, which is not a multiple of 16/,
    },
    { name: 'a misaligned used ring', size: 8, device: 0x3002, reason: /used ring at 0x3002/ },
    {
      name: 'a table outside RAM',
      size: 8,
      desc: RAM,
      reason: /descriptor table at 0x100000: 128 bytes are not all RAM/,
    },
    { name: 'a used ring across the end', size: 8, device: RAM - 16, reason: /used ring at 0xffff0: 70 bytes/ },
    { name: 'packed events outside RAM', size: 8, packed: true, driver: RAM, reason: /driver event suppression at/ },
  ]

  test.each(cases)('are refused: $name', ({ size, packed = false, reason, ...places }) => {
    const bench = new VirtioBench(new EchoDevice(1, 8))
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER)
    bench.write(m.MMIO_DRIVER_FEATURES_SEL, 1)
    bench.write(m.MMIO_DRIVER_FEATURES, Number(VERSION_1 >> 32n) | (packed ? 4 : 0))
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK)
    const { desc, driver, device } = { ...areas, ...places }
    bench.write(m.MMIO_QUEUE_NUM, size)
    bench.write(m.MMIO_QUEUE_DESC_LOW, desc)
    bench.write(m.MMIO_QUEUE_DRIVER_LOW, driver)
    bench.write(m.MMIO_QUEUE_DEVICE_LOW, device)
    bench.write(m.MMIO_QUEUE_READY, 1)
    expect(bench.core.brokenReason).toMatch(reason)
    expect(bench.read(m.MMIO_QUEUE_READY)).toBe(0)
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)
    bench.write(m.MMIO_QUEUE_NOTIFY, 0)
    bench.advance()
    expect(bench.read(m.MMIO_STATUS) & NEEDS_RESET).toBe(NEEDS_RESET)
  })
})

test('registers of every size at every offset are borne, in every state', () => {
  for (const features of [0n, INDIRECT_DESC]) {
    const { bench } = start({ features })
    for (const value of [0xffffffff, 1, 0])
      for (const size of [1, 2, 4] as const)
        for (let offset = 0; offset <= 0x1000 - size; offset++) {
          expect(bench.transport.readMmio(offset, size)).toBeLessThan(2 ** (8 * size))
          bench.transport.writeMmio(offset, size, value % 2 ** (8 * size))
          bench.advance(10)
        }
    expect(new VirtioDriver(bench).queues[0].request([{ room: 1 }]).used).toHaveLength(1)
  }
})

test('resets at every step of a request leave a device that works', () => {
  const device = new EchoDevice(1, 8)
  const bench = new VirtioBench(device)
  for (let step = 0; step < 6; step++) {
    const driver = new VirtioDriver(bench)
    const [queue] = driver.queues
    const steps = [
      () => queue.post([{ bytes: Uint8Array.of(1) }, { room: 1 }]),
      () => queue.kick(),
      () => bench.advance(500),
      () => bench.advance(1000),
      () => queue.takeUsed(),
    ]
    for (const act of steps.slice(0, step)) act()
    bench.write(m.MMIO_STATUS, 0)
    bench.advance(5000)
    expect(bench.line).toBe(false)
    const again = new VirtioDriver(bench)
    expect(again.queues[0].request([{ bytes: Uint8Array.of(1) }, { room: 1 }]).used).toHaveLength(1)
    bench.write(m.MMIO_STATUS, 0)
  }
})
