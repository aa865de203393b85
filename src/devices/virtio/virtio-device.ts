/**
 * What a virtio device is, apart from how its driver reaches it (the transport: PCI, MMIO) and from how its rings lie
 * in memory (`virtqueue/`). Devices implement {@link VirtioDevice}; `VirtioCore` gives them a {@link VirtioPort}.
 *
 * The way of a request: the driver makes a chain available and kicks its queue; the kick signals the queue's event
 * descriptor; a moment of virtual time later, never within the driver's own instruction, the device is told by
 * {@link VirtioDevice.service}; it takes chains, and completes each of them then or when its back end answers.
 */

import type { Json } from '../../util/json.ts'
import type { RegisterView } from '../device.ts'

/** Virtio 1.2, chapter 5: device types. */
export const VIRTIO_ID_NET = 1
export const VIRTIO_ID_BLOCK = 2
export const VIRTIO_ID_CONSOLE = 3
export const VIRTIO_ID_ENTROPY = 4
export const VIRTIO_ID_BALLOON = 5
export const VIRTIO_ID_9P = 9

export interface QueueDescription {
  /** As the specification calls it: `requestq`, `receiveq1`. */
  readonly name: string
  /** Most entries: a power of two, at most 32768. */
  readonly maximumSize: number
}

export interface VirtioDevice {
  /** Unique in the machine: `virtio-blk0`. */
  readonly name: string
  /** {@link VIRTIO_ID_BLOCK} and the like. */
  readonly type: number
  /** PCI class code, 24 bits. */
  readonly classCode: number
  readonly queues: readonly QueueDescription[]
  /** Feature bits of its own that it offers; those of rings and transport are the core's. */
  readonly features: bigint
  /** Names of its own feature bits, for the inspector. */
  readonly featureNames: Readonly<Record<number, string>>
  /** Bytes of its configuration space. */
  readonly configurationSize: number
  /** Called once, before anything else. */
  connect(port: VirtioPort): void
  /** `offset` and `size` lie within the configuration space. No side effect. */
  readConfiguration(offset: number, size: 1 | 2 | 4): number
  writeConfiguration(offset: number, size: 1 | 2 | 4, value: number): void
  /** The driver has accepted features: those of {@link VirtioPort.features}. False if the device can't work with them. */
  negotiated(): boolean
  /** A queue may have work: the driver kicked it, or it had been full. */
  service(queue: number): void
  /** To the state after power-on; chains that were taken are forgotten, and must not be completed. */
  reset(): void
  save(): Json
  restore(state: Json): void
  /** Its own registers, fields of the configuration space among them, by name. Changes nothing. */
  registers(): readonly RegisterView[]
  /** What a chain of a queue says, for the inspector. Nothing in it can be trusted. Changes nothing. */
  describe(queue: number, chain: ChainContent): ChainDescription
}

/** What a device is given. */
export interface VirtioPort {
  /** Features in effect: offered and accepted; 0n until FEATURES_OK. */
  readonly features: bigint
  /** DRIVER_OK is set and the device needs no reset. */
  readonly running: boolean
  readonly queues: readonly DeviceQueue[]
  /** Tells the driver that the configuration space has changed (2.5). */
  configurationChanged(): void
  /** The driver broke the device's own protocol beyond repair: DEVICE_NEEDS_RESET (2.1.2). @param reason for people. */
  fail(reason: string): void
}

/** A virtqueue from the device's side. Never throws on what the driver wrote: a broken ring is an empty one. */
export interface DeviceQueue {
  readonly index: number
  readonly enabled: boolean
  /** Entries that the driver chose. */
  readonly size: number
  /** Chains that the device has and has not completed, in order of taking; after a restore those with the same ids. */
  readonly taken?: readonly Chain[]
  /** The next available chain, copied and checked once; undefined if there is none, or the ring is broken. */
  take(): Chain | undefined
  /** The chain taken last was not served after all: it is available again (a receive queue without enough room). */
  putBack(chain: Chain): void
  /** Returns a chain to the driver. @param written bytes that the device wrote into it, from the beginning. */
  complete(chain: Chain, written: number): void
  /** Interrupts the driver if it wants that of what was completed since the last call. After every batch. */
  flush(): void
}

export interface ChainBuffer {
  readonly gpa: number
  /** Bytes. */
  readonly length: number
  /** The device may write it; if not, it may only read it (2.7.4.2: all readable ones come first). */
  readonly writable: boolean
}

/** A chain that the driver has posted, as a device or an inspector sees it: two runs of bytes. */
export interface ChainContent {
  readonly buffers: readonly ChainBuffer[]
  /** Bytes that the device can read, and write. */
  readonly readableLength: number
  readonly writableLength: number
  /** Bytes of the readable part; shorter where that ends. */
  read(offset: number, length: number): Uint8Array
  /** Bytes of the writable part, for the inspector: what the device wrote. Shorter where that ends. */
  readWritable(offset: number, length: number): Uint8Array
}

/** A chain that a device has taken. */
export interface Chain extends ChainContent {
  /** Index of its first descriptor, or buffer id of a packed ring. */
  readonly id: number
  /** As {@link ChainContent.read}, into memory of the caller's. Returns how many bytes there were. */
  readInto(offset: number, bytes: Uint8Array): number
  /** Writes into the writable part. Returns how many bytes fit. */
  write(offset: number, bytes: Uint8Array): number
  /**
   * As {@link ChainContent.read}, but the guest's memory itself, in pieces: the driver may have given the same bytes
   * twice, and they are these only until the guest runs again.
   */
  view(offset: number, length: number): readonly Uint8Array[]
  /** The same of the writable part, for `use` to write to; what it throws is passed on. */
  fill<T>(offset: number, length: number, use: (pieces: readonly Uint8Array[]) => T): T
}

/** A chain in words: `read, sector 2048, 4096 bytes`, and its parts by name. */
export interface ChainDescription {
  readonly summary: string
  readonly fields: readonly { readonly name: string; readonly value: string }[]
}
