/**
 * A virtio driver without a guest: it negotiates, lays out rings of either kind, posts chains, and takes what was used,
 * as well-behaved drivers do; and it lets tests write anything anywhere, as hostile ones do. It speaks of registers by
 * their names in virtio-mmio; `virtio-pci-bench.ts` says the same over PCI. Unit tests, fuzzing and benchmarks share it.
 */

import * as m from '../../src/devices/virtio/mmio-registers.ts'
import { VirtioMmioTransport } from '../../src/devices/virtio/mmio-transport.ts'
import { VirtioCore } from '../../src/devices/virtio/virtio-core.ts'
import type { VirtioDevice } from '../../src/devices/virtio/virtio-device.ts'
import type { DmaMemory } from '../../src/devices/virtio/virtqueue/queue-memory.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

export const [NEXT, WRITE, INDIRECT] = [1, 2, 4]
export const [VERSION_1, RING_PACKED, IN_ORDER, INDIRECT_DESC, EVENT_IDX] = [32, 34, 35, 28, 29].map(
  bit => 1n << BigInt(bit),
)
/** Virtio 1.2, 2.2.3: a legacy driver sees 32 bits. */
const LEGACY_FEATURES = 0xffff_ffffn
export const [ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET] = [1, 2, 4, 8, 64]

/** RAM from 0 to its size, and nothing behind it: an access there is a failure of the device. */
export class DriverMemory implements DmaMemory {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Called before each access by a device. */
  onAccess: ((gpa: number, length: number) => void) | undefined
  #free = 0x1000

  constructor(size = 2 ** 20) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  get size(): number {
    return this.bytes.length
  }

  containsRam(gpa: number, length: number): boolean {
    return gpa >= 0 && length >= 0 && gpa + length <= this.bytes.length
  }

  read(gpa: number, length: number): Uint8Array {
    this.#check(gpa, length)
    return this.bytes.slice(gpa, gpa + length)
  }

  readInto(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length)
    bytes.set(this.bytes.subarray(gpa, gpa + bytes.length))
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length)
    this.bytes.set(bytes, gpa)
  }

  pieces(gpa: number, length: number, into: Uint8Array[]): void {
    this.#check(gpa, length)
    into.push(this.bytes.subarray(gpa, gpa + length))
  }

  piecesToWrite(gpa: number, length: number, into: Uint8Array[]): void {
    this.pieces(gpa, length, into)
  }

  written(gpa: number, length: number): void {
    this.#check(gpa, length)
  }

  allocate(length: number, alignment = 16): number {
    const at = Math.ceil(this.#free / alignment) * alignment
    if (at + length > this.bytes.length) throw new Error('the driver has used up its memory')
    this.#free = at + length
    return at
  }

  /** Forgets what was allocated behind this address. */
  releaseTo(mark: number): void {
    this.#free = mark
  }

  get mark(): number {
    return this.#free
  }

  #check(gpa: number, length: number): void {
    if (!this.containsRam(gpa, length)) throw new RangeError(`a device accesses ${length} bytes at ${gpa}: no RAM`)
    this.onAccess?.(gpa, length)
  }
}

export interface BenchOptions {
  readonly memory?: DriverMemory
  readonly clock?: VirtualClock
  /** The device offers packed rings. */
  readonly packed?: boolean
}

/** Where the three areas of a ring are. */
export interface RingPlaces {
  readonly descriptors: number
  readonly driver: number
  readonly device: number
}

/** A device with what it needs around it, whatever its transport is. */
export abstract class DriverBench {
  readonly clock: VirtualClock
  readonly memory: DriverMemory
  readonly core: VirtioCore
  /** The interface of before virtio 1.0: no VERSION_1, no FEATURES_OK, rings of one size and layout. */
  readonly legacy: boolean = false
  /** Level of the interrupt line, and how often it rose. */
  line = false
  interrupts = 0
  protected readonly interrupt = {
    set: (asserted: boolean) => {
      if (asserted && !this.line) this.interrupts++
      this.line = asserted
    },
  }

  protected constructor(
    device: VirtioDevice,
    { memory = new DriverMemory(), clock = new VirtualClock(), packed = true }: BenchOptions,
  ) {
    this.clock = clock
    this.memory = memory
    this.core = new VirtioCore({ device, memory, clock, packed })
  }

  /** @param register of virtio-mmio, below the device's configuration; that of another transport which means the same. */
  abstract read(register: number): number
  abstract write(register: number, value: number): void

  /** Room for a ring of so many descriptors, and so many bytes for what driver and device write besides. */
  allocateRing(size: number, driverBytes: number, deviceBytes: number): RingPlaces {
    return {
      descriptors: this.memory.allocate(16 * size),
      driver: this.memory.allocate(driverBytes),
      device: this.memory.allocate(deviceBytes),
    }
  }

  /** Virtual time passes, with instructions: every timer that falls due goes off. */
  advance(nanoseconds = 2000): void {
    const end = this.clock.now + nanoseconds
    while (this.clock.deadline <= end) {
      this.clock.count += Math.max(0, this.clock.deadline - this.clock.now)
      this.clock.fireDue()
    }
    this.clock.count += end - this.clock.now
  }
}

/** Reached by its MMIO registers. */
export class VirtioBench extends DriverBench {
  readonly transport: VirtioMmioTransport

  constructor(device: VirtioDevice, options: BenchOptions = {}) {
    super(device, options)
    this.transport = new VirtioMmioTransport({ core: this.core, base: 0, interrupt: this.interrupt })
  }

  read(register: number): number {
    return this.transport.readMmio(register, 4)
  }

  write(register: number, value: number): void {
    this.transport.writeMmio(register, 4, value >>> 0)
  }
}

export interface DriverOptions {
  readonly packed?: boolean
  /** Features besides VERSION_1 and RING_PACKED. */
  readonly features?: bigint
  /** Entries of every queue; what the device offers at most if absent. */
  readonly size?: number
}

export interface PostedBuffer {
  /** What the device reads. */
  readonly bytes?: Uint8Array
  /** Bytes that the device may write, instead. */
  readonly room?: number
}

export interface Posted {
  readonly id: number
  /** Where each buffer is. */
  readonly addresses: readonly number[]
}

export interface Used {
  readonly id: number
  /** Bytes that the device says it wrote. */
  readonly length: number
}

interface RawDescriptor {
  readonly gpa: number
  readonly length: number
  readonly flags: number
  /** Index of the next in a split ring, id in a packed one. */
  readonly link: number
}

export class VirtioDriver {
  readonly bench: DriverBench
  readonly packed: boolean
  readonly features: bigint
  readonly queues: DriverQueue[] = []

  constructor(bench: DriverBench, { packed = false, features = INDIRECT_DESC, size }: DriverOptions = {}) {
    this.bench = bench
    this.packed = packed && !bench.legacy
    this.features = bench.legacy ? features & LEGACY_FEATURES : features | VERSION_1 | (this.packed ? RING_PACKED : 0n)
    const agreed = bench.legacy ? 0 : FEATURES_OK
    bench.write(m.MMIO_STATUS, 0)
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER)
    for (const half of [0, 1]) {
      bench.write(m.MMIO_DRIVER_FEATURES_SEL, half)
      bench.write(m.MMIO_DRIVER_FEATURES, Number((this.features >> BigInt(32 * half)) & 0xffff_ffffn))
    }
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | agreed)
    for (const index of bench.core.queues.keys()) this.queues.push(this.#setUp(index, size))
    bench.write(m.MMIO_STATUS, ACKNOWLEDGE | DRIVER | agreed | DRIVER_OK)
  }

  get needsReset(): boolean {
    return (this.bench.read(m.MMIO_STATUS) & NEEDS_RESET) !== 0
  }

  /** Reads and acknowledges the interrupt. */
  acknowledge(): number {
    const status = this.bench.read(m.MMIO_INTERRUPT_STATUS)
    this.bench.write(m.MMIO_INTERRUPT_ACK, status)
    return status
  }

  #setUp(index: number, wanted: number | undefined): DriverQueue {
    const { bench } = this
    bench.write(m.MMIO_QUEUE_SEL, index)
    const most = bench.read(m.MMIO_QUEUE_NUM_MAX)
    const size = bench.legacy ? most : (wanted ?? most)
    const queue = this.packed
      ? new PackedDriverQueue(bench, index, size, this.features)
      : new SplitDriverQueue(bench, index, size, this.features)
    queue.configure()
    return queue
  }
}

/** One queue from the driver's side. */
export abstract class DriverQueue {
  readonly bench: DriverBench
  readonly index: number
  readonly size: number
  /** Guest-physical addresses of the three areas. */
  readonly descriptors: number
  readonly driver: number
  readonly device: number
  protected readonly eventIndex: boolean
  protected readonly indirect: boolean

  protected constructor(bench: DriverBench, index: number, size: number, features: bigint, areas: [number, number]) {
    this.bench = bench
    this.index = index
    this.size = size
    const places = bench.allocateRing(size, ...areas)
    this.descriptors = places.descriptors
    this.driver = places.driver
    this.device = places.device
    this.eventIndex = (features & EVENT_IDX) !== 0n
    this.indirect = (features & INDIRECT_DESC) !== 0n
  }

  protected get view(): DataView {
    return this.bench.memory.view
  }

  configure(): void {
    const { bench } = this
    bench.write(m.MMIO_QUEUE_SEL, this.index)
    bench.write(m.MMIO_QUEUE_NUM, this.size)
    bench.write(m.MMIO_QUEUE_DESC_LOW, this.descriptors)
    bench.write(m.MMIO_QUEUE_DRIVER_LOW, this.driver)
    bench.write(m.MMIO_QUEUE_DEVICE_LOW, this.device)
    bench.write(m.MMIO_QUEUE_READY, 1)
  }

  /** Writes a descriptor of the ring, or of a table at `table`. */
  abstract writeDescriptor(index: number, descriptor: RawDescriptor, table?: number): void

  /** Makes a chain of new buffers available. Throws Error when the ring has no room. */
  abstract post(buffers: readonly PostedBuffer[], options?: { readonly indirect?: boolean }): Posted

  /** What the device has used since the last call. */
  abstract takeUsed(): Used[]

  /** Does the device want to be notified of what was posted since the last call? */
  abstract wantsKick(): boolean

  kick(): void {
    this.bench.write(m.MMIO_QUEUE_NOTIFY, this.index)
  }

  /** Posts, kicks, waits, and takes what was used. */
  request(buffers: readonly PostedBuffer[]): { readonly posted: Posted; readonly used: readonly Used[] } {
    const posted = this.post(buffers)
    this.kick()
    this.bench.advance()
    return { posted, used: this.takeUsed() }
  }

  /** Puts buffers into memory, and says what descriptors they need, without links. */
  protected place(buffers: readonly PostedBuffer[]): { gpa: number; length: number; flags: number }[] {
    const { memory } = this.bench
    return buffers.map(({ bytes, room = 0 }) => {
      const length = bytes?.length ?? room
      const gpa = memory.allocate(length, 8)
      if (bytes !== undefined) memory.bytes.set(bytes, gpa)
      return { gpa, length, flags: bytes === undefined ? WRITE : 0 }
    })
  }

  protected rawDescriptor(at: number, { gpa, length }: RawDescriptor, low: number, high: number): void {
    this.view.setBigUint64(at, BigInt(gpa), true)
    this.view.setUint32(at + 8, length, true)
    this.view.setUint16(at + 12, low, true)
    this.view.setUint16(at + 14, high, true)
  }
}

export class SplitDriverQueue extends DriverQueue {
  /** Heads in use, with the descriptors that each chain takes. */
  readonly #chains = new Map<number, readonly number[]>()
  readonly #free: number[]
  #posted = 0
  #used = 0
  #asked = 0

  constructor(bench: DriverBench, index: number, size: number, features: bigint) {
    super(bench, index, size, features, [6 + 2 * size, 6 + 8 * size])
    this.#free = Array.from({ length: size }, (_, i) => i)
  }

  writeDescriptor(index: number, descriptor: RawDescriptor, table = this.descriptors): void {
    this.rawDescriptor(table + 16 * index, descriptor, descriptor.flags, descriptor.link)
  }

  post(buffers: readonly PostedBuffer[], { indirect = false } = {}): Posted {
    const placed = this.place(buffers)
    const slots = this.#free.splice(0, indirect ? 1 : placed.length)
    if (slots.length === 0 || (!indirect && slots.length < placed.length)) throw new Error('the ring is full')
    const table = indirect ? this.bench.memory.allocate(16 * placed.length) : this.descriptors
    for (const [i, { gpa, length, flags }] of placed.entries()) {
      const last = i === placed.length - 1
      const at = indirect ? i : slots[i]
      const link = last ? 0 : indirect ? i + 1 : slots[i + 1]
      this.writeDescriptor(at, { gpa, length, flags: flags | (last ? 0 : NEXT), link }, table)
    }
    if (indirect) this.writeDescriptor(slots[0], { gpa: table, length: 16 * placed.length, flags: INDIRECT, link: 0 })
    this.#chains.set(slots[0], slots)
    this.makeAvailable(slots[0])
    return { id: slots[0], addresses: placed.map(({ gpa }) => gpa) }
  }

  makeAvailable(head: number): void {
    this.view.setUint16(this.driver + 4 + 2 * (this.#posted % this.size), head, true)
    this.setAvailableIndex(this.#posted + 1)
  }

  setAvailableIndex(index: number): void {
    this.#posted = index & 0xffff
    this.view.setUint16(this.driver + 2, this.#posted, true)
  }

  takeUsed(): Used[] {
    const found: Used[] = []
    const end = this.view.getUint16(this.device + 2, true)
    for (; this.#used !== end; this.#used = (this.#used + 1) & 0xffff) {
      const at = this.device + 4 + 8 * (this.#used % this.size)
      const id = this.view.getUint32(at, true)
      found.push({ id, length: this.view.getUint32(at + 4, true) })
      this.#free.push(...(this.#chains.get(id) ?? []))
      this.#chains.delete(id)
    }
    return found
  }

  /** 2.7.10. */
  wantsKick(): boolean {
    const [before, now] = [this.#asked, this.#posted]
    this.#asked = now
    if (!this.eventIndex) return (this.view.getUint16(this.device, true) & 1) === 0
    const event = this.view.getUint16(this.device + 4 + 8 * this.size, true)
    return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff)
  }

  /** Suppresses interrupts, or asks for one when the used index passes `event` (with EVENT_IDX). */
  setInterrupts(wanted: boolean, event = 0): void {
    this.view.setUint16(this.driver, wanted ? 0 : 1, true)
    this.view.setUint16(this.driver + 4 + 2 * this.size, event, true)
  }
}

export class PackedDriverQueue extends DriverQueue {
  /** Slots that each chain takes, by buffer id. */
  readonly #slots = new Map<number, number>()
  #available = 0
  #availableWrap = true
  #used = 0
  #usedWrap = true
  #freeSlots: number
  #nextId = 0
  /** Slots posted since {@link wantsKick}. */
  #since = 0

  constructor(bench: DriverBench, index: number, size: number, features: bigint) {
    super(bench, index, size, features, [4, 4])
    this.#freeSlots = size
  }

  writeDescriptor(index: number, descriptor: RawDescriptor, table = this.descriptors): void {
    this.rawDescriptor(table + 16 * index, descriptor, descriptor.link, descriptor.flags)
  }

  /** The flags of an available descriptor at the place where the next one goes. */
  get availableFlags(): number {
    return this.#turn(this.#availableWrap)
  }

  get nextSlot(): number {
    return this.#available
  }

  post(buffers: readonly PostedBuffer[], { indirect = false } = {}): Posted {
    const placed = this.place(buffers)
    const slots = indirect ? 1 : placed.length
    if (slots > this.#freeSlots) throw new Error('the ring is full')
    do this.#nextId = (this.#nextId + 1) & 0xff
    while (this.#slots.has(this.#nextId))
    const id = this.#nextId
    if (indirect) {
      const table = this.bench.memory.allocate(16 * placed.length)
      for (const [i, { gpa, length, flags }] of placed.entries())
        this.writeDescriptor(i, { gpa, length, flags, link: 0 }, table)
      this.postRaw([{ gpa: table, length: 16 * placed.length, flags: INDIRECT, link: id }])
    } else
      this.postRaw(
        placed.map(({ gpa, length, flags }, i) => ({
          gpa,
          length,
          flags: flags | (i === placed.length - 1 ? 0 : NEXT),
          link: id,
        })),
      )
    this.#slots.set(id, slots)
    this.#freeSlots -= slots
    return { id, addresses: placed.map(({ gpa }) => gpa) }
  }

  /** Writes descriptors at the next places, the first last, as drivers must (2.8.21). */
  postRaw(descriptors: readonly RawDescriptor[]): void {
    const writes = descriptors.map(descriptor => {
      const slot = this.#available
      const flags = descriptor.flags | this.availableFlags
      this.#available++
      if (this.#available === this.size) {
        this.#available = 0
        this.#availableWrap = !this.#availableWrap
      }
      return () => this.writeDescriptor(slot, { ...descriptor, flags })
    })
    for (const write of writes.toReversed()) write()
    this.#since += descriptors.length
  }

  takeUsed(): Used[] {
    const found: Used[] = []
    for (;;) {
      const at = this.descriptors + 16 * this.#used
      const flags = this.view.getUint16(at + 14, true)
      const [available, used] = [(flags & 0x80) !== 0, (flags & 0x8000) !== 0]
      if (available !== used || used !== this.#usedWrap) return found
      const id = this.view.getUint16(at + 12, true)
      found.push({ id, length: (flags & WRITE) !== 0 ? this.view.getUint32(at + 8, true) : 0 })
      const slots = this.#slots.get(id)
      if (slots === undefined) throw new Error(`the device used buffer ${id}, which it does not have`)
      this.#slots.delete(id)
      this.#freeSlots += slots
      this.#used += slots
      if (this.#used >= this.size) {
        this.#used -= this.size
        this.#usedWrap = !this.#usedWrap
      }
    }
  }

  /** 2.8.10. */
  wantsKick(): boolean {
    const since = this.#since
    this.#since = 0
    const flags = this.view.getUint16(this.device + 2, true)
    if (flags !== 2) return flags === 0
    const event = this.view.getUint16(this.device, true)
    const place = (event & 0x7fff) + (event & 0x8000 ? 0 : this.size)
    const now = this.#available + (this.#availableWrap ? 0 : this.size)
    const ring = 2 * this.size
    return (now - 1 - place + ring) % ring < since
  }

  /** Event suppression flags, and the place of the event: slot and wrap counter. */
  setInterrupts(flags: 0 | 1 | 2, slot = 0, wrap = true): void {
    this.view.setUint16(this.driver, slot | (wrap ? 0x8000 : 0), true)
    this.view.setUint16(this.driver + 2, flags, true)
  }

  #turn(wrap: boolean): number {
    return wrap ? 0x80 : 0x8000
  }
}
