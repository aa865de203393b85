/** What passes between drivers and virtio devices, as something to stop at: listening, and which event is meant. */

import { SECTOR_SIZE } from '../backends/disk/disk.ts'
import * as p from '../devices/virtio/block/protocol.ts'
import { dataLength, readHeader } from '../devices/virtio/block/request.ts'
import { type ChainContent, VIRTIO_ID_BLOCK, type VirtioDevice } from '../devices/virtio/virtio-device.ts'
import type { VirtioEvent, VirtioObserver } from '../devices/virtio/virtio-observer.ts'
import type { VirtQueue } from '../devices/virtio/virtqueue/virt-queue.ts'
import type { StopHit, VirtioStop } from './stop-request.ts'

/** A device that can be listened to. */
export interface ObservedDevice {
  readonly core: {
    readonly device: Pick<VirtioDevice, 'name' | 'type' | 'describe'>
    readonly queues: readonly Pick<VirtQueue, 'index' | 'pending'>[]
    observer: VirtioObserver | undefined
  }
}

/** Waiting chains that are looked at for their sectors at a kick. */
const MOST_WAITING = 256

export class VirtioStops {
  readonly #devices: readonly ObservedDevice[]

  constructor(devices: readonly ObservedDevice[]) {
    this.#devices = devices
  }

  /** Without a listener devices tell nothing, and it costs nothing. */
  observe(wanted: boolean, listener: VirtioObserver): void {
    for (const { core } of this.#devices) core.observer = wanted ? listener : undefined
  }

  concerns({ steps, device, queue, sectors }: VirtioStop, event: VirtioEvent): boolean {
    if (!steps.includes(event.kind) || (device !== undefined && device !== event.device)) return false
    if (queue !== undefined && (!('queue' in event) || event.queue !== queue)) return false
    return sectors === undefined || this.#chainsOf(event).some(chain => meets(sectors, sectorsOf(chain)))
  }

  hit(event: VirtioEvent): Omit<Extract<StopHit, { kind: 'virtio' }>, 'id'> {
    const queue = 'queue' in event ? event.queue : undefined
    return {
      ...{ kind: 'virtio', step: event.kind, device: event.device },
      ...(queue === undefined ? {} : { queue }),
      ...('chain' in event ? { chain: { id: event.chain.id, summary: this.#summary(event) } } : {}),
      ...(event.kind === 'broken' ? { reason: event.reason } : {}),
      ...(event.kind === 'broken' && event.descriptor !== undefined ? { descriptor: event.descriptor } : {}),
    }
  }

  #summary({ device, queue, chain }: Extract<VirtioEvent, { readonly chain: ChainContent }>): string {
    return this.#core(device)?.device.describe(queue, chain).summary ?? ''
  }

  /** Of a disk: the chain that the event is about; of a kick those that wait. */
  #chainsOf(event: VirtioEvent): readonly ChainContent[] {
    const core = this.#core(event.device)
    if (core?.device.type !== VIRTIO_ID_BLOCK) return []
    if ('chain' in event) return [event.chain]
    if (event.kind !== 'kick') return []
    const waiting = core.queues[event.queue]?.pending(MOST_WAITING) ?? []
    return waiting.flatMap(chain => ('buffers' in chain ? [chain] : []))
  }

  #core(name: string): ObservedDevice['core'] | undefined {
    return this.#devices.find(({ core }) => core.device.name === name)?.core
  }
}

interface SectorRange {
  readonly first: number
  readonly last: number
}

/** What a block request has to do with; undefined for one without a place. */
function sectorsOf(chain: ChainContent): SectorRange | undefined {
  const header = readHeader(chain)
  switch (header?.type) {
    case p.VIRTIO_BLK_T_IN:
    case p.VIRTIO_BLK_T_OUT:
      return rangeOf(header.sector, Math.ceil(dataLength(header, chain) / SECTOR_SIZE))
    case p.VIRTIO_BLK_T_DISCARD:
    case p.VIRTIO_BLK_T_WRITE_ZEROES: {
      const bytes = chain.read(p.HEADER_SIZE, p.RANGE_SIZE)
      if (bytes.length < p.RANGE_SIZE) return undefined
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      return rangeOf(view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32, view.getUint32(8, true))
    }
    default:
      return undefined
  }
}

const rangeOf = (first: number, count: number): SectorRange => ({ first, last: first + Math.max(count, 1) - 1 })

const meets = (wanted: SectorRange, range: SectorRange | undefined): boolean =>
  range !== undefined && range.first <= wanted.last && range.last >= wanted.first
