/**
 * A driver that knows how rings work and uses that to break them: requests that make sense, rings that don't, register
 * accesses of any size at any offset, kicks, resets and time, in random order. The same seed plays the same.
 */

import * as m from '../../src/devices/virtio/mmio-registers.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { random } from '../devices/bench.ts'
import {
  type DriverBench,
  DriverMemory,
  type DriverQueue,
  EVENT_IDX,
  IN_ORDER,
  INDIRECT_DESC,
  NEEDS_RESET,
  type PostedBuffer,
  VirtioDriver,
} from '../support/virtio-driver.ts'
import type { Random, VirtioSubject } from './virtio-subjects.ts'
import { type NoiseBench, noiseBench, type TransportName } from './virtio-transports.ts'

/** Work of a device for one operation of its driver, at most: that of a full ring of long requests. */
const MOST_ACCESSES = 500_000
const MOST_BYTES = 2 ** 28

/** Where descriptors like to point when they are wrong. */
const ODD_VALUES = [0, 1, 0x7fff, 0x8000, 0xffff, 0x10000, 0xfffff, 0x100000, 0x7fffffff, 0xffffffff]

export interface NoiseReport {
  operations: number
  kicks: number
  taken: number
  used: number
  broken: number
  resets: number
}

export function emptyReport(): NoiseReport {
  return { operations: 0, kicks: 0, taken: 0, used: 0, broken: 0, resets: 0 }
}

export class VirtioNoise {
  readonly report = emptyReport()
  readonly #subject: VirtioSubject
  readonly #next: Random
  readonly #bench: DriverBench
  readonly #reach: NoiseBench
  readonly #device: VirtioDevice
  readonly #close: (() => void) | undefined
  #driver: VirtioDriver
  #mark = 0
  #accesses = 0
  #bytes = 0

  constructor(subject: VirtioSubject, seed: number, transport: TransportName = 'mmio') {
    this.#subject = subject
    this.#next = random(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995)
    const clock = new VirtualClock()
    const { device, close } = subject.make(clock)
    this.#device = device
    this.#close = close
    const memory = new DriverMemory()
    memory.onAccess = (_gpa, length) => {
      this.#accesses++
      this.#bytes += length
    }
    this.#reach = noiseBench(transport, device, { memory, clock, packed: true })
    this.#bench = this.#reach.bench
    this.#bench.core.observer = ({ kind }) => {
      if (kind === 'kick') this.report.kicks++
      else if (kind === 'taken' || kind === 'used' || kind === 'broken') this.report[kind]++
      else if (kind === 'reset') this.report.resets++
    }
    this.#driver = this.#start()
  }

  /** Throws what a device must never throw, and Error for what it must never do. */
  play(operations: number): void {
    try {
      for (let i = 0; i < operations; i++) {
        this.#accesses = 0
        this.#bytes = 0
        this.#operate()
        this.report.operations++
        this.#check()
      }
    } finally {
      this.#close?.()
    }
  }

  #operate(): void {
    const next = this.#next
    // Little is learned of a device that hears nothing more.
    if (this.#dead && next(10) === 0) this.#driver = this.#start()
    const choice = next(100)
    if (choice < 30) this.#post()
    else if (choice < 50) this.#kick()
    else if (choice < 65) this.#bench.advance(next(4) === 0 ? next(10_000_000) : 2000)
    else if (choice < 75) this.#corrupt()
    else if (choice < 90) this.#reach.touch(next, () => this.#oddValue())
    else if (choice < 93) this.#subject.poke?.(this.#device, next)
    else if (choice < 97) for (const queue of this.#driver.queues) this.#takeUsed(queue)
    else if (choice === 97 && next(4) === 0) this.#saveAndRestore()
    else if (next(20) === 0) this.#driver = this.#start()
  }

  /** Nothing more is to be had of the device before a reset; or it had one that the driver did not mean. */
  get #dead(): boolean {
    const { core } = this.#bench
    return core.needsReset || core.status === 0
  }

  #start(): VirtioDriver {
    const next = this.#next
    const bench = this.#bench
    this.#reach.begin(next)
    // Old rings may be where new ones come, as after a real reset.
    bench.memory.releaseTo(0x1000)
    for (let at = 0x1000; at < 0x10000; at++) bench.memory.bytes[at] = 0
    const features = [0n, INDIRECT_DESC, EVENT_IDX, INDIRECT_DESC | EVENT_IDX, IN_ORDER | INDIRECT_DESC][next(5)]
    const own = this.#device.features & BigInt(next(2) === 0 ? 0xffffff : next(2 ** 24))
    const size = 2 ** (1 + next(5))
    const smallest = Math.min(...this.#device.queues.map(({ maximumSize }) => maximumSize))
    const driver = new VirtioDriver(bench, {
      packed: next(2) === 0,
      features: features | own,
      size: Math.min(size, smallest),
    })
    this.#mark = bench.memory.mark
    return driver
  }

  get bench(): DriverBench {
    return this.#bench
  }

  #queue(): DriverQueue {
    return this.#driver.queues[this.#next(this.#driver.queues.length)]
  }

  #post(): void {
    const next = this.#next
    const queue = this.#queue()
    const buffers =
      next(8) === 0 ? this.#anyBuffers() : (this.#subject.request?.(queue.index, next) ?? this.#anyBuffers())
    if (this.#bench.memory.mark > 0xc0000) this.#bench.memory.releaseTo(this.#mark)
    try {
      queue.post(buffers, { indirect: next(3) === 0 })
    } catch (error) {
      // The ring is full, or was corrupted in a way that the driver can't use any more.
      if (!(error instanceof Error) || !/full|used up|RangeError|Offset/.test(`${error.name} ${error.message}`))
        throw error
    }
    if (next(6) === 0) this.#spoilDescriptor(queue)
  }

  #anyBuffers(): PostedBuffer[] {
    const next = this.#next
    const count = 1 + next(5)
    const readable = next(count + 1)
    return Array.from({ length: count }, (_, i) =>
      i < readable ? { bytes: Uint8Array.from({ length: next(80) }, () => next(256)) } : { room: next(3000) },
    )
  }

  /** One field of one descriptor becomes something odd: an address, a length, flags or a link. */
  #spoilDescriptor({ descriptors, size }: DriverQueue): void {
    const next = this.#next
    const at = descriptors + 16 * next(size)
    const { view } = this.#bench.memory
    const value = this.#oddValue()
    const field = next(5)
    if (field === 0) view.setUint32(at, value, true)
    else if (field === 1) view.setUint32(at + 4, next(2) === 0 ? value : 0, true)
    else if (field === 2) view.setUint32(at + 8, value, true)
    else if (field === 3) view.setUint16(at + 12, next(2) === 0 ? next(8) : value & 0xffff, true)
    else view.setUint16(at + 14, next(2) === 0 ? next(8) : value & 0xffff, true)
  }

  /** Any place of the rings; or a descriptor that points to a ring. */
  #corrupt(): void {
    const next = this.#next
    const queue = this.#queue()
    const { view, bytes } = this.#bench.memory
    const ring = [queue.descriptors, queue.driver, queue.device]
    const area = ring[next(3)]
    const choice = next(4)
    if (choice === 0) bytes[area + next(16 * queue.size)] = next(256)
    else if (choice === 1) view.setUint16(area + 2 * next(4), this.#oddValue() & 0xffff, true)
    else if (choice === 2) view.setUint32(queue.descriptors + 16 * next(queue.size), ring[next(3)] + next(8), true)
    else view.setUint16(queue.driver + 2, view.getUint16(queue.driver + 2, true) + 1 + next(queue.size), true)
  }

  #oddValue(): number {
    const next = this.#next
    return next(2) === 0 ? ODD_VALUES[next(ODD_VALUES.length)] : next(2 ** 32)
  }

  #kick(): void {
    const next = this.#next
    this.#bench.write(m.MMIO_QUEUE_NOTIFY, next(8) === 0 ? this.#oddValue() : next(this.#driver.queues.length))
  }

  #takeUsed(queue: DriverQueue): void {
    try {
      queue.takeUsed()
    } catch (error) {
      if (!(error instanceof Error) || !error.message.includes('does not have')) throw error
    }
  }

  #saveAndRestore(): void {
    const { transport } = this.#reach
    this.#subject.settle?.(this.#device)
    const before = JSON.stringify(transport.save())
    transport.restore(JSON.parse(before))
    const after = JSON.stringify(transport.save())
    if (after === before) return
    const at = [...before].findIndex((character, i) => character !== after[i])
    throw new Error(`restored state differs: ${before.slice(at - 40, at + 40)} became ${after.slice(at - 40, at + 40)}`)
  }

  #check(): void {
    if (this.#accesses > MOST_ACCESSES || this.#bytes > MOST_BYTES)
      throw new Error(`${this.#accesses} accesses to ${this.#bytes} bytes for one operation of the driver`)
    const { core } = this.#bench
    const told = (this.#bench.read(m.MMIO_STATUS) & NEEDS_RESET) !== 0
    const asItIs = told === core.needsReset || (!told && !this.#reach.tells)
    if (!asItIs) throw new Error(`needs reset: ${core.needsReset}, and the driver is told ${told}`)
    if (this.report.operations % 64 !== 0) return
    for (const queue of core.queues) queue.pending()
    for (const { name, value, width } of this.#reach.transport.registers())
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** width) throw new Error(`${name} is ${value}`)
  }
}
