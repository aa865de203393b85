import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WorkerBackend } from '../../../../src/backends/disk/worker/worker-backend.ts'
import { BlockDevice } from '../../../../src/devices/virtio/block/device.ts'
import * as p from '../../../../src/devices/virtio/block/protocol.ts'
import { FakeChain, FakePort } from '../../../support/virtio-port.ts'

let scratch: string
let image: string
let backend: WorkerBackend | undefined

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ringside-block-'))
  image = join(scratch, 'a.img')
  writeFileSync(image, new Uint8Array(64 * 512).fill(7))
})
afterEach(() => {
  backend?.close()
  rmSync(scratch, { recursive: true })
})

function setUp(entry?: URL) {
  const served = new WorkerBackend(image, entry === undefined ? {} : { entry })
  backend = served
  const failures: string[] = []
  const device = new BlockDevice({
    ...{ name: 'virtio-blk0', backend: served, queues: 2 },
    onFailure: reason => failures.push(reason),
  })
  served.onDelivered = () => device.answersCame()
  return { backend: served, device, port: new FakePort(device), failures }
}

function request(type: number, sector: number, writable: number, data = new Uint8Array(0)): FakeChain {
  const bytes = new Uint8Array(16 + data.length)
  new DataView(bytes.buffer).setUint32(0, type, true)
  new DataView(bytes.buffer).setUint32(8, sector, true)
  bytes.set(data, 16)
  return new FakeChain(sector, bytes, writable)
}

test('a worker answers both queues, a batch with one interrupt, and nothing before it is asked', () => {
  const { backend, device, port } = setUp()
  const reads = [0, 1, 2, 3].map(sector => request(p.VIRTIO_BLK_T_IN, sector, 513))
  port.queues[0].available.push(...reads.slice(0, 2))
  port.queues[1].available.push(...reads.slice(2))
  device.service(0)
  device.service(1)
  const before = port.queues.map(queue => queue.flushes)
  expect(port.queues.map(queue => queue.completed.length)).toEqual([0, 0])
  expect(() => device.save()).toThrow('4 requests under way')
  backend.drain()
  expect(reads.map(({ writable }) => [writable[0], writable[512]])).toEqual(Array(4).fill([7, p.VIRTIO_BLK_S_OK]))
  expect(port.queues.map(queue => queue.completed.length)).toEqual([2, 2])
  expect(port.queues[0].flushes).toBeGreaterThan(before[0])
  expect(device.save()).toEqual({ writeback: true })
})

test('after a reset in the middle of requests their answers go nowhere, and new ones are answered', () => {
  const { backend, device, port } = setUp()
  const old = request(p.VIRTIO_BLK_T_IN, 0, 513)
  port.queues[0].available.push(old)
  device.service(0)
  device.reset()
  const fresh = request(p.VIRTIO_BLK_T_IN, 1, 513)
  port.queues[0].available.push(fresh)
  device.service(0)
  backend.drain()
  expect(port.queues[0].completed).toEqual([fresh])
  expect(old.writable.every(byte => byte === 0xee)).toBe(true)
})

test('without a flush command, a write is flushed before it is answered', () => {
  const { backend, device, port } = setUp()
  port.features &= ~((1n << BigInt(p.VIRTIO_BLK_F_FLUSH)) | (1n << BigInt(p.VIRTIO_BLK_F_CONFIG_WCE)))
  const write = request(p.VIRTIO_BLK_T_OUT, 5, 1, new Uint8Array(512).fill(9))
  port.queues[0].available.push(write)
  device.service(0)
  backend.drain()
  expect([write.writable[0], port.queues[0].completed.length]).toEqual([p.VIRTIO_BLK_S_OK, 1])
  expect(readFileSync(image)[5 * 512]).toBe(9)
})

test('when the worker dies the guest has I/O errors, and people are told why', async () => {
  const entry = join(scratch, 'dies.mjs')
  writeFileSync(entry, 'throw new Error("out of luck")\n')
  const { backend, device, port, failures } = setUp(pathToFileURL(entry))
  const died = new Promise<void>(resolve => {
    backend.onArrival = resolve
  })
  const write = request(p.VIRTIO_BLK_T_OUT, 5, 1, new Uint8Array(512))
  port.queues[0].available.push(write)
  device.service(0)
  await died
  backend.deliver()
  const later = request(p.VIRTIO_BLK_T_IN, 5, 513)
  port.queues[0].available.push(later)
  device.service(0)
  expect([write.writable[0], later.writable[512]]).toEqual([p.VIRTIO_BLK_S_IOERR, p.VIRTIO_BLK_S_IOERR])
  expect(failures[0]).toBe(
    `virtio-blk0: the worker of disk "${image}" has failed: out of luck; the guest is told of an I/O error`,
  )
})
