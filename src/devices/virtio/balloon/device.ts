/**
 * The memory balloon (Virtio 1.2, 5.5): the guest puts pages into it that it can do without, and takes them out again.
 * What is in the balloon has no frame: it goes back to the hypervisor's pool, and reads as zero when it returns.
 */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import { SavedState } from '../../saved-state.ts'
import {
  type Chain,
  type ChainContent,
  type ChainDescription,
  VIRTIO_ID_BALLOON,
  type VirtioDevice,
  type VirtioPort,
} from '../virtio-device.ts'
import {
  BALLOON_PAGE_SIZE,
  CONFIG_ACTUAL,
  CONFIG_NUM_PAGES,
  CONFIG_SIZE,
  DEFLATE_QUEUE,
  INFLATE_QUEUE,
  REPORTING_QUEUE,
  STATISTIC_SIZE,
  STATISTICS,
  STATISTICS_QUEUE,
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_MUST_TELL_HOST,
  VIRTIO_BALLOON_F_PAGE_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
} from './protocol.ts'

/** The guest's memory as the balloon takes it away. */
export interface BalloonMemory {
  /** Bytes of RAM. */
  readonly size: number
  /** Gives the frames of pages back, passing over what is no RAM. @returns how many */
  discard(gpas: readonly number[]): number
}

/** Page numbers of one chain: Linux sends 256, and a hostile driver as many as fit its memory. */
const MOST_PAGES = 65_536
/** Names of pages in a chain's description. */
const PAGES_SHOWN = 8

export class Balloon implements VirtioDevice {
  readonly name: string
  readonly type = VIRTIO_ID_BALLOON
  /** Memory controller, other (PCI Code and ID Assignment, 1.6). */
  readonly classCode = 0x058000
  readonly queues = [
    { name: 'inflateq', maximumSize: 128 },
    { name: 'deflateq', maximumSize: 128 },
    { name: 'statsq', maximumSize: 64 },
    { name: 'reporting_vq', maximumSize: 64 },
  ]
  readonly features =
    (1n << BigInt(VIRTIO_BALLOON_F_STATS_VQ)) |
    (1n << BigInt(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)) |
    (1n << BigInt(VIRTIO_BALLOON_F_PAGE_REPORTING))
  readonly featureNames = {
    [VIRTIO_BALLOON_F_MUST_TELL_HOST]: 'MUST_TELL_HOST',
    [VIRTIO_BALLOON_F_STATS_VQ]: 'STATS_VQ',
    [VIRTIO_BALLOON_F_DEFLATE_ON_OOM]: 'DEFLATE_ON_OOM',
    [VIRTIO_BALLOON_F_PAGE_REPORTING]: 'PAGE_REPORTING',
  }
  readonly configurationSize = CONFIG_SIZE

  readonly #memory: BalloonMemory
  #port: VirtioPort | undefined
  /** Pages that the guest is asked to have in the balloon, and says it has. */
  #target = 0
  #actual = 0
  /** By tag, as the driver said last. */
  readonly #statistics = new Map<number, bigint>()
  /** The driver's buffer for statistics: returned when they are wanted. */
  #statisticsChain: Chain | undefined
  /** Frames given back in all. */
  #discarded = 0

  constructor(name: string, memory: BalloonMemory) {
    this.name = name
    this.#memory = memory
  }

  connect(port: VirtioPort): void {
    this.#port = port
  }

  /** Bytes that the guest has given away. */
  get size(): number {
    return this.#actual * BALLOON_PAGE_SIZE
  }

  /** Bytes that the guest is asked to give away. */
  get target(): number {
    return this.#target * BALLOON_PAGE_SIZE
  }

  /** Asks the guest to give away that many bytes in all; it does so when it can. Throws RangeError beyond its RAM. */
  inflateTo(bytes: number): void {
    if (!(bytes >= 0 && bytes <= this.#memory.size))
      throw new RangeError(`a balloon of ${bytes} bytes: the guest has ${this.#memory.size}`)
    const pages = Math.floor(bytes / BALLOON_PAGE_SIZE)
    if (pages === this.#target) return
    this.#target = pages
    this.#port?.configurationChanged()
  }

  /** Asks the driver for statistics; they come with its next buffer. False when it has offered none. */
  askStatistics(): boolean {
    const queue = this.#port?.queues[STATISTICS_QUEUE]
    const chain = this.#statisticsChain
    if (queue === undefined || chain === undefined) return false
    this.#statisticsChain = undefined
    queue.complete(chain, 0)
    queue.flush()
    return true
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    const bytes = new DataView(new ArrayBuffer(CONFIG_SIZE))
    bytes.setUint32(CONFIG_NUM_PAGES, this.#target, true)
    bytes.setUint32(CONFIG_ACTUAL, this.#actual, true)
    if (size === 4) return bytes.getUint32(offset, true)
    return size === 2 ? bytes.getUint16(offset, true) : bytes.getUint8(offset)
  }

  writeConfiguration(offset: number, size: 1 | 2 | 4, value: number): void {
    const bytes = new DataView(new ArrayBuffer(CONFIG_SIZE))
    bytes.setUint32(CONFIG_ACTUAL, this.#actual, true)
    if (size === 4) bytes.setUint32(offset, value, true)
    else if (size === 2) bytes.setUint16(offset, value, true)
    else bytes.setUint8(offset, value)
    // 5.5.4: the driver writes `actual` only; what it writes elsewhere is nothing.
    this.#actual = bytes.getUint32(CONFIG_ACTUAL, true)
  }

  negotiated(): boolean {
    return true
  }

  service(index: number): void {
    const queue = this.#port?.queues[index]
    if (queue === undefined) return
    for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
      if (index === STATISTICS_QUEUE) this.#statisticsCame(chain)
      else {
        if (index === INFLATE_QUEUE) this.#inflate(chain)
        else if (index === REPORTING_QUEUE) this.#reported(chain)
        // Pages that leave the balloon get frames when they are touched: there is nothing to do.
        queue.complete(chain, 0)
      }
    }
    queue.flush()
  }

  /** Nothing but RAM is discarded: page numbers of anything else are a driver's mistake, and go nowhere. */
  #inflate(chain: Chain): void {
    this.#discarded += this.#memory.discard(pageNumbers(chain).map(page => page * BALLOON_PAGE_SIZE))
  }

  /** 5.5.6.7: the buffers themselves are free memory, whole pages of it. */
  #reported({ buffers }: Chain): void {
    // A hostile chain names the same memory again and again: more than there is does not count.
    let left = Math.floor(this.#memory.size / BALLOON_PAGE_SIZE)
    for (const { gpa, length, writable } of buffers) {
      const first = Math.ceil(gpa / BALLOON_PAGE_SIZE)
      const whole = writable ? Math.floor((gpa + length) / BALLOON_PAGE_SIZE) - first : 0
      const count = Math.max(0, Math.min(whole, left))
      left -= count
      const pages = Array.from({ length: count }, (_, i) => (first + i) * BALLOON_PAGE_SIZE)
      this.#discarded += this.#memory.discard(pages)
    }
  }

  #statisticsCame(chain: Chain): void {
    const bytes = chain.read(0, STATISTICS.length * STATISTIC_SIZE)
    for (const [tag, value] of statisticsIn(bytes)) this.#statistics.set(tag, value)
    // 5.5.6.3: the device keeps one buffer, and returns it to ask for the next statistics.
    const held = this.#statisticsChain
    this.#statisticsChain = chain
    if (held !== undefined) this.#port?.queues[STATISTICS_QUEUE].complete(held, 0)
  }

  reset(): void {
    // What was in the balloon stays without frames, and is the guest's again.
    this.#actual = 0
    this.#statistics.clear()
    this.#statisticsChain = undefined
  }

  save(): Json {
    return {
      target: this.#target,
      actual: this.#actual,
      discarded: this.#discarded,
      statistics: [...this.#statistics].map(([tag, value]) => ({ tag, value: value.toString() })),
      statisticsChain: this.#statisticsChain?.id ?? -1,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#target = saved.number('target')
    this.#actual = saved.number('actual')
    this.#discarded = saved.number('discarded')
    this.#statistics.clear()
    for (const part of saved.parts('statistics')) this.#statistics.set(part.number('tag'), part.bigint('value'))
    const id = saved.number('statisticsChain')
    this.#statisticsChain = this.#port?.queues[STATISTICS_QUEUE].taken?.find(chain => chain.id === id)
  }

  registers(): readonly RegisterView[] {
    return [
      { name: 'num_pages', value: this.#target, width: 32, meaning: megabytes(this.target) },
      { name: 'actual', value: this.#actual, width: 32, meaning: megabytes(this.size) },
      { name: 'frames given back', value: this.#discarded, width: 64 },
      ...Array.from(this.#statistics, ([tag, value]) => ({
        ...{ name: STATISTICS[tag], value: Number(value), width: 64 },
      })),
    ]
  }

  describe(index: number, chain: ChainContent): ChainDescription {
    if (index === STATISTICS_QUEUE) return describeStatistics(chain)
    if (index === REPORTING_QUEUE) {
      const bytes = chain.buffers.reduce((sum, { length }) => sum + length, 0)
      return { summary: `${chain.buffers.length} free ranges, ${bytes} bytes`, fields: [] }
    }
    const pages = pageNumbers(chain)
    const shown = pages.slice(0, PAGES_SHOWN).map(page => `0x${(page * BALLOON_PAGE_SIZE).toString(16)}`)
    if (pages.length > PAGES_SHOWN) shown.push('…')
    return {
      summary: `${pages.length} pages ${index === DEFLATE_QUEUE ? 'out of' : 'into'} the balloon`,
      fields: [{ name: 'pages', value: shown.join(', ') }],
    }
  }
}

/** 5.5.6: an array of 32-bit page numbers. */
function pageNumbers(chain: ChainContent): number[] {
  const bytes = chain.read(0, MOST_PAGES * 4)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getUint32(i * 4, true))
}

/** Those whose tags are known. */
function statisticsIn(bytes: Uint8Array): [tag: number, value: bigint][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const found: [number, bigint][] = []
  for (let at = 0; at + STATISTIC_SIZE <= bytes.length; at += STATISTIC_SIZE) {
    const tag = view.getUint16(at, true)
    if (tag < STATISTICS.length) found.push([tag, view.getBigUint64(at + 2, true)])
  }
  return found
}

function describeStatistics(chain: ChainContent): ChainDescription {
  const statistics = statisticsIn(chain.read(0, STATISTICS.length * STATISTIC_SIZE))
  return {
    summary: `${statistics.length} statistics`,
    fields: statistics.map(([tag, value]) => ({ name: STATISTICS[tag], value: value.toString() })),
  }
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
