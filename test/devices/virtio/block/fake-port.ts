/** A virtio device's surroundings without rings or guest memory: chains are put in and taken out as they are. */

import type {
  Chain,
  ChainBuffer,
  DeviceQueue,
  VirtioDevice,
  VirtioPort,
} from '../../../../src/devices/virtio/virtio-device.ts'

/** A chain of one readable and one writable run. */
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
}

export class FakeQueue implements DeviceQueue {
  readonly index: number
  readonly enabled = true
  readonly size = 256
  readonly available: Chain[] = []
  readonly completed: Chain[] = []
  flushes = 0

  constructor(index: number) {
    this.index = index
  }

  take(): Chain | undefined {
    return this.available.shift()
  }

  putBack(chain: Chain): void {
    this.available.unshift(chain)
  }

  complete(chain: Chain, written: number): void {
    if (this.completed.includes(chain)) throw new Error(`chain ${chain.id} was completed twice`)
    if (chain instanceof FakeChain) chain.written = written
    this.completed.push(chain)
  }

  flush(): void {
    this.flushes++
  }
}

export class FakePort implements VirtioPort {
  features: bigint
  running = true
  readonly queues: readonly FakeQueue[]
  readonly failures: string[] = []

  /** Connects the device, with all of its features accepted but those in `without`. */
  constructor(device: VirtioDevice, without: readonly number[] = []) {
    this.features = without.reduce((bits, bit) => bits & ~(1n << BigInt(bit)), device.features)
    this.queues = device.queues.map((_, index) => new FakeQueue(index))
    device.connect(this)
    device.negotiated()
  }

  configurationChanged(): void {}

  fail(reason: string): void {
    this.running = false
    this.failures.push(reason)
  }
}
