import { describe, expect, test } from 'vitest'
import { EntropyDevice } from '../../../../src/devices/virtio/entropy/device.ts'
import { RandomStream } from '../../../../src/util/random-stream.ts'
import { VirtioBench, VirtioDriver } from '../../../support/virtio-driver.ts'

function request(bench: VirtioBench, rooms: readonly number[]): Uint8Array {
  const { posted, used } = new VirtioDriver(bench).queues[0].request(rooms.map(room => ({ room })))
  expect(used).toEqual([{ id: posted.id, length: rooms.reduce((sum, room) => sum + room, 0) }])
  return Buffer.concat(posted.addresses.map((gpa, i) => bench.memory.bytes.slice(gpa, gpa + rooms[i])))
}

describe('the entropy device', () => {
  test('fills whatever it is given, with the bytes of its seed', () => {
    const bytes = request(new VirtioBench(new EntropyDevice('rng', 5)), [3, 64, 1])
    expect([...bytes]).toEqual([...new RandomStream(5).bytes(68)])
    expect([...request(new VirtioBench(new EntropyDevice('rng', 6)), [68])]).not.toEqual([...bytes])
  })

  test('does not repeat itself after a reset, and goes on where it was saved', () => {
    const bench = new VirtioBench(new EntropyDevice('rng', 5))
    const first = request(bench, [16])
    const saved = JSON.parse(JSON.stringify(bench.core.save()))
    const second = request(bench, [16])
    expect([...second]).not.toEqual([...first])
    const other = new VirtioBench(new EntropyDevice('rng', 9))
    other.core.restore(saved)
    expect([...request(other, [16])]).toEqual([...second])
  })

  test('gives at most 64 KiB for one request, and nothing where there is no room', () => {
    const bench = new VirtioBench(new EntropyDevice('rng', 5))
    const [queue] = new VirtioDriver(bench).queues
    expect(queue.request([{ room: 100_000 }]).used).toMatchObject([{ length: 65536 }])
    expect(queue.request([{ bytes: Uint8Array.of(1) }]).used).toMatchObject([{ length: 0 }])
    expect(bench.core.registers()).toContainEqual({ name: 'bytes given', value: 65536, width: 52 })
  })

  test('describes a request', () => {
    const bench = new VirtioBench(new EntropyDevice('rng', 5))
    new VirtioDriver(bench).queues[0].post([{ room: 16 }])
    const [chain] = bench.core.queues[0].pending()
    expect('buffers' in chain && bench.core.device.describe(0, chain).summary).toBe('entropy, 16 bytes')
  })
})

test('the stream has no obvious pattern: each bit is set half the time', () => {
  const bytes = new RandomStream(1).bytes(80_000)
  for (let bit = 0; bit < 8; bit++) {
    const set = bytes.reduce((count, byte) => count + ((byte >> bit) & 1), 0)
    expect(set / bytes.length).toBeCloseTo(0.5, 1)
  }
  expect(new Set(bytes).size).toBe(256)
})
