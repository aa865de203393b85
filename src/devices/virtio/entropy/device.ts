/** The entropy device (Virtio 1.2, 5.4): one queue of buffers that it fills with bytes nobody expects. */

import type { Json } from '../../../util/json.ts'
import { RandomStream } from '../../../util/random-stream.ts'
import type { RegisterView } from '../../device.ts'
import { SavedState } from '../../saved-state.ts'
import {
  type ChainContent,
  type ChainDescription,
  VIRTIO_ID_ENTROPY,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'

const QUEUE_SIZE = 64
/** Bytes of one request at most; the device may give less than was asked for (5.4.6.2 wants one at least). */
const MOST_BYTES = 65536
/** PCI class: no class of its own. */
const CLASS_OTHER = 0x00ff00

/** The bytes come from a stream of the machine's own: the same in every run, and part of saved state. */
export class EntropyDevice implements VirtioDevice {
  readonly name: string
  readonly type = VIRTIO_ID_ENTROPY
  readonly classCode = CLASS_OTHER
  readonly queues = [{ name: 'requestq', maximumSize: QUEUE_SIZE }]
  readonly features = 0n
  readonly featureNames = {}
  readonly configurationSize = 0
  readonly #seed: number
  #stream: RandomStream
  #port: VirtioPort | undefined
  /** Bytes given since power-on. */
  #given = 0

  /** @param seed 32 bits: another one, other bytes. */
  constructor(name: string, seed: number) {
    this.name = name
    this.#seed = seed
    this.#stream = new RandomStream(seed)
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  readConfiguration(): number {
    return 0
  }

  writeConfiguration(): void {}

  negotiated(): boolean {
    return true
  }

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      const bytes = this.#stream.bytes(Math.min(chain.writableLength, MOST_BYTES))
      this.#given += bytes.length
      queue.complete(chain, chain.write(0, bytes))
    }
    queue.flush()
  }

  /** The stream goes on: a driver that resets the device does not get the same bytes again. */
  reset(): void {}

  save(): Json {
    return { stream: [...this.#stream.state], given: this.#given }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    const [a, b, c, d] = saved.numbers('stream', 4)
    this.#stream = new RandomStream(this.#seed)
    this.#stream.state = [a, b, c, d]
    this.#given = saved.number('given')
  }

  registers(): readonly RegisterView[] {
    return [{ name: 'bytes given', value: this.#given, width: 52 }]
  }

  describe(_queue: number, chain: ChainContent): ChainDescription {
    const fields = [{ name: 'wanted', value: `${chain.writableLength} bytes` }]
    return { summary: `entropy, ${chain.writableLength} bytes`, fields }
  }
}
