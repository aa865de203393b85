/** A virtio device's surroundings without rings or guest memory: chains are put in and taken out as they are. */

import type {
  Chain,
  ChainBuffer,
  DeviceQueue,
  VirtioDevice,
  VirtioPort,
} from '../../src/devices/virtio/virtio-device.ts'

/** A chain of one readable and one writable run, the second of bytes EEh: what a device wrote can be told from it. */
export class FakeChain implements Chain {
  readonly id: number
  readonly readable: Uint8Array
  readonly writable: Uint8Array
  /** How it was completed: bytes written; undefined before. */
  written: number | undefined

  constructor(id: number, readable: Uint8Array, writableLength: number) {
    this.id = id
    this.readable = readable
    this.writable = new Uint8Array(writableLength).fill(0xee)
  }

  get buffers(): readonly ChainBuffer[] {
    return [
      { gpa: 0x1000, length: this.readable.length, writable: false },
      { gpa: 0x2000, length: this.writable.length, writable: true },
    ].filter(({ length }) => length > 0)
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
    return this.writable.slice(Math.max(0, offset), offset + length)
  }

  readInto(offset: number, bytes: Uint8Array): number {
    const there = this.read(offset, bytes.length)
    bytes.set(there)
    return there.length
  }

  write(offset: number, bytes: Uint8Array): number {
    const fits = Math.max(0, Math.min(bytes.length, this.writable.length - offset))
    this.writable.set(bytes.subarray(0, fits), offset)
    return fits
  }

  view(offset: number, length: number): readonly Uint8Array[] {
    return [this.readable.subarray(offset, offset + length)]
  }

  fill<T>(offset: number, length: number, use: (pieces: readonly Uint8Array[]) => T): T {
    return use([this.writable.subarray(offset, offset + length)])
  }
}

/** Throws where a device completes or puts back what it has not taken. */
export class FakeQueue implements DeviceQueue {
  readonly index: number
  readonly enabled = true
  readonly size = 256
  readonly available: FakeChain[] = []
  readonly completed: FakeChain[] = []
  flushes = 0
  /** Flushes with something completed since the one before. */
  interrupts = 0
  readonly #taken: FakeChain[] = []
  #next = 0
  #unflushed = 0

  constructor(index: number) {
    this.index = index
  }

  /** A chain whose writable run is zeros, as memory that a driver has just got. */
  post(readable: Uint8Array, writableLength = 0): FakeChain {
    const chain = new FakeChain(this.#next++, readable, writableLength)
    chain.writable.fill(0)
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
    const taken = this.#taken.find(each => each === chain)
    if (taken === undefined) throw new Error(`chain ${chain.id} completed that the device does not have`)
    this.#taken.splice(this.#taken.indexOf(taken), 1)
    taken.written = written
    this.completed.push(taken)
    this.#unflushed++
  }

  flush(): void {
    this.flushes++
    if (this.#unflushed > 0) this.interrupts++
    this.#unflushed = 0
  }
}

export class FakePort implements VirtioPort {
  features: bigint
  running = true
  readonly queues: readonly FakeQueue[]
  readonly failures: string[] = []
  configurationChanges = 0

  /** Connects the device. @param features that the driver accepts: all if absent. */
  constructor(device: VirtioDevice, features = device.features) {
    this.features = features
    this.queues = device.queues.map((_, index) => new FakeQueue(index))
    device.connect(this)
    device.negotiated()
  }

  configurationChanged(): void {
    this.configurationChanges++
  }

  fail(reason: string): void {
    this.running = false
    this.failures.push(reason)
  }
}

/** A device's features but for some. */
export function featuresWithout({ features }: VirtioDevice, ...bits: readonly number[]): bigint {
  return bits.reduce((left, bit) => left & ~(1n << BigInt(bit)), features)
}
