/**
 * When a driver posts chains, which no device is told of: its write of the available index (split ring), or of a first
 * descriptor's flags (packed ring), is watched while somebody wants to know, and noted with the count of instructions.
 */

import { DESCRIPTOR_SIZE } from '../devices/virtio/virtqueue/descriptor.ts'
import type { MachineView, VirtqueueView } from '../inspect/machine-view.ts'
import { packedDescriptor } from '../inspect/virtio/descriptor-model.ts'
import { viewOf } from '../inspect/virtio/ring-memory.ts'
import type { StopRequest } from './stop-request.ts'
import { TargetError } from './target.ts'

/** Ids of our own requests, downwards. */
const FIRST_ID = -1000
/** Posted chains that are remembered for a queue: more than its history has. */
const MOST_POSTED = 1024
const MOST_TRACES = 64
const AVAILABLE_INDEX_AT = 2
const AVAILABLE_ENTRIES_AT = 4
const [FLAGS_AT, NEXT] = [14, 1]
const [AVAIL, USED] = [1 << 7, 1 << 15]

interface Posted {
  readonly id: number
  readonly count: number
}

/** Where a ring is while it is watched. */
interface WatchedRing {
  readonly address: number
  readonly packed: boolean
  /** The available index that was seen last, of a split ring. */
  index: number
}

class QueueTrace {
  readonly device: string
  readonly queue: number
  readonly posted: Posted[] = []
  readonly #machine: MachineView
  readonly #view: VirtqueueView
  #ring: WatchedRing | undefined

  constructor(machine: MachineView, device: string, view: VirtqueueView) {
    this.device = device
    this.queue = view.index
    this.#machine = machine
    this.#view = view
    this.begin()
  }

  /** Watches the ring where the driver has put it; there may be none yet. */
  begin(): void {
    const { enabled, format } = this.#view
    const packed = format?.packed ?? false
    const address = this.#view.address(packed ? 'descriptors' : 'driver')
    const index = packed ? 0 : (this.#read16(address + AVAILABLE_INDEX_AT) ?? 0)
    this.#ring = enabled ? { address, packed, index } : undefined
  }

  /** When the driver sets the queue up, again after a reset, its ring is elsewhere or at its beginning. */
  readyRequest(id: number, changed: () => void): StopRequest {
    const aside = (): void => {
      this.begin()
      changed()
    }
    return { id, kind: 'virtio', steps: ['ready'], device: this.device, queue: this.queue, aside }
  }

  /** Undefined while there is no ring. */
  dataRequest(id: number): StopRequest | undefined {
    const ring = this.#ring
    if (ring === undefined || !this.#view.enabled) return undefined
    const watched = ring.packed
      ? { address: BigInt(ring.address), length: DESCRIPTOR_SIZE * this.#view.size }
      : { address: BigInt(ring.address + AVAILABLE_INDEX_AT), length: 2 }
    return {
      ...{ id, kind: 'data', space: 'physical', access: 'write', ...watched },
      log: (view, hit) => {
        const made = hit()
        // Memory of a ring that is one no more is the driver's for anything.
        if (made.kind !== 'data' || !this.#view.enabled || ring !== this.#ring) return
        if (ring.packed) this.#packedWrite(ring, Number(made.address) - ring.address, made.size, view.count)
        else this.#indexWrite(ring, view.count)
      },
    }
  }

  /** The last time before the device took it that a chain of this id was posted. */
  postedAt(id: number, taken: number): number | undefined {
    return this.posted.findLast(each => each.id === id && each.count <= taken)?.count
  }

  #indexWrite(ring: WatchedRing, count: number): void {
    const { size } = this.#view
    const index = this.#read16(ring.address + AVAILABLE_INDEX_AT) ?? ring.index
    const added = Math.min((index - ring.index) & 0xffff, size)
    for (let i = 0; i < added; i++) {
      const entry = (ring.index + i) & (size - 1)
      const id = this.#read16(ring.address + AVAILABLE_ENTRIES_AT + 2 * entry)
      if (id !== undefined) this.#note({ id, count })
    }
    ring.index = index
  }

  /** 2.8.21: the flags of the first descriptor, written last, make a chain available. The last one has its id. */
  #packedWrite({ address }: WatchedRing, offset: number, size: number, count: number): void {
    const slot = Math.floor((offset + size - 1) / DESCRIPTOR_SIZE)
    if (offset + size <= slot * DESCRIPTOR_SIZE + FLAGS_AT) return
    const table = viewOf(this.#machine, address, DESCRIPTOR_SIZE * this.#view.size)
    if (table === undefined) return
    const first = packedDescriptor(table, slot)
    if (((first.flags & AVAIL) !== 0) === ((first.flags & USED) !== 0)) return
    let last = first
    for (let i = 1; (last.flags & NEXT) !== 0 && i < this.#view.size; i++)
      last = packedDescriptor(table, (slot + i) % this.#view.size)
    this.#note({ id: last.id ?? 0, count })
  }

  #note(posted: Posted): void {
    this.posted.push(posted)
    if (this.posted.length > 2 * MOST_POSTED) this.posted.splice(0, MOST_POSTED)
  }

  #read16(gpa: number): number | undefined {
    return viewOf(this.#machine, gpa, 2)?.getUint16(0, true)
  }
}

export class VirtqueueTraces {
  readonly #machine: MachineView
  readonly #changed: () => void
  #traces: QueueTrace[] = []

  /** @param changed {@link requests} are others now: a driver has set up a queue that is traced. */
  constructor(machine: MachineView, changed: () => void = () => undefined) {
    this.#machine = machine
    this.#changed = changed
  }

  /**
   * Of a queue that its driver has not set up yet, what is posted is noted from when it has; so after each reset.
   * Throws {@link TargetError} for a queue that is not there.
   */
  set(device: string, queue: number, on: boolean): void {
    const found = this.#machine.virtio.find(({ core }) => core.device.name === device)?.core.queues[queue]
    if (found === undefined) throw new TargetError(`there is no queue ${queue} of a virtio device "${device}"`)
    if (on && this.has(device, queue)) return
    this.#traces = this.#traces.filter(trace => trace.device !== device || trace.queue !== queue)
    if (!on) return
    if (this.#traces.length === MOST_TRACES) throw new TargetError(`at most ${MOST_TRACES} queues are traced at once`)
    this.#traces.push(new QueueTrace(this.#machine, device, found))
  }

  has(device: string, queue: number): boolean {
    return this.#of(device, queue) !== undefined
  }

  postedAt(device: string, queue: number, { id, taken }: { id: number; taken: number }): number | undefined {
    return this.#of(device, queue)?.postedAt(id, taken)
  }

  requests(): StopRequest[] {
    return this.#traces.flatMap((trace, index) => {
      const data = trace.dataRequest(FIRST_ID - 2 * index)
      const ready = trace.readyRequest(FIRST_ID - 2 * index - 1, this.#changed)
      return data === undefined ? [ready] : [data, ready]
    })
  }

  clear(): void {
    this.#traces = []
  }

  #of(device: string, queue: number): QueueTrace | undefined {
    return this.#traces.find(trace => trace.device === device && trace.queue === queue)
  }
}
