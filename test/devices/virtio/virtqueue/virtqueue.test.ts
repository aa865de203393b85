/** Both kinds of rings under a driver that does what it should (Virtio 1.2, 2.7 and 2.8). */

import { beforeEach, describe, expect, test } from 'vitest'
import {
  EVENT_IDX,
  IN_ORDER,
  INDIRECT_DESC,
  PackedDriverQueue,
  SplitDriverQueue,
  VirtioBench,
  VirtioDriver,
} from '../../../support/virtio-driver.ts'
import { EchoDevice } from '../echo-device.ts'

const text = (words: string) => new TextEncoder().encode(words)
const words = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

describe.each([
  { kind: 'split', packed: false },
  { kind: 'packed', packed: true },
])('a $kind queue', ({ packed }) => {
  let device: EchoDevice
  let bench: VirtioBench

  beforeEach(() => {
    device = new EchoDevice(2, 8)
    bench = new VirtioBench(device)
  })

  const start = (features = INDIRECT_DESC, size?: number) =>
    new VirtioDriver(bench, { packed, features, ...(size === undefined ? {} : { size }) })
  const written = (address: number, length: number) => words(bench.memory.bytes.slice(address, address + length))

  test('carries bytes through chains of several buffers, in either direction', () => {
    const [queue] = start().queues
    const { posted, used } = queue.request([
      { bytes: text('hel') },
      { bytes: text('lo wor') },
      { bytes: text('ld') },
      { room: 4 },
      { room: 100 },
    ])
    expect(used).toEqual([{ id: posted.id, length: 11 }])
    expect(written(posted.addresses[3], 4) + written(posted.addresses[4], 7)).toBe('hello world')
  })

  test('goes round many times, also with chains that cross the end', () => {
    const [queue] = start().queues
    for (let i = 0; i < 100; i++) {
      const mark = bench.memory.mark
      const { posted, used } = queue.request([{ bytes: text(`${i}`) }, { room: 1 }, { room: 9 }])
      expect(used).toEqual([{ id: posted.id, length: `${i}`.length }])
      bench.memory.releaseTo(mark)
    }
  })

  test('takes as many chains as it has entries at one kick', () => {
    const [queue] = start().queues
    const ids = Array.from({ length: 8 }, (_, i) => queue.post([{ bytes: text(`${i}`) }]).id)
    expect(() => queue.post([{ room: 1 }])).toThrow('full')
    queue.kick()
    bench.advance()
    expect(queue.takeUsed().map(({ id }) => id)).toEqual(ids)
    expect(bench.core.needsReset).toBe(false)
  })

  test('follows an indirect table, also one longer than the queue', () => {
    const [queue] = start().queues
    const bytes = Array.from({ length: 20 }, (_, i) => ({ bytes: text(String.fromCharCode(97 + i)) }))
    const posted = queue.post([...bytes, { room: 30 }], { indirect: true })
    queue.kick()
    bench.advance()
    expect(queue.takeUsed()).toEqual([{ id: posted.id, length: 20 }])
    expect(written(posted.addresses[20], 20)).toBe('abcdefghijklmnopqrst')
  })

  test('is used in whatever order the device completes', () => {
    const [queue] = start().queues
    device.hold = true
    const ids = [1, 2, 3].map(() => queue.post([{ bytes: text('x') }, { room: 1 }]).id)
    queue.kick()
    bench.advance()
    const [first, second, third] = device.held
    device.finish(second)
    device.finish(third)
    expect(queue.takeUsed().map(({ id }) => id)).toEqual([ids[1], ids[2]])
    device.finish(first)
    expect(queue.takeUsed().map(({ id }) => id)).toEqual([ids[0]])
    device.hold = false
    for (let i = 0; i < 20; i++) expect(queue.request([{ bytes: text('yz') }, { room: 2 }]).used).toHaveLength(1)
  })

  test('is used in the order of posting with IN_ORDER', () => {
    const [queue] = start(IN_ORDER).queues
    device.hold = true
    const ids = [1, 2, 3].map(() => queue.post([{ bytes: text('x') }, { room: 1 }]).id)
    queue.kick()
    bench.advance()
    const [first, second, third] = device.held
    device.finish(third)
    device.finish(second)
    expect(queue.takeUsed()).toEqual([])
    device.finish(first)
    expect(queue.takeUsed().map(({ id }) => id)).toEqual(ids)
  })

  test('gives a chain back that the device could not serve', () => {
    const [queue] = start().queues
    const ids = [1, 2].map(() => queue.post([{ bytes: text('x') }, { room: 1 }]).id)
    const port = device.port.queues[0]
    const first = port.take()
    const second = port.take()
    if (first === undefined || second === undefined) throw new Error('two chains were posted')
    expect(() => port.putBack(first)).toThrow('taken last')
    port.putBack(second)
    port.putBack(first)
    queue.kick()
    bench.advance()
    expect(queue.takeUsed().map(({ id }) => id)).toEqual(ids)
  })

  test('interrupts once a batch, and not when the driver wants none', () => {
    const { queues, ...driver } = start()
    const [queue] = queues
    for (let i = 0; i < 3; i++) queue.post([{ room: 1 }])
    queue.kick()
    bench.advance()
    expect(bench.interrupts).toBe(1)
    expect(driver.bench.line).toBe(true)
    bench.write(0x64, 1)
    if (queue instanceof SplitDriverQueue) queue.setInterrupts(false)
    if (queue instanceof PackedDriverQueue) queue.setInterrupts(1)
    queue.request([{ room: 1 }])
    expect(bench.interrupts).toBe(1)
  })

  test('interrupts at the event that the driver named, with EVENT_IDX', () => {
    const [queue] = start(EVENT_IDX).queues
    // After the fifth chain, of one descriptor each.
    if (queue instanceof SplitDriverQueue) queue.setInterrupts(true, 4)
    if (queue instanceof PackedDriverQueue) queue.setInterrupts(2, 4, true)
    const after: number[] = []
    for (let i = 0; i < 7; i++) {
      queue.request([{ room: 1 }])
      after.push(bench.interrupts)
    }
    expect(after).toEqual([0, 0, 0, 0, 1, 1, 1])
    bench.write(0x64, 1)
    // And beyond the end of the ring: 8 entries, so the tenth is the second of the next round.
    if (queue instanceof SplitDriverQueue) queue.setInterrupts(true, 9)
    if (queue instanceof PackedDriverQueue) queue.setInterrupts(2, 1, false)
    for (let i = 0; i < 3; i++) {
      queue.request([{ room: 1 }])
      after.push(bench.interrupts)
    }
    expect(after.slice(7)).toEqual([1, 1, 2])
  })

  test.each([
    { name: 'flags', features: 0n },
    { name: 'EVENT_IDX', features: EVENT_IDX },
  ])('wants no kick from the first kick until it has found the queue empty, by $name', ({ features }) => {
    const [queue] = start(features).queues
    queue.post([{ room: 1 }])
    expect(queue.wantsKick()).toBe(true)
    queue.kick()
    queue.post([{ room: 1 }])
    expect(queue.wantsKick()).toBe(false)
    bench.advance()
    expect(queue.takeUsed()).toHaveLength(2)
    for (let i = 0; i < 30; i++) {
      queue.post([{ room: 1 }])
      expect(queue.wantsKick()).toBe(true)
      queue.kick()
      bench.advance()
      expect(queue.takeUsed()).toHaveLength(1)
    }
  })

  test('shows what is pending without taking it', () => {
    const [queue] = start().queues
    queue.post([{ bytes: text('abc') }, { room: 5 }])
    queue.post([{ bytes: text('d') }])
    const before = JSON.stringify(bench.core.save())
    const memory = bench.memory.bytes.slice()
    const pending = bench.core.queues[0].pending()
    expect(
      pending.map(chain => ('buffers' in chain ? chain.buffers.map(({ length }) => length) : chain.reason)),
    ).toEqual([[3, 5], [1]])
    bench.core.registers()
    expect(JSON.stringify(bench.core.save())).toBe(before)
    expect(bench.memory.bytes).toEqual(memory)
    queue.kick()
    bench.advance()
    expect(queue.takeUsed()).toHaveLength(2)
  })

  test('remembers completed chains, their first bytes, and when each step happened', () => {
    const [queue] = start().queues
    const posted = queue.post([{ bytes: text('header of a request') }, { room: 300 }])
    const kicked = bench.clock.count
    queue.kick()
    bench.advance()
    bench.memory.bytes.fill(0xff, posted.addresses[0], posted.addresses[0] + 19)
    const [entry] = bench.core.queues[0].completed
    expect(words(entry.read(0, 6))).toBe('header')
    expect(words(entry.read(7, 100))).toBe('of a request')
    expect(words(entry.readWritable(0, 6))).toBe('header')
    expect(entry.readWritable(299, 5)).toHaveLength(1)
    expect(entry.readWritable(200, 5)).toHaveLength(0)
    expect(entry).toMatchObject({ id: posted.id, readableLength: 19, writableLength: 300, written: 19, number: 0 })
    const served = kicked + 1000
    expect(entry.times).toEqual({ kicked, taken: served, used: served, interrupted: served })
    expect(entry.buffers.map(({ gpa }) => gpa)).toEqual(posted.addresses)
    for (let i = 0; i < 200; i++) {
      const mark = bench.memory.mark
      queue.request([{ room: 1 }])
      bench.memory.releaseTo(mark)
    }
    const numbers = bench.core.queues[0].completed.map(({ number }) => number)
    expect(numbers).toEqual(Array.from({ length: 128 }, (_, i) => 73 + i))
  })

  test('continues after it was saved and restored, chains that the device has included', () => {
    device.hold = true
    const driver = start(EVENT_IDX | INDIRECT_DESC)
    const [queue] = driver.queues
    const ids = [1, 2, 3].map(i => queue.post([{ bytes: text(`${i}`) }, { room: 1 }]).id)
    queue.kick()
    bench.advance()
    device.finish(device.held[1])
    const saved = JSON.parse(JSON.stringify({ state: bench.transport.save(), clock: bench.clock.save() }))

    const other = new EchoDevice(2, 8)
    const second = new VirtioBench(other)
    second.memory.bytes.set(bench.memory.bytes)
    second.clock.restore(saved.clock)
    second.transport.restore(saved.state)
    expect(JSON.parse(JSON.stringify(second.transport.save()))).toEqual(saved.state)
    expect(other.held.map(({ id }) => id)).toEqual([ids[0], ids[2]])
    for (const chain of [...other.held]) other.finish(chain)
    for (const chain of [...device.held]) device.finish(chain)
    expect(second.memory.bytes).toEqual(bench.memory.bytes)
    expect(second.transport.save()).toEqual(bench.transport.save())
    expect(queue.takeUsed().map(({ id }) => id)).toEqual([ids[1], ids[0], ids[2]])
  })
})

test('a packed queue may have any size', () => {
  const bench = new VirtioBench(new EchoDevice(1, 16))
  const [queue] = new VirtioDriver(bench, { packed: true, size: 5, features: EVENT_IDX }).queues
  for (let i = 0; i < 33; i++) {
    const mark = bench.memory.mark
    expect(queue.request([{ bytes: text('ab') }, { room: 2 }]).used).toMatchObject([{ length: 2 }])
    bench.memory.releaseTo(mark)
  }
})
