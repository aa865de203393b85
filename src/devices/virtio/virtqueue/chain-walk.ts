/** Collects the buffers of one chain and checks each descriptor, whatever the ring's kind. */

import type { ChainBuffer } from '../virtio-device.ts'
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from './descriptor.ts'
import type { QueueMemory } from './queue-memory.ts'
import { hex, RingFault } from './ring.ts'

/**
 * Buffers that a chain may have at least, however short the ring is. The text allows no chain longer than the queue
 * (Virtio 1.2, 2.7.5.3.1), but Linux makes longer ones in indirect tables.
 */
const LONGEST_INDIRECT = 1024
/** A chain may not have more bytes (2.7.5.2). */
const MOST_BYTES = 2 ** 32

export class ChainWalk {
  readonly buffers: ChainBuffer[] = []
  readonly #memory: QueueMemory
  readonly #size: number
  readonly #indirect: boolean
  #bytes = 0

  constructor(memory: QueueMemory, size: number, indirect: boolean) {
    this.#memory = memory
    this.#size = size
    this.#indirect = indirect
  }

  /** Adds a descriptor that is a buffer. @param at its index in the ring. @param entry in an indirect table. */
  add({ gpa, length, flags }: Descriptor, at: number, entry?: number): RingFault | undefined {
    const writable = (flags & VIRTQ_DESC_F_WRITE) !== 0
    // 2.7.4.2: the driver places what the device writes after what it reads.
    if (!writable && this.buffers.at(-1)?.writable)
      return new RingFault(`${nameOf(at, entry)}: a readable buffer after a writable one`, at)
    if (length !== 0 && !this.#memory.contains(gpa, length))
      return new RingFault(`${nameOf(at, entry)}: ${length} bytes at ${hex(gpa)} are not all RAM`, at)
    this.#bytes += length
    if (this.#bytes > MOST_BYTES) return new RingFault(`${nameOf(at, entry)}: the chain has more than 2^32 bytes`, at)
    this.buffers.push({ gpa, length, writable })
    return undefined
  }

  /**
   * The table that a descriptor with VIRTQ_DESC_F_INDIRECT refers to, copied (2.7.5.3). The flag for writing means
   * nothing there.
   */
  indirectTable({ gpa, length, flags }: Descriptor, at: number): Uint8Array | RingFault {
    const where = `descriptor ${at}`
    if (!this.#indirect) return new RingFault(`${where}: indirect, but VIRTIO_F_INDIRECT_DESC was not negotiated`, at)
    if ((flags & VIRTQ_DESC_F_NEXT) !== 0) return new RingFault(`${where}: both INDIRECT and NEXT`, at)
    if (length === 0 || length % DESCRIPTOR_SIZE !== 0)
      return new RingFault(`${where}: an indirect table of ${length} bytes; it must be a multiple of 16`, at)
    const most = Math.max(this.#size, LONGEST_INDIRECT)
    if (length > most * DESCRIPTOR_SIZE)
      return new RingFault(
        `${where}: an indirect table of ${length / DESCRIPTOR_SIZE} descriptors; ${most} at most`,
        at,
      )
    if (!this.#memory.contains(gpa, length))
      return new RingFault(`${where}: its indirect table of ${length} bytes at ${hex(gpa)} is not all RAM`, at)
    return this.#memory.read(gpa, length)
  }

  /** Adds a descriptor of an indirect table. @param entry its index there. @param at of the one that refers to it. */
  addIndirect(descriptor: Descriptor, entry: number, at: number): RingFault | undefined {
    if ((descriptor.flags & VIRTQ_DESC_F_INDIRECT) !== 0)
      return new RingFault(`${nameOf(at, entry)}: indirect tables can't be nested`, at)
    return this.add(descriptor, at, entry)
  }
}

function nameOf(at: number, entry: number | undefined): string {
  return entry === undefined ? `descriptor ${at}` : `descriptor ${at}, entry ${entry} of its indirect table`
}
