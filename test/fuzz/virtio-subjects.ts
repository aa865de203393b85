/** The virtio devices that `npm run fuzz:virtio` plays with: each with requests that its driver might make. */

import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SECTOR_SIZE } from '../../src/backends/disk/disk.ts'
import { InThreadBackend } from '../../src/backends/disk/disk-backend.ts'
import { MemoryDisk } from '../../src/backends/disk/memory-disk.ts'
import { SharedFolder } from '../../src/backends/share/shared-folder.ts'
import { NinePDevice } from '../../src/devices/virtio/9p/device.ts'
import { MessageWriter } from '../../src/devices/virtio/9p/message.ts'
import { REQUESTS } from '../../src/devices/virtio/9p/protocol.ts'
import { Balloon } from '../../src/devices/virtio/balloon/device.ts'
import { BlockDevice } from '../../src/devices/virtio/block/device.ts'
import { VirtioConsole } from '../../src/devices/virtio/console/device.ts'
import { EntropyDevice } from '../../src/devices/virtio/entropy/device.ts'
import { NetDevice } from '../../src/devices/virtio/net/device.ts'
import { TRANSMIT_QUEUE } from '../../src/devices/virtio/net/protocol.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import type { VirtualClock } from '../../src/util/virtual-clock.ts'
import { EchoDevice } from '../devices/virtio/echo-device.ts'
import { LateBackend } from '../support/late-backend.ts'
import type { PostedBuffer } from '../support/virtio-driver.ts'

const DISK_SECTORS = 64
const NET_MAC = 0x0252_5300_0001

/** Numbers from 0 up to a bound, the same for the same seed. */
export type Random = (bound: number) => number

export interface VirtioSubject {
  /** A device in power-on state. What it holds open is closed by `close`. */
  make(clock: VirtualClock): { readonly device: VirtioDevice; readonly close?: () => void }
  /** A chain that makes sense for a queue; noise is made of it. Buffers of any kind if absent. */
  request?(queue: number, next: Random): readonly PostedBuffer[]
  /** What a machine does before it is saved: nothing if absent. */
  settle?(device: VirtioDevice): void
  /** Something the host's side does, such as a packet that arrives. */
  poke?(device: VirtioDevice, next: Random): void
}

export const VIRTIO_SUBJECTS: Readonly<Record<string, VirtioSubject>> = {
  echo: {
    make: () => ({ device: new EchoDevice(3, 16) }),
    poke: device => {
      if (!(device instanceof EchoDevice)) return
      device.hold = !device.hold
      const [chain] = device.held
      if (chain !== undefined) device.finish(chain)
      device.port.configurationChanged()
    },
  },
  entropy: {
    make: () => ({ device: new EntropyDevice('virtio-rng0', 1) }),
    request: (_queue, next) => [{ room: next(5000) }],
  },
  block: {
    make: () => {
      const disk = new MemoryDisk(new Uint8Array(SECTOR_SIZE * DISK_SECTORS))
      return { device: new BlockDevice({ name: 'virtio-blk0', backend: new InThreadBackend(disk), queues: 2 }) }
    },
    request: (_queue, next) => blockRequest(next),
  },
  'late block': {
    make: () => {
      const backend = new LateBackend(new MemoryDisk(new Uint8Array(SECTOR_SIZE * DISK_SECTORS)), 4)
      return { device: new LateBlockDevice(backend) }
    },
    request: (_queue, next) => blockRequest(next),
    poke: (device, next) => {
      if (device instanceof LateBlockDevice) device.answer(next(5))
    },
    settle: device => {
      if (device instanceof LateBlockDevice) device.answerAll()
    },
  },
  balloon: {
    make: () => ({
      device: new Balloon('virtio-balloon0', { size: 2 ** 20, discard: pages => pages.length }),
    }),
    request: (queue, next) =>
      queue === 3
        ? [{ room: 4096 * next(3) }]
        : [{ bytes: Uint8Array.from({ length: 4 * next(40) }, () => next(256)) }],
    poke: (device, next) => {
      if (!(device instanceof Balloon)) return
      if (next(2) === 0) device.inflateTo(4096 * next(256))
      else device.askStatistics()
    },
  },
  '9p': {
    make: () => {
      const top = fs.mkdtempSync(join(tmpdir(), 'ringside-fuzz-9p-'))
      fs.mkdirSync(join(top, 'share'))
      fs.writeFileSync(join(top, 'secret'), 'outside')
      const device = new NinePDevice('virtio-9p0', 'share', new SharedFolder(join(top, 'share'), true))
      const close = () => {
        device.reset()
        const outside = fs.readdirSync(top).join() === 'secret,share' && fs.readFileSync(join(top, 'secret'), 'utf8')
        fs.rmSync(top, { recursive: true })
        if (outside !== 'outside') throw new Error('the guest got out of its shared folder')
      }
      return { device, close }
    },
    request: (_queue, next) => [{ bytes: ninePRequest(next) }, { room: next(8) === 0 ? next(30) : 4096 }],
  },
  console: {
    make: () => {
      const port = (name: string, console: boolean) => ({ name, console, output: () => undefined })
      return { device: new VirtioConsole('virtio-console0', [port('first', true), port('second', false)]) }
    },
    request: (queue, next) => {
      if (queue % 2 === 0) return [{ room: next(100) }]
      // Messages of the control channel: port, event, value.
      return [{ bytes: Uint8Array.from({ length: next(20) }, (_, i) => (i % 2 === 0 ? next(9) : 0)) }]
    },
    poke: (device, next) => {
      if (device instanceof VirtioConsole) device.input(next(2), new Uint8Array(next(300)).fill(next(256)))
    },
  },
  net: {
    make: clock => {
      const device = new NetDevice({ name: 'virtio-net0', mac: NET_MAC, clock })
      // What is sent comes back.
      device.wire = { name: 'echo', receive: frame => device.receive(frame) }
      return { device }
    },
    request: (queue, next) => {
      if (queue === 0) return [{ room: next(4) === 0 ? next(100) : 1526 }]
      const bytes = Uint8Array.from({ length: 12 + next(1600) }, () => next(256))
      // Headers that ask for something: a checksum, or segments.
      if (queue === TRANSMIT_QUEUE) bytes.set([next(2), next(2), 0, 0, next(256), next(6), 34, 0, next(20), 0])
      else bytes.set([next(2), next(7)])
      return [{ bytes }, ...(queue === TRANSMIT_QUEUE ? [] : [{ room: 1 }])]
    },
    poke: (device, next) => {
      if (!(device instanceof NetDevice)) return
      if (next(10) === 0) device.setLink(next(4) !== 0)
      else device.receive(Uint8Array.from({ length: 14 + next(1600) }, () => next(256)))
    },
  },
}

/** With a back end that answers when it is poked. */
class LateBlockDevice extends BlockDevice {
  readonly #late: LateBackend

  constructor(backend: LateBackend) {
    super({ name: 'virtio-blk0', backend, queues: 2 })
    this.#late = backend
  }

  answer(count: number): void {
    this.#late.answer(count)
    this.answersCame()
  }

  answerAll(): void {
    while (this.#late.underWay > 0) this.answer(this.#late.underWay)
  }
}

/** A request of the block device. */
function blockRequest(next: Random): PostedBuffer[] {
  // Read, write, flush, id, discard, write zeroes, and types that there are none of.
  const type = [0, 0, 1, 1, 4, 8, 11, 13, next(20)][next(9)]
  const header = new Uint8Array(16)
  const view = new DataView(header.buffer)
  view.setUint32(0, type, true)
  view.setUint32(8, next(8) === 0 ? next(2 ** 32) : next(DISK_SECTORS), true)
  const data = next(6) === 0 ? next(2000) : SECTOR_SIZE * next(4)
  const reads = type === 0 || type === 8
  const bytes = Uint8Array.from({ length: type === 11 || type === 13 ? 16 : data }, () => next(3))
  return [{ bytes: header }, reads ? { room: type === 8 ? 20 : data } : { bytes }, { room: 1 }]
}

const NAMES = ['a', 'b', 'c', '..', '.', '../secret', '']

/** Requests about a few fids and names, so that they come to meet each other. */
function ninePRequest(next: Random): Uint8Array {
  const types = Object.values(REQUESTS)
  const message = new MessageWriter()
  const name = () => NAMES[next(next(4) === 0 ? NAMES.length : 3)]
  if (next(12) === 0) return message.u32(8192).string('9P2000.L').finish(REQUESTS.version, 0)
  if (next(12) === 0)
    return message.u32(next(4)).u32(0xffff_ffff).string('').string('').u32(0).finish(REQUESTS.attach, 1)
  const type = types[next(types.length)]
  message.u32(next(4))
  if (type === REQUESTS.walk) {
    const count = next(3)
    message.u32(next(4)).u16(count)
    for (let i = 0; i < count; i++) message.string(name())
  } else if (type === REQUESTS.renameat) message.string(name()).u32(next(4)).string(name())
  else if (type === REQUESTS.symlink) message.string(name()).string(['..', '../secret', 'a'][next(3)]).u32(0)
  else if (type === REQUESTS.link || type === REQUESTS.rename) message.u32(next(4)).string(name())
  else if (type === REQUESTS.write) {
    const length = next(30)
    message
      .u64(BigInt(next(50)))
      .u32(length)
      .bytes(new Uint8Array(length))
  } else if (type === REQUESTS.read || type === REQUESTS.readdir) message.u64(BigInt(next(5))).u32(next(9000))
  else if (type === REQUESTS.lopen) message.u32([0, 1, 2, 0o1002][next(4)])
  else message.string(name()).u32([0, 2, 0x200][next(3)]).u32(0o644).u32(0)
  return message.finish(type, next(3))
}
