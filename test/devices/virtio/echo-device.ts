/** A device for tests: it copies what it reads to where it may write, at once or when it is told to. */

import type { RegisterView } from '../../../src/devices/device.ts'
import { SavedState } from '../../../src/devices/saved-state.ts'
import type {
  Chain,
  ChainContent,
  ChainDescription,
  VirtioDevice,
  VirtioPort,
} from '../../../src/devices/virtio/virtio-device.ts'
import type { Json } from '../../../src/util/json.ts'

const MOST_BYTES = 65536
const CONFIGURATION = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

export class EchoDevice implements VirtioDevice {
  readonly name = 'echo0'
  readonly type: number = 42
  readonly classCode = 0x00ff00
  readonly queues: readonly { readonly name: string; readonly maximumSize: number }[]
  readonly features = 0b101n
  readonly featureNames = { 0: 'LOUD', 2: 'CLEAR' }
  readonly configurationSize = 10
  readonly configuration = Uint8Array.from(CONFIGURATION)
  /** Chains are kept until {@link finish}. */
  hold = false
  /** Features are refused. */
  stubborn = false
  readonly held: Chain[] = []
  /** Queue of each chain that is held. */
  readonly #origin = new Map<Chain, number>()
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
      if (this.hold) this.#keep(index, chain)
      else this.#echo(index, chain)
    }
    queue.flush()
  }

  /** Completes a chain that was held. */
  finish(chain: Chain): void {
    const index = this.#origin.get(chain) ?? 0
    this.held.splice(this.held.indexOf(chain), 1)
    this.#origin.delete(chain)
    this.#echo(index, chain)
    this.port.queues[index].flush()
  }

  #keep(index: number, chain: Chain): void {
    this.held.push(chain)
    this.#origin.set(chain, index)
  }

  #echo(index: number, chain: Chain): void {
    const length = Math.min(chain.readableLength, chain.writableLength, MOST_BYTES)
    this.port.queues[index].complete(chain, chain.write(0, chain.read(0, length)))
  }

  reset(): void {
    this.resets++
    this.configuration.set(CONFIGURATION)
    this.held.length = 0
    this.#origin.clear()
  }

  save(): Json {
    // A chain of a queue that the driver took away is nobody's any more.
    const held = this.held.filter(chain => this.port.queues[this.#origin.get(chain) ?? 0].taken?.includes(chain))
    return {
      held: held.map(chain => [this.#origin.get(chain) ?? 0, chain.id]),
      configuration: [...this.configuration],
    }
  }

  restore(state: Json): void {
    this.held.length = 0
    this.#origin.clear()
    const saved = new SavedState(this.name, state)
    this.configuration.set(saved.numbers('configuration', CONFIGURATION.length))
    for (const held of saved.values('held')) {
      const [index, id] = new SavedState(this.name, { held }).numbers('held', 2)
      const chain = this.port.queues[index]?.taken?.find(taken => taken.id === id)
      if (chain === undefined) throw new Error(`${this.name}: no chain ${id} is in flight in queue ${index}`)
      this.#keep(index, chain)
    }
  }

  registers(): readonly RegisterView[] {
    return [{ name: 'held', value: this.held.length, width: 16 }]
  }

  describe(_queue: number, chain: ChainContent): ChainDescription {
    return { summary: `echo of ${chain.readableLength} bytes`, fields: [] }
  }
}
