/** A virtio core for unit tests of devices: queues whose chains are arrays of bytes. */

import type {
  Chain,
  ChainBuffer,
  DeviceQueue,
  VirtioDevice,
  VirtioPort,
} from '../../../../src/devices/virtio/virtio-device.ts'

export class FakeChain implements Chain {
  readonly id: number
  readonly readable: Uint8Array
  readonly writable: Uint8Array
  readonly buffers: readonly ChainBuffer[] = []
  /** Bytes, once it is used. */
  written: number | undefined

  constructor(id: number, readable: Uint8Array, writableLength: number) {
    this.id = id
    this.readable = readable
    this.writable = new Uint8Array(writableLength)
  }

  get readableLength(): number {
    return this.readable.length
  }

  get writableLength(): number {
    return this.writable.length
  }

  read(offset: number, length: number): Uint8Array {
    return this.readable.slice(offset, offset + length)
  }

  readWritable(offset: number, length: number): Uint8Array {
    return this.writable.slice(offset, offset + length)
  }

  readInto(offset: number, bytes: Uint8Array): number {
    const there = this.read(offset, bytes.length)
    bytes.set(there)
    return there.length
  }

  write(offset: number, bytes: Uint8Array): number {
    const fitting = bytes.subarray(0, Math.max(0, this.writable.length - offset))
    this.writable.set(fitting, offset)
    return fitting.length
  }
}

export class FakeQueue implements DeviceQueue {
  readonly index: number
  readonly enabled = true
  readonly size = 256
  readonly available: FakeChain[] = []
  readonly used: FakeChain[] = []
  interrupts = 0
  readonly #taken: FakeChain[] = []
  #next = 0
  #completed = 0

  constructor(index: number) {
    this.index = index
  }

  post(readable: Uint8Array, writableLength = 0): FakeChain {
    const chain = new FakeChain(this.#next++, readable, writableLength)
    this.available.push(chain)
    return chain
  }

  take(): Chain | undefined {
    const chain = this.available.shift()
    if (chain !== undefined) this.#taken.push(chain)
    return chain
  }

  putBack(chain: Chain): void {
    const last = this.#taken.pop()
    if (last === undefined || last !== chain) throw new Error('a chain put back that is not the one taken last')
    this.available.unshift(last)
  }

  complete(chain: Chain, written: number): void {
    const index = this.#taken.findIndex(({ id }) => id === chain.id)
    if (index < 0) throw new Error('a chain completed that was not taken')
    const [taken] = this.#taken.splice(index, 1)
    taken.written = written
    this.used.push(taken)
    this.#completed++
  }

  flush(): void {
    if (this.#completed > 0) this.interrupts++
    this.#completed = 0
  }
}

export class FakePort implements VirtioPort {
  readonly features: bigint
  running = true
  readonly queues: FakeQueue[]
  configurationChanges = 0
  failure: string | undefined

  constructor(device: VirtioDevice, features: bigint) {
    this.features = features
    this.queues = device.queues.map((_, index) => new FakeQueue(index))
    device.connect(this)
  }

  configurationChanged(): void {
    this.configurationChanges++
  }

  fail(reason: string): void {
    this.failure = reason
  }
}
