/** One virtqueue of a device: its configuration by the driver, its ring, and the chains that the device has. */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import type { SavedState } from '../../saved-state.ts'
import type { Chain, DeviceQueue } from '../virtio-device.ts'
import type { VirtioEvent } from '../virtio-observer.ts'
import { DescriptorChain } from './chain.ts'
import { type HistoryEntry, type Moment, QueueHistory, restoreMoment, TakenRecord } from './history.ts'
import { PackedRing, packedAreaProblem } from './packed-ring.ts'
import type { QueueMemory } from './queue-memory.ts'
import { type Ring, type RingAreas, RingFault, type RingFeatures } from './ring.ts'
import { SplitRing, splitAreaProblem } from './split-ring.ts'

export interface QueueFormat extends RingFeatures {
  readonly packed: boolean
  /** VIRTIO_F_IN_ORDER: chains are used in the order in which they were made available. */
  readonly inOrder: boolean
}

/** What a queue asks of its device's core. */
export interface QueueOwner {
  readonly running: boolean
  /** Instructions retired by the machine. */
  readonly now: number
  /** Virtual nanoseconds. */
  readonly time: number
  /** Has the device serve the queue again, a moment later. */
  again(queue: number): void
  /** Is somebody listening to {@link observe}? */
  readonly observed: boolean
  observe(event: QueueEvent): void
  interrupt(queue: number): void
  broken(queue: number, fault: RingFault): void
}

type WithoutDevice<Event> = Event extends { readonly device: string } ? Omit<Event, 'device'> : never
export type QueueEvent = WithoutDevice<VirtioEvent>

/** The parts of a queue, as the driver names their addresses (Virtio 1.2, 2.6). */
const QUEUE_AREAS = ['descriptors', 'driver', 'device'] as const
export type QueueArea = (typeof QUEUE_AREAS)[number]

interface InFlight {
  readonly chain: DescriptorChain
  readonly record: TakenRecord
  /** Bytes, when it is complete but one before it is not (IN_ORDER). */
  written: number | undefined
}

export class VirtQueue implements DeviceQueue {
  readonly index: number
  readonly name: string
  readonly maximumSize: number
  readonly history = new QueueHistory()

  readonly #owner: QueueOwner
  readonly #memory: QueueMemory
  #size: number
  /** Low and high half of each address. */
  readonly #addresses = new Uint32Array(2 * QUEUE_AREAS.length)
  #ring: Ring | undefined
  #format: QueueFormat | undefined
  /** In the order in which they were taken; at most as many as the queue has entries. */
  #inFlight = new Map<number, InFlight>()
  #slotsInFlight = 0
  #kicked: Moment | undefined
  /** Chains taken at one moment of virtual time. */
  #takenTime = -1
  #takenAtOnce = 0

  constructor(index: number, name: string, maximumSize: number, memory: QueueMemory, owner: QueueOwner) {
    this.index = index
    this.name = name
    this.maximumSize = maximumSize
    this.#size = maximumSize
    this.#memory = memory
    this.#owner = owner
  }

  /** Entries that the driver chose, or the most there can be. */
  get size(): number {
    return this.#size
  }

  /** Without effect on a queue that is enabled, as with addresses (4.1.4.3.2). */
  setSize(size: number): void {
    if (!this.enabled) this.#size = size
  }

  address(area: QueueArea): number {
    return this.addressHalf(area, 0) + this.addressHalf(area, 1) * 2 ** 32
  }

  /** 32 bits of an address. */
  addressHalf(area: QueueArea, half: 0 | 1): number {
    return this.#addresses[2 * QUEUE_AREAS.indexOf(area) + half]
  }

  setAddressHalf(area: QueueArea, half: 0 | 1, value: number): void {
    if (!this.enabled) this.#addresses[2 * QUEUE_AREAS.indexOf(area) + half] = value
  }

  get enabled(): boolean {
    return this.#ring !== undefined
  }

  get taken(): readonly Chain[] {
    return Array.from(this.#inFlight.values(), ({ chain }) => chain)
  }

  /** The ring for the inspector; undefined while the queue is not enabled. */
  get ring(): Ring | undefined {
    return this.#ring
  }

  get format(): QueueFormat | undefined {
    return this.#format
  }

  /** Makes a ring of what the driver has set. @returns what is wrong with it, or undefined. */
  enable(format: QueueFormat): string | undefined {
    if (this.#ring !== undefined) return undefined
    const areas = this.#areas()
    const problem = this.#problem(format, areas)
    if (problem !== undefined) return `queue ${this.index} (${this.name}) has ${problem}`
    this.#ring = this.#makeRing(format, areas)
    this.#format = format
    return undefined
  }

  /** The driver takes the queue away; what it set stays. */
  disable(): void {
    this.#forget()
  }

  reset(): void {
    this.#size = this.maximumSize
    this.#addresses.fill(0)
    this.#forget()
  }

  /** The driver notified the device, at this instruction. */
  kicked(): void {
    this.#kicked = this.#moment
    // Until the device has found the queue empty, the next kick would tell it nothing.
    this.#ring?.setNotifications(false)
  }

  take(): Chain | undefined {
    const ring = this.#ring
    if (ring === undefined || !this.#owner.running || this.#exhausted(ring)) return undefined
    const taken = ring.take()
    if (taken === undefined) {
      ring.setNotifications(true)
      return undefined
    }
    const fault = taken instanceof RingFault ? taken : this.#overcommitted(taken, ring.areas.size)
    if (fault !== undefined) {
      this.#owner.broken(this.index, fault)
      return undefined
    }
    if (!(taken instanceof DescriptorChain)) return undefined
    const record = TakenRecord.of(taken, this.#kicked, this.#moment)
    this.#inFlight.set(taken.id, { chain: taken, record, written: undefined })
    this.#slotsInFlight += taken.slots
    this.#takenAtOnce++
    if (this.#owner.observed) this.#owner.observe({ kind: 'taken', queue: this.index, chain: taken })
    return taken
  }

  putBack(chain: Chain): void {
    const last = [...this.#inFlight.values()].at(-1)
    // A chain of before a reset is nobody's any more.
    if (this.#ring === undefined || this.#inFlight.get(chain.id)?.chain !== chain) return
    if (last?.chain !== chain) throw new Error(`${this.name}: a chain put back that is not the one taken last`)
    this.#inFlight.delete(chain.id)
    this.#slotsInFlight -= last.chain.slots
    this.#takenAtOnce--
    this.#ring.putBack(last.chain)
  }

  /** A chain of before a reset is nobody's any more: nothing happens. */
  complete(chain: Chain, written: number): void {
    const entry = this.#inFlight.get(chain.id)
    if (entry?.chain !== chain || !this.#owner.running) return
    entry.written = Math.max(0, Math.min(written, chain.writableLength))
    if (!this.#format?.inOrder) {
      this.#use(entry, entry.written)
      return
    }
    for (const first of this.#inFlight.values()) {
      if (first.written === undefined) return
      this.#use(first, first.written)
    }
  }

  #use({ chain, record }: InFlight, written: number): void {
    this.#inFlight.delete(chain.id)
    this.#slotsInFlight -= chain.slots
    this.#ring?.complete(chain, written)
    const entry = this.history.completed(chain, record, written, this.#moment)
    if (this.#owner.observed) this.#owner.observe({ kind: 'used', queue: this.index, chain, entry })
  }

  flush(): void {
    if (this.#ring === undefined || !this.#owner.running) return
    const interrupted = this.#ring.takeInterrupt()
    this.history.decided(interrupted, this.#moment)
    if (interrupted) this.#owner.interrupt(this.index)
  }

  /** Chains that are available, for the inspector: changes nothing. The last may be a fault. */
  pending(limit = this.size): readonly (DescriptorChain | RingFault)[] {
    return this.#ring?.peek(limit) ?? []
  }

  /** For the inspector, oldest first. */
  get completed(): readonly HistoryEntry[] {
    return this.history.entries
  }

  registers(): readonly RegisterView[] {
    const prefix = `${this.name}.`
    const state: RegisterView[] = [
      { name: `${prefix}enabled`, value: this.enabled ? 1 : 0, width: 1 },
      { name: `${prefix}size`, value: this.#size, width: 32 },
      ...QUEUE_AREAS.flatMap(area => [
        { name: `${prefix}${area}`, value: this.addressHalf(area, 0), width: 32 },
        { name: `${prefix}${area}, high`, value: this.addressHalf(area, 1), width: 32 },
      ]),
    ]
    const ring = this.#ring?.registers() ?? []
    return [...state, ...ring.map(register => ({ ...register, name: prefix + register.name }))]
  }

  save(): Json {
    return {
      size: this.#size,
      addresses: [...this.#addresses],
      kicked: this.#kicked === undefined ? null : { ...this.#kicked },
      ring: this.#ring?.save() ?? null,
      inFlight: Array.from(this.#inFlight.values(), ({ chain, record, written }) => ({
        chain: chain.save(),
        record: record.save(),
        written: written ?? null,
      })),
    }
  }

  /** @param format of the rings, if the driver has got that far. */
  restore(saved: SavedState, format: QueueFormat): void {
    this.#forget()
    this.#size = saved.number('size')
    this.#addresses.set(saved.numbers('addresses', this.#addresses.length))
    const kicked = saved.optionalPart('kicked')
    this.#kicked = kicked && restoreMoment(kicked)
    const ring = saved.optionalPart('ring')
    if (ring === undefined) return
    const problem = this.enable(format)
    if (problem !== undefined) throw new Error(`saved state of a virtqueue: ${problem}; the snapshot is damaged`)
    this.#ring?.restore(ring)
    for (const part of saved.parts('inFlight')) {
      const chain = DescriptorChain.restore(this.#memory, part.part('chain'))
      const record = TakenRecord.restore(part.part('record'))
      this.#inFlight.set(chain.id, { chain, record, written: part.optionalNumber('written') })
      this.#slotsInFlight += chain.slots
    }
  }

  get #moment(): Moment {
    return { count: this.#owner.now, time: this.#owner.time }
  }

  #forget(): void {
    this.#ring = undefined
    this.#format = undefined
    this.#inFlight = new Map()
    this.#slotsInFlight = 0
    this.#kicked = undefined
  }

  /**
   * A driver can't post more than the ring holds without running. A device that writes into the ring itself, because a
   * buffer lies there, could find ever more work: it goes on when the guest has run.
   */
  #exhausted(ring: Ring): boolean {
    const { time } = this.#owner
    if (time !== this.#takenTime) {
      this.#takenTime = time
      this.#takenAtOnce = 0
    }
    if (this.#takenAtOnce < ring.areas.size) return false
    this.#owner.again(this.index)
    return true
  }

  #areas(): RingAreas {
    return {
      size: this.#size,
      descriptors: this.address('descriptors'),
      driver: this.address('driver'),
      device: this.address('device'),
    }
  }

  #problem(format: QueueFormat, areas: RingAreas): string | undefined {
    if (areas.size > this.maximumSize) return `a size of ${areas.size}; ${this.maximumSize} is the most`
    return format.packed ? packedAreaProblem(this.#memory, areas) : splitAreaProblem(this.#memory, areas)
  }

  #makeRing(format: QueueFormat, areas: RingAreas): Ring {
    return format.packed ? new PackedRing(this.#memory, areas, format) : new SplitRing(this.#memory, areas, format)
  }

  /** A driver that makes descriptors available again before the device has used them. */
  #overcommitted({ id, slots }: DescriptorChain, size: number): RingFault | undefined {
    if (this.#inFlight.has(id)) return new RingFault(`descriptor ${id}: made available again while it is in use`, id)
    if (this.#slotsInFlight + slots > size)
      return new RingFault(`descriptor ${id}: more descriptors are in use than the ${size} that there are`, id)
    return undefined
  }
}
