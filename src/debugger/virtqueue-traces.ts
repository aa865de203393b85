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

class QueueTrace {
  readonly device: string
  readonly queue: number
  readonly posted: Posted[] = []
  readonly #machine: MachineView
  readonly #view: VirtqueueView
  /** Where the ring was when it began to be watched. */
  readonly #address: number
  readonly #packed: boolean
  #index: number

  constructor(machine: MachineView, device: string, view: VirtqueueView) {
    this.device = device
    this.queue = view.index
    this.#machine = machine
    this.#view = view
    this.#packed = view.format?.packed ?? false
    this.#address = view.address(this.#packed ? 'descriptors' : 'driver')
    this.#index = this.#packed ? 0 : (this.#read16(this.#address + AVAILABLE_INDEX_AT) ?? 0)
  }

  /** Is the ring still where it was? The driver may have reset the device. */
  get holds(): boolean {
    const { enabled, format } = this.#view
    const packed = format?.packed ?? false
    return enabled && packed === this.#packed && this.#view.address(packed ? 'descriptors' : 'driver') === this.#address
  }

  request(id: number): StopRequest {
    const watched = this.#packed
      ? { address: BigInt(this.#address), length: DESCRIPTOR_SIZE * this.#view.size }
      : { address: BigInt(this.#address + AVAILABLE_INDEX_AT), length: 2 }
    return {
      ...{ id, kind: 'data', space: 'physical', access: 'write', ...watched },
      log: (view, hit) => {
        const made = hit()
        if (made.kind !== 'data' || !this.holds) return
        if (this.#packed) this.#packedWrite(Number(made.address) - this.#address, made.size, view.count)
        else this.#indexWrite(view.count)
      },
    }
  }

  /** The last time before the device took it that a chain of this id was posted. */
  postedAt(id: number, taken: number): number | undefined {
    return this.posted.findLast(each => each.id === id && each.count <= taken)?.count
  }

  #indexWrite(count: number): void {
    const { size } = this.#view
    const index = this.#read16(this.#address + AVAILABLE_INDEX_AT) ?? this.#index
    const added = Math.min((index - this.#index) & 0xffff, size)
    for (let i = 0; i < added; i++) {
      const entry = (this.#index + i) & (size - 1)
      const id = this.#read16(this.#address + AVAILABLE_ENTRIES_AT + 2 * entry)
      if (id !== undefined) this.#note({ id, count })
    }
    this.#index = index
  }

  /** 2.8.21: the flags of the first descriptor, written last, make a chain available. The last one has its id. */
  #packedWrite(offset: number, size: number, count: number): void {
    const slot = Math.floor((offset + size - 1) / DESCRIPTOR_SIZE)
    if (offset + size <= slot * DESCRIPTOR_SIZE + FLAGS_AT) return
    const ring = viewOf(this.#machine, this.#address, DESCRIPTOR_SIZE * this.#view.size)
    if (ring === undefined) return
    const first = packedDescriptor(ring, slot)
    if (((first.flags & AVAIL) !== 0) === ((first.flags & USED) !== 0)) return
    let last = first
    for (let i = 1; (last.flags & NEXT) !== 0 && i < this.#view.size; i++)
      last = packedDescriptor(ring, (slot + i) % this.#view.size)
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
  #traces: QueueTrace[] = []

  constructor(machine: MachineView) {
    this.#machine = machine
  }

  /** Throws {@link TargetError} for a queue that is not there, or has no ring yet. */
  set(device: string, queue: number, on: boolean): void {
    const found = this.#machine.virtio.find(({ core }) => core.device.name === device)?.core.queues[queue]
    if (found === undefined) throw new TargetError(`there is no queue ${queue} of a virtio device "${device}"`)
    if (on && this.has(device, queue)) return
    this.#traces = this.#traces.filter(trace => trace.device !== device || trace.queue !== queue)
    if (!on) return
    if (!found.enabled)
      throw new TargetError(`${device}, queue ${queue}: its driver has not set it up yet; ask again when it has`)
    if (this.#traces.length === MOST_TRACES) throw new TargetError(`at most ${MOST_TRACES} queues are traced at once`)
    this.#traces.push(new QueueTrace(this.#machine, device, found))
  }

  /** Is it traced, where it is now? */
  has(device: string, queue: number): boolean {
    return this.#of(device, queue)?.holds ?? false
  }

  postedAt(device: string, queue: number, { id, taken }: { id: number; taken: number }): number | undefined {
    return this.#of(device, queue)?.postedAt(id, taken)
  }

  requests(): StopRequest[] {
    return this.#traces.map((trace, index) => trace.request(FIRST_ID - index))
  }

  clear(): void {
    this.#traces = []
  }

  #of(device: string, queue: number): QueueTrace | undefined {
    return this.#traces.find(trace => trace.device === device && trace.queue === queue)
  }
}
