import { beforeEach, describe, expect, it } from 'vitest'
import { Balloon } from '../../../../src/devices/virtio/balloon/device.ts'
import { FramePool } from '../../../../src/vmm/frame-pool.ts'
import { GuestPhysicalMemory } from '../../../../src/vmm/guest-memory.ts'
import { FakeChain, FakePort } from '../../../support/virtio-port.ts'
import { ScriptedProcessor } from '../../../vmm/support/scripted-processor.ts'

const MIB = 2 ** 20
const [INFLATE, DEFLATE, STATISTICS, REPORTING] = [0, 1, 2, 3]

const pages = (...numbers: number[]) => new Uint8Array(Uint32Array.from(numbers).buffer)

function statistics(...entries: readonly (readonly [tag: number, value: bigint])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(entries.length * 10))
  for (const [i, [tag, value]] of entries.entries()) {
    view.setUint16(i * 10, tag, true)
    view.setBigUint64(i * 10 + 2, value, true)
  }
  return new Uint8Array(view.buffer)
}

describe('the balloon', () => {
  let pool: FramePool
  let memory: GuestPhysicalMemory
  let balloon: Balloon
  let port: FakePort
  beforeEach(() => {
    const processor = new ScriptedProcessor()
    pool = new FramePool(processor.memory, 65536)
    memory = new GuestPhysicalMemory(processor, pool, 4 * MIB)
    balloon = new Balloon('virtio-balloon0', memory)
    port = new FakePort(balloon)
  })

  const send = (queue: number, chain: FakeChain): FakeChain => {
    port.queues[queue].available.push(chain)
    balloon.service(queue)
    return chain
  }

  it('asks for pages in its configuration space, and says so', () => {
    let changes = 0
    port.configurationChanged = () => changes++
    balloon.inflateTo(MIB + 5)
    expect(balloon.readConfiguration(0, 4)).toBe(256)
    expect(changes).toBe(1)
    balloon.inflateTo(MIB)
    expect(changes).toBe(1)
    expect(() => balloon.inflateTo(5 * MIB)).toThrow(RangeError)
  })

  it('knows its size from the driver, which can write nothing else', () => {
    balloon.writeConfiguration(4, 4, 256)
    balloon.writeConfiguration(0, 4, 99)
    expect(balloon.size).toBe(MIB)
    expect(balloon.target).toBe(0)
    balloon.writeConfiguration(5, 1, 2)
    expect(balloon.readConfiguration(4, 4)).toBe(0x200)
  })

  it('gives the frames of its pages back; they are zero when they return', () => {
    memory.write(2 * MIB, Uint8Array.of(1, 2, 3))
    memory.write(2 * MIB + 4096, Uint8Array.of(4))
    const before = pool.allocated
    const chain = send(INFLATE, new FakeChain(0, pages(512, 513), 0))
    expect(chain.written).toBe(0)
    expect([...memory.touchedPages()]).toEqual([])
    // Two frames, and the three EPT tables that led to nothing else.
    expect(before - pool.allocated).toBe(5)
    expect(memory.hostAddress(2 * MIB)).toBeUndefined()
    expect(memory.ept.translate(2 * MIB)).toBeUndefined()
    expect(memory.read(2 * MIB, 4)).toEqual(new Uint8Array(4))
    send(DEFLATE, new FakeChain(1, pages(512, 513), 0))
    memory.write(2 * MIB + 8, Uint8Array.of(9))
    expect(memory.read(2 * MIB, 9)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 9))
  })

  it('passes over pages that are no RAM, have no frame, or are named twice', () => {
    memory.write(MIB, Uint8Array.of(1))
    memory.write(0x5000, Uint8Array.of(1))
    send(INFLATE, new FakeChain(0, pages(0xffffffff, 0xa0, 1023, 1024, 256, 256), 0))
    expect([...memory.touchedPages()]).toEqual([0x5000])
    expect(balloon.registers().find(({ name }) => name === 'frames given back')?.value).toBe(1)
    send(INFLATE, new FakeChain(1, Uint8Array.of(1, 2, 3), 0))
    expect(port.failures).toEqual([])
  })

  it('takes free memory that the guest reports, whole pages of it only', () => {
    for (const gpa of [0x1000, 0x2000, 0x3000]) memory.write(gpa, Uint8Array.of(7))
    const chain = new FakeChain(0, new Uint8Array(0), 0)
    Object.defineProperty(chain, 'buffers', { value: [{ gpa: 0x1800, length: 0x2000, writable: true }] })
    send(REPORTING, chain)
    expect([0x1000, 0x2000, 0x3000].map(gpa => memory.read(gpa, 1)[0])).toEqual([7, 0, 7])
  })

  it('does bounded work for a chain that reports all memory again and again', () => {
    memory.write(MIB, Uint8Array.of(1))
    const chain = new FakeChain(0, new Uint8Array(0), 0)
    const everything = { gpa: 0, length: 4 * MIB, writable: true }
    Object.defineProperty(chain, 'buffers', { value: Array.from({ length: 1000 }, () => everything) })
    let asked = 0
    const counting = new Balloon('virtio-balloon1', {
      size: memory.size,
      discard: gpas => {
        asked += gpas.length
        return memory.discard(gpas)
      },
    })
    const other = new FakePort(counting)
    other.queues[REPORTING].available.push(chain)
    counting.service(REPORTING)
    expect(asked).toBe(1024)
  })

  it('keeps a buffer for statistics, returns it to ask, and shows what comes', () => {
    expect(balloon.askStatistics()).toBe(false)
    const first = send(STATISTICS, new FakeChain(0, statistics([4, 1000n], [5, 4000n], [99, 1n]), 0))
    expect(first.written).toBeUndefined()
    expect(balloon.registers()).toContainEqual({ name: 'free, bytes', value: 1000, width: 64 })
    expect(balloon.askStatistics()).toBe(true)
    expect(first.written).toBe(0)
    send(STATISTICS, new FakeChain(1, statistics([4, 500n]), 0))
    expect(balloon.registers()).toContainEqual({ name: 'free, bytes', value: 500, width: 64 })
    expect(balloon.registers()).toContainEqual({ name: 'total, bytes', value: 4000, width: 64 })
  })

  it('describes its chains', () => {
    expect(balloon.describe(INFLATE, new FakeChain(0, pages(1, 2), 0))).toEqual({
      summary: '2 pages into the balloon',
      fields: [{ name: 'pages', value: '0x1000, 0x2000' }],
    })
    expect(balloon.describe(STATISTICS, new FakeChain(0, statistics([3, 12n]), 0)).fields).toEqual([
      { name: 'minor faults', value: '12' },
    ])
  })

  it('saves and restores', () => {
    balloon.inflateTo(MIB)
    balloon.writeConfiguration(4, 4, 100)
    send(STATISTICS, new FakeChain(0, statistics([4, 2n ** 60n]), 0))
    const other = new Balloon('virtio-balloon0', memory)
    new FakePort(other)
    other.restore(balloon.save())
    expect(other.registers()).toEqual(balloon.registers())
  })

  it('after a reset has nothing in it', () => {
    balloon.writeConfiguration(4, 4, 100)
    send(STATISTICS, new FakeChain(0, statistics([4, 2n]), 0))
    balloon.reset()
    expect(balloon.size).toBe(0)
    expect(balloon.askStatistics()).toBe(false)
  })
})
