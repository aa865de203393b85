/** A folder of the host by 9P over virtio (Virtio 1.2 reserves device type 9; the transport is Linux's trans_virtio). */

import type { SharedFolder } from '../../../backends/share/shared-folder.ts'
import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import { SavedState } from '../../saved-state.ts'
import {
  type ChainContent,
  type ChainDescription,
  VIRTIO_ID_9P,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'
import * as p from './protocol.ts'
import { NinePServer } from './server.ts'

/** VIRTIO_9P_MOUNT_TAG: the configuration space has the tag, a length of 16 bits in front. */
const F_MOUNT_TAG = 0
const QUEUE_SIZE = 128
const LONGEST_TAG = 31

export class NinePDevice implements VirtioDevice {
  readonly name: string
  readonly type = VIRTIO_ID_9P
  /** Mass storage, other (PCI Code and ID Assignment, 1.2). */
  readonly classCode = 0x018000
  readonly queues = [{ name: 'requests', maximumSize: QUEUE_SIZE }]
  readonly features = 1n << BigInt(F_MOUNT_TAG)
  readonly featureNames = { [F_MOUNT_TAG]: 'MOUNT_TAG' }
  readonly configurationSize: number

  readonly #configuration: Uint8Array
  readonly #folder: SharedFolder
  readonly #server: NinePServer
  #port: VirtioPort | undefined
  #served = 0

  /** @param tag that the guest mounts it by. Throws RangeError for one that is empty or too long. */
  constructor(name: string, tag: string, folder: SharedFolder) {
    const bytes = Buffer.from(tag, 'utf8')
    if (bytes.length < 1 || bytes.length > LONGEST_TAG)
      throw new RangeError(`${name}: a tag of ${bytes.length} bytes; 1 to ${LONGEST_TAG} are possible`)
    this.name = name
    this.#configuration = Uint8Array.of(bytes.length & 0xff, bytes.length >> 8, ...bytes)
    this.configurationSize = this.#configuration.length
    this.#folder = folder
    this.#server = new NinePServer(folder)
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    let value = 0
    for (let i = 0; i < size; i++) value |= (this.#configuration[offset + i] ?? 0) << (8 * i)
    return value >>> 0
  }

  writeConfiguration(): void {}

  negotiated(): boolean {
    return true
  }

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      // A message is no longer than was agreed on, whatever the chain's length.
      const answer = this.#server.serve(chain.read(0, Math.min(chain.readableLength, this.#server.msize)))
      queue.complete(chain, chain.write(0, answer))
      this.#served++
    }
    queue.flush()
  }

  reset(): void {
    this.#server.reset()
    this.#served = 0
  }

  save(): Json {
    return { served: this.#served, server: this.#server.save() }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#served = saved.number('served')
    this.#server.restore(saved.part('server'))
  }

  registers(): readonly RegisterView[] {
    const tag = Buffer.from(this.#configuration.subarray(2)).toString('utf8')
    return [
      { name: 'tag_len', value: this.#configuration[0], width: 16, meaning: tag },
      { name: 'writable', value: this.#folder.writable ? 1 : 0, width: 1, meaning: this.#folder.name },
      { name: 'msize', value: this.#server.msize, width: 32 },
      { name: 'fids', value: this.#server.fids, width: 32 },
      { name: 'open files', value: this.#server.open, width: 32 },
      { name: 'requests', value: this.#served, width: 64 },
    ]
  }

  describe(_index: number, chain: ChainContent): ChainDescription {
    const request = header(chain.read(0, p.HEADER_SIZE))
    const answer = header(chain.readWritable(0, p.HEADER_SIZE + 4))
    if (request === undefined) return { summary: 'no 9P message', fields: [] }
    const name = p.requestOf(request.type)
    return {
      summary: `T${name ?? request.type}, tag ${request.tag}, ${request.size} bytes`,
      fields: answer === undefined || answer.tag !== request.tag ? [] : [{ name: 'answer', value: answerText(answer) }],
    }
  }
}

interface Header {
  readonly size: number
  readonly type: number
  readonly tag: number
  /** The first word behind the header. */
  readonly word: number | undefined
}

function header(bytes: Uint8Array): Header | undefined {
  if (bytes.length < p.HEADER_SIZE) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const word = bytes.length >= p.HEADER_SIZE + 4 ? view.getUint32(p.HEADER_SIZE, true) : undefined
  return { size: view.getUint32(0, true), type: bytes[4], tag: view.getUint16(5, true), word }
}

function answerText({ type, size, word }: Header): string {
  if (type === p.RLERROR) return `Rlerror ${word ?? ''}`.trim()
  const name = p.requestOf(type - 1)
  return `R${name ?? type}, ${size} bytes`
}
