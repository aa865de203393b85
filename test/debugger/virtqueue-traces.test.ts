/** When chains were posted, noted by watching the driver's writes to the ring. */

import { describe, expect, test } from 'vitest'
import type { StopHit, StopView } from '../../src/debugger/stop-request.ts'
import { VirtqueueTraces } from '../../src/debugger/virtqueue-traces.ts'
import type { MachineView } from '../../src/inspect/machine-view.ts'
import { EchoDevice } from '../devices/virtio/echo-device.ts'
import { FakeMachine } from '../support/fake-machine.ts'
import { INDIRECT_DESC, VirtioBench, VirtioDriver } from '../support/virtio-driver.ts'

const NAME = new EchoDevice().name

/** Nobody asks for one. */
const REGISTERS: StopView['registers'] = {
  ...{ cpl: 0, get: () => 0n, set: () => undefined, setSegment: () => undefined, setTable: () => undefined },
  segment: () => ({ selector: 0, base: 0n, limit: 0, rights: 0 }),
  table: () => ({ base: 0n, limit: 0 }),
}

const viewAt = (count: number): StopView => ({
  ...{ index: 0, cpl: 0, count, ripLow: 0, ripHigh: 0, rootFrame: 0 },
  ...{ low: () => 0, high: () => 0, read: () => undefined, readBytes: () => undefined },
  registers: REGISTERS,
})

function writeOf(id: number, address: number, size: number): StopHit {
  const bytes = { before: new Uint8Array(size), after: new Uint8Array(size) }
  return { ...{ id, kind: 'data', rip: 0n, write: true, address: BigInt(address), linear: 0n, size }, ...bytes }
}

function traced(packed: boolean) {
  const bench = new VirtioBench(new EchoDevice())
  const driver = new VirtioDriver(bench, { packed, features: INDIRECT_DESC, size: 8 })
  const machine: MachineView = Object.assign(new FakeMachine(4096), {
    virtio: [{ core: bench.core, place: 'MMIO 0x0', transport: 'mmio' }],
    hasRam: (gpa: number, length: number) => bench.memory.containsRam(gpa, length),
    readPhysical: (gpa: number, length: number) => bench.memory.bytes.slice(gpa, gpa + length),
  })
  const traces = new VirtqueueTraces(machine)
  traces.set(NAME, 0, true)
  const [request] = traces.requests()
  if (request.kind !== 'data') throw new Error('no data is watched')
  /** As the run loop tells of a write, at a count of instructions. */
  const wrote = (address: number, size: number, count: number): void => {
    request.log?.(viewAt(count), () => writeOf(request.id, address, size))
  }
  return { bench, driver, queue: driver.queues[0], traces, request, wrote }
}

describe('a traced queue', () => {
  test('of a split ring: each chain that the available index passes, the last before it was taken', () => {
    const { queue, traces, request, wrote } = traced(false)
    expect(request).toMatchObject({ space: 'physical', access: 'write', address: BigInt(queue.driver + 2), length: 2 })
    const first = queue.post([{ bytes: Uint8Array.of(1) }])
    wrote(queue.driver + 2, 2, 100)
    const second = queue.post([{ bytes: Uint8Array.of(2) }])
    const third = queue.post([{ bytes: Uint8Array.of(3) }])
    wrote(queue.driver + 2, 2, 200)
    expect([first, second, third].map(({ id }) => traces.postedAt(NAME, 0, { id, taken: 1000 }))).toEqual([
      100, 200, 200,
    ])
    expect(traces.postedAt(NAME, 0, { id: second.id, taken: 150 })).toBeUndefined()
  })

  test('of a packed ring: when the flags of a first descriptor are written, by the id of the last', () => {
    const { queue, traces, wrote } = traced(true)
    const { id } = queue.post([{ bytes: Uint8Array.of(1) }, { room: 1 }])
    // Its address and length make nothing available.
    wrote(queue.descriptors, 8, 90)
    expect(traces.postedAt(NAME, 0, { id, taken: 1000 })).toBeUndefined()
    wrote(queue.descriptors + 14, 2, 100)
    expect(traces.postedAt(NAME, 0, { id, taken: 1000 })).toBe(100)
  })

  test('is one before the driver sets it up, and again after each reset, where the ring is then', () => {
    const { bench, traces, queue } = traced(false)
    bench.core.driverReset()
    expect(traces.has(NAME, 0)).toBe(true)
    expect(traces.requests().map(({ kind }) => kind)).toEqual(['virtio'])
    // Another ring, elsewhere: the first chain that is posted there is noted, too.
    const again = new VirtioDriver(bench, { packed: false, features: INDIRECT_DESC, size: 4 }).queues[0]
    const ready = traces.requests().find(({ kind }) => kind === 'virtio')
    expect(ready).toMatchObject({ steps: ['ready'], device: NAME, queue: 0 })
    ready?.aside?.(0)
    const [data] = traces.requests()
    expect(again.driver).not.toBe(queue.driver)
    expect(data).toMatchObject({ kind: 'data', address: BigInt(again.driver + 2) })
    const { id } = again.post([{ bytes: Uint8Array.of(1) }])
    data.log?.(viewAt(500), () => writeOf(data.id, again.driver + 2, 2))
    expect(traces.postedAt(NAME, 0, { id, taken: 1000 })).toBe(500)
  })

  test('is none any more when it is told so, and one that is not there never is', () => {
    const { traces } = traced(false)
    traces.set(NAME, 0, false)
    expect([traces.requests(), traces.has(NAME, 0)]).toEqual([[], false])
    expect(() => traces.set(NAME, 5, true)).toThrow(`there is no queue 5 of a virtio device "${NAME}"`)
  })
})
