/** A device for tests: it copies what it reads to where it may write, at once or when it is told to. */

import type { RegisterView } from '../../../src/devices/device.ts'
import type {
  Chain,
  ChainContent,
  ChainDescription,
  VirtioDevice,
  VirtioPort,
} from '../../../src/devices/virtio/virtio-device.ts'
import type { Json } from '../../../src/util/json.ts'

const MOST_BYTES = 65536

export class EchoDevice implements VirtioDevice {
  readonly name = 'echo0'
  readonly type = 42
  readonly classCode = 0x00ff00
  readonly queues: readonly { readonly name: string; readonly maximumSize: number }[]
  readonly features = 0b101n
  readonly featureNames = { 0: 'LOUD', 2: 'CLEAR' }
  readonly configurationSize = 10
  readonly configuration = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  /** Chains are kept until {@link finish}. */
  hold = false
  /** Features are refused. */
  stubborn = false
  readonly held: Chain[] = []
  services: number[] = []
  resets = 0
  #port: VirtioPort | undefined

  constructor(queues = 1, maximumSize = 8) {
    this.queues = Array.from({ length: queues }, (_, i) => ({ name: `queue${i}`, maximumSize }))
  }

  get port(): VirtioPort {
    if (this.#port === undefined) throw new Error('the device is not connected')
    return this.#port
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= this.configuration[offset + i] << (8 * i)
    return value >>> 0
  }

  writeConfiguration(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let i = 0; i < size; i++) this.configuration[offset + i] = value >>> (8 * i)
  }

  negotiated(): boolean {
    return !this.stubborn
  }

  service(index: number): void {
    this.services.push(index)
    const queue = this.port.queues[index]
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      if (this.hold) this.held.push(chain)
      else this.#echo(index, chain)
    }
    queue.flush()
  }

  /** Completes a chain that was held. */
  finish(chain: Chain, index = 0): void {
    this.held.splice(this.held.indexOf(chain), 1)
    this.#echo(index, chain)
    this.port.queues[index].flush()
  }

  #echo(index: number, chain: Chain): void {
    const length = Math.min(chain.readableLength, chain.writableLength, MOST_BYTES)
    this.port.queues[index].complete(chain, chain.write(0, chain.read(0, length)))
  }

  reset(): void {
    this.resets++
    this.held.length = 0
  }

  save(): Json {
    return { held: this.held.map(({ id }) => id) }
  }

  restore(): void {
    this.held.splice(0, Infinity, ...(this.port.queues[0].taken ?? []))
  }

  registers(): readonly RegisterView[] {
    return [{ name: 'held', value: this.held.length, width: 16 }]
  }

  describe(_queue: number, chain: ChainContent): ChainDescription {
    return { summary: `echo of ${chain.readableLength} bytes`, fields: [] }
  }
}
