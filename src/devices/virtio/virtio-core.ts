/**
 * What all virtio devices have in common between the transport above and the device below: the status machine, the
 * negotiation of features, the queues, and when work is done (Virtio 1.2, chapters 2 and 3).
 *
 * A kick signals the queue's event descriptor, whose listener sets an alarm of virtual time; when it goes off, between
 * two instructions of the guest, the device is told. So a request is never served within the driver's own store, and
 * everything happens at the same instruction in each run. Interrupts go to the transport by event descriptors too.
 */

import { EventDescriptor } from '../../util/event-descriptor.ts'
import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import type { RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'
import * as s from './device-status.ts'
import * as f from './features.ts'
import type { VirtioDevice, VirtioPort } from './virtio-device.ts'
import type { VirtioObserver } from './virtio-observer.ts'
import { type DmaMemory, QueueMemory } from './virtqueue/queue-memory.ts'
import { type QueueFormat, type QueueOwner, VirtQueue } from './virtqueue/virt-queue.ts'

/**
 * Virtual nanoseconds between a kick and the device's work: about what an `ioeventfd` takes to wake a thread that polls
 * it. Long enough for a driver to finish its own work with the queue, short against any request.
 */
export const KICK_LATENCY_NS = 1000

/** How the driver reaches the device. */
export interface VirtioTransport {
  /** A queue has used chains that the driver wants to know of. */
  queueInterrupt(queue: number): void
  configurationInterrupt(): void
  /** The driver has reset the device: interrupts, and what the driver set in the transport, are gone. */
  driverReset(): void
}

export interface VirtioCoreOptions {
  readonly device: VirtioDevice
  readonly memory: DmaMemory
  readonly clock: VirtualClock
  /** Offer packed rings. */
  readonly packed?: boolean
  /** Offer VIRTIO_F_EVENT_IDX; true by default. */
  readonly eventIndex?: boolean
}

/** By which interface the driver works: the legacy one knows neither FEATURES_OK nor features beyond bit 31. */
export type DriverInterface = 'modern' | 'legacy'

export class VirtioCore implements VirtioPort {
  readonly device: VirtioDevice
  readonly queues: readonly VirtQueue[]
  /** Told of what happens, as long as it is set. */
  observer: VirtioObserver | undefined
  /** To be set before the guest runs. */
  transport: VirtioTransport | undefined
  /** Raised whenever the device's configuration has changed (2.5.3). */
  configurationGeneration = 0

  readonly #clock: VirtualClock
  readonly #offered: bigint
  readonly #kicks: readonly EventDescriptor[]
  readonly #interrupts: readonly EventDescriptor[]
  readonly #configurationInterrupt = new EventDescriptor()
  readonly #alarm: Timer
  /** Queues that were kicked and not served yet, in the order of the kicks. */
  #kicked: number[] = []
  #status = 0
  #accepted = 0n
  #features = 0n
  #interface: DriverInterface = 'modern'
  /** Why the device needs a reset. */
  #broken: string | undefined

  constructor({ device, memory, clock, packed = false, eventIndex = true }: VirtioCoreOptions) {
    this.device = device
    this.#clock = clock
    this.#offered =
      device.features |
      f.featureMask(f.VIRTIO_F_INDIRECT_DESC, f.VIRTIO_F_VERSION_1, f.VIRTIO_F_IN_ORDER) |
      (eventIndex ? f.featureMask(f.VIRTIO_F_EVENT_IDX) : 0n) |
      f.featureMask(f.VIRTIO_F_NOTIFICATION_DATA) |
      (packed ? f.featureMask(f.VIRTIO_F_RING_PACKED) : 0n)
    const queueMemory = new QueueMemory(memory)
    const owner = this.#owner()
    this.queues = device.queues.map(
      ({ name, maximumSize }, index) => new VirtQueue(index, name, maximumSize, queueMemory, owner),
    )
    this.#alarm = clock.timer(`${device.name} kick`, () => this.#serve())
    this.#kicks = this.queues.map((_, index) => listened(() => this.#schedule(index)))
    this.#interrupts = this.queues.map((_, index) => listened(() => this.#interruptQueue(index)))
    this.#configurationInterrupt.listener = () => {
      this.#configurationInterrupt.take()
      this.observer?.({ kind: 'interrupt', device: device.name, queue: undefined })
      this.transport?.configurationInterrupt()
    }
    device.connect(this)
  }

  get status(): number {
    return this.#status
  }

  get features(): bigint {
    return this.#features
  }

  /** Features that the driver can accept by the interface that it uses. */
  offered(by: DriverInterface): bigint {
    if (by === 'modern') return this.#offered
    return (this.#offered & 0xffff_ffffn) | f.featureMask(f.VIRTIO_F_ANY_LAYOUT)
  }

  /** What the driver has written, whether in effect yet or not. */
  get accepted(): bigint {
    return this.#accepted
  }

  get needsReset(): boolean {
    return this.#broken !== undefined
  }

  /** Why the device needs a reset; undefined while it does not. */
  get brokenReason(): string | undefined {
    return this.#broken
  }

  /** 3.1: only with DRIVER_OK may the device use buffers. Legacy drivers are known not to wait for it (3.1.2). */
  get running(): boolean {
    const ready = this.#interface === 'legacy' ? s.STATUS_DRIVER | s.STATUS_DRIVER_OK : s.STATUS_DRIVER_OK
    return (this.#status & ready) !== 0 && this.#broken === undefined
  }

  /** The driver accepts features, 32 bits at a time; after FEATURES_OK it is too late (3.1.1). */
  accept(word: number, value: number, by: DriverInterface = 'modern'): void {
    if (word > 1 || (this.#status & s.STATUS_FEATURES_OK) !== 0) return
    const shift = BigInt(32 * word)
    this.#accepted = (this.#accepted & ~(0xffff_ffffn << shift)) | (BigInt(value >>> 0) << shift)
    if (by === 'modern') return
    // 3.1.2: there is no FEATURES_OK to wait for.
    this.#interface = 'legacy'
    this.#accepted &= this.offered('legacy')
    this.#features = this.#accepted
    if (!this.device.negotiated()) this.fail(`the device can't work with the features ${this.#featureText()}`)
  }

  /** The driver writes the status field. 0 resets the device; bits that are set stay so otherwise (2.1.1). */
  writeStatus(value: number, by: DriverInterface = 'modern'): void {
    if (value === 0) {
      this.driverReset()
      return
    }
    this.#interface = by
    const added = value & ~this.#status & 0xff
    this.#status |= added & ~(s.STATUS_NEEDS_RESET | s.STATUS_FEATURES_OK)
    if (by === 'modern' && (added & s.STATUS_FEATURES_OK) !== 0 && this.#negotiate())
      this.#status |= s.STATUS_FEATURES_OK
    if (this.running && this.#kicked.length > 0) this.#arm()
  }

  /** 2.4: the driver resets the device, at any moment. */
  driverReset(): void {
    this.observer?.({ kind: 'reset', device: this.device.name })
    this.reset()
    this.transport?.driverReset()
  }

  /** The driver has configured a queue. By the modern interface features must have been negotiated before (3.1.1). */
  enableQueue(index: number, by: DriverInterface = 'modern'): void {
    this.#interface = by
    const queue = this.queues[index]
    if (queue === undefined || this.#broken !== undefined) return
    if (by === 'modern' && (this.#status & s.STATUS_FEATURES_OK) === 0) {
      this.#break(`queue ${index} was enabled before FEATURES_OK`, index)
      return
    }
    if (queue.enabled) return
    const problem = queue.enable(this.#format())
    if (problem !== undefined) this.#break(problem, index)
    else this.observer?.({ kind: 'ready', device: this.device.name, queue: index })
  }

  /** The driver notifies the device. A queue that is not there is not heard of. */
  kick(index: number): void {
    const queue = this.queues[index]
    if (!queue?.enabled || this.#broken !== undefined) return
    queue.kicked()
    this.observer?.({ kind: 'kick', device: this.device.name, queue: index })
    this.#kicks[index].signal()
  }

  configurationChanged(): void {
    this.configurationGeneration = (this.configurationGeneration + 1) & 0xff
    if ((this.#status & s.STATUS_DRIVER_OK) !== 0) this.#configurationInterrupt.signal()
  }

  fail(reason: string): void {
    this.#break(reason, undefined)
  }

  readConfiguration(offset: number, size: 1 | 2 | 4): number {
    const { device } = this
    if (offset + size <= device.configurationSize) return device.readConfiguration(offset, size)
    let value = 0
    for (let i = 0; i < size && offset + i < device.configurationSize; i++)
      value |= device.readConfiguration(offset + i, 1) << (8 * i)
    return value >>> 0
  }

  writeConfiguration(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset + size <= this.device.configurationSize) this.device.writeConfiguration(offset, size, value)
  }

  /** Power-on state. */
  reset(): void {
    for (const queue of this.queues) queue.reset()
    this.#alarm.cancel()
    this.#kicked = []
    this.#status = 0
    this.#accepted = 0n
    this.#features = 0n
    this.#interface = 'modern'
    this.#broken = undefined
    this.configurationGeneration = 0
    this.device.reset()
  }

  save(): Json {
    return {
      status: this.#status,
      accepted: String(this.#accepted),
      features: String(this.#features),
      legacy: this.#interface === 'legacy',
      broken: this.#broken ?? '',
      generation: this.configurationGeneration,
      kicked: [...this.#kicked],
      queues: this.queues.map(queue => queue.save()),
      device: this.device.save(),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.device.name, state)
    this.#status = saved.number('status')
    this.#accepted = saved.bigint('accepted')
    this.#features = saved.bigint('features')
    this.#interface = saved.boolean('legacy') ? 'legacy' : 'modern'
    this.#broken = saved.text('broken') || undefined
    this.configurationGeneration = saved.number('generation')
    this.#kicked = saved.numbers('kicked').filter(index => index in this.queues)
    for (const [index, queue] of saved.parts('queues', this.queues.length).entries())
      this.queues[index].restore(queue, this.#format())
    this.device.restore(saved.value('device'))
  }

  registers(): readonly RegisterView[] {
    const offered = this.offered(this.#interface)
    const word = (name: string, features: bigint, high: boolean): RegisterView => ({
      name,
      value: Number((features >> (high ? 32n : 0n)) & 0xffff_ffffn),
      width: 32,
      meaning: f
        .featureNames(high ? (features >> 32n) << 32n : features & 0xffff_ffffn, this.device.featureNames)
        .join(' '),
    })
    return [
      {
        name: 'status',
        value: this.#status,
        width: 8,
        meaning: statusMeaning(this.#status, this.#broken),
      },
      word('device features', offered, false),
      word('device features, high', offered, true),
      word('driver features', this.#accepted, false),
      word('driver features, high', this.#accepted, true),
      { name: 'config generation', value: this.configurationGeneration, width: 8 },
      ...this.device.registers(),
      ...this.queues.flatMap(queue => queue.registers()),
    ]
  }

  #owner(): QueueOwner {
    const core = this
    return {
      get running() {
        return core.running
      },
      get now() {
        return core.#clock.count
      },
      get time() {
        return core.#clock.now
      },
      again: queue => this.#schedule(queue),
      get observed() {
        return core.observer !== undefined
      },
      observe: event => this.observer?.({ ...event, device: this.device.name }),
      interrupt: queue => this.#interrupts[queue].signal(),
      broken: (queue, { reason, descriptor }) =>
        this.#break(`queue ${queue} (${this.queues[queue].name}): ${reason}`, queue, descriptor),
    }
  }

  /** 3.1.1, steps 5 and 6. */
  #negotiate(): boolean {
    if ((this.#accepted & ~this.#offered) !== 0n || !f.hasFeature(this.#accepted, f.VIRTIO_F_VERSION_1)) return false
    this.#features = this.#accepted
    if (this.device.negotiated()) return true
    this.#features = 0n
    return false
  }

  #format(): QueueFormat {
    return {
      packed: f.hasFeature(this.#features, f.VIRTIO_F_RING_PACKED),
      indirect: f.hasFeature(this.#features, f.VIRTIO_F_INDIRECT_DESC),
      eventIndex: f.hasFeature(this.#features, f.VIRTIO_F_EVENT_IDX),
      inOrder: f.hasFeature(this.#features, f.VIRTIO_F_IN_ORDER),
    }
  }

  #schedule(index: number): void {
    if (!this.#kicked.includes(index)) this.#kicked.push(index)
    if (this.running) this.#arm()
  }

  #arm(): void {
    if (this.#alarm.at === undefined) this.#alarm.arm(this.#clock.now + KICK_LATENCY_NS)
  }

  #serve(): void {
    const kicked = this.#kicked
    this.#kicked = []
    for (const index of kicked) if (this.running) this.device.service(index)
  }

  #interruptQueue(index: number): void {
    this.observer?.({ kind: 'interrupt', device: this.device.name, queue: index })
    this.transport?.queueInterrupt(index)
  }

  #break(reason: string, queue: number | undefined, descriptor?: number): void {
    if (this.#broken !== undefined) return
    this.#broken = reason
    this.#kicked = []
    this.#alarm.cancel()
    this.observer?.({ kind: 'broken', device: this.device.name, queue, descriptor, reason })
    // 2.1.2: the driver is told if it has got so far. Legacy drivers know no such bit.
    if (this.#interface === 'modern') this.#status |= s.STATUS_NEEDS_RESET
    this.configurationChanged()
  }

  #featureText(): string {
    return f.featureNames(this.#accepted, this.device.featureNames).join(' ')
  }
}

function statusMeaning(status: number, broken: string | undefined): string {
  return broken === undefined ? s.statusNames(status) : `${s.statusNames(status)}: ${broken}`
}

function listened(act: () => void): EventDescriptor {
  const descriptor = new EventDescriptor()
  descriptor.listener = () => {
    descriptor.take()
    act()
  }
  return descriptor
}
