/**
 * Follows one chain of descriptors through guest memory and says of each what it is, and what is wrong with it: the
 * same rules by which a device refuses it (Virtio 1.2, 2.7.4, 2.7.5 and 2.8.7), applied to what is there now.
 */

import type { ChainBuffer } from '../../devices/virtio/virtio-device.ts'
import { DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT } from '../../devices/virtio/virtqueue/descriptor.ts'
import { type DescriptorModel, packedDescriptor, type RawDescriptor, splitDescriptor } from './descriptor-model.ts'
import { type GuestRam, viewOf } from './ring-memory.ts'

/** Descriptors of one chain that are shown. */
export const MOST_SHOWN_DESCRIPTORS = 256
/** What devices here take in an indirect table, however short the ring is: Linux makes longer ones than it. */
const LONGEST_INDIRECT = 1024
/** A chain may not have more bytes (2.7.5.2). */
const MOST_BYTES = 2 ** 32

/** A descriptor without what its buffer is to the device. */
export type CheckedDescriptor = Omit<DescriptorModel, 'parts'>

/** What is looked at in one answer, for all chains together: a hostile ring has billions of descriptors. */
export class LookBudget {
  #left = 65_536

  take(): boolean {
    return this.#left-- > 0
  }
}

export interface RingLook {
  readonly ram: GuestRam
  readonly packed: boolean
  /** Entries. */
  readonly size: number
  /** VIRTIO_F_INDIRECT_DESC is in effect. */
  readonly indirect: boolean
  /** The descriptor table or ring. */
  readonly table: DataView
  readonly budget: LookBudget
}

/** A chain as far as it can be followed. */
export class ChainReader {
  readonly descriptors: CheckedDescriptor[] = []
  /** Descriptors that are not shown. */
  omitted = 0
  /** Buffers that are RAM, for the device's description. */
  readonly buffers: ChainBuffer[] = []
  /** Descriptors of the ring that it takes. */
  readonly slots: number[] = []
  /** The first that is wrong. */
  problem: string | undefined
  /** The descriptor of the ring whose fault it is. */
  culprit: number | undefined
  /** Buffer id of a packed ring, which its last descriptor has. */
  id: number | undefined
  readonly #ring: RingLook
  #bytes = 0

  /** @param head index in the ring; below its size. */
  constructor(ring: RingLook, head: number) {
    this.#ring = ring
    this.#follow(head)
  }

  #follow(head: number): void {
    const { size, packed, table, budget } = this.#ring
    const visited = new Set<number>()
    for (let at = head; ; ) {
      if (!budget.take()) {
        this.problem ??= 'not followed further: too many descriptors to look at'
        return
      }
      visited.add(at)
      this.slots.push(at)
      const found = packed ? packedDescriptor(table, at) : splitDescriptor(table, at)
      this.id = found.id
      const more = (found.flags & VIRTQ_DESC_F_NEXT) !== 0
      const next = packed ? (at + 1) % size : (found.next ?? 0)
      const problem = this.#problemOf(found) ?? (more ? nextProblem(next, size, visited) : undefined)
      this.#add({ ...found, ...(problem === undefined ? {} : { problem: `descriptor ${at}: ${problem}` }) })
      if (found.direction === 'table' && problem === undefined) this.#addTable(found)
      if (!more || this.problem !== undefined) return
      at = next
    }
  }

  #addTable({ index: at, address, length }: RawDescriptor): void {
    const { ram, packed, budget } = this.#ring
    const table = viewOf(ram, Number(address), length)
    if (table === undefined) return
    const entries = length / DESCRIPTOR_SIZE
    const visited = new Set<number>()
    for (let entry = 0; ; ) {
      if (!budget.take()) {
        this.problem ??= 'not followed further: too many descriptors to look at'
        return
      }
      visited.add(entry)
      const found = packed ? packedDescriptor(table, entry) : splitDescriptor(table, entry)
      // In a packed ring's table entries follow each other, whatever their flags say (2.8.7).
      const more = packed ? entry + 1 < entries : (found.flags & VIRTQ_DESC_F_NEXT) !== 0
      const next = packed ? entry + 1 : (found.next ?? 0)
      const nested = found.direction === 'table' ? "indirect tables can't be nested" : undefined
      const problem = nested ?? this.#bufferProblem(found) ?? (more ? nextProblem(next, entries, visited) : undefined)
      const where = `descriptor ${at}, entry ${entry} of its indirect table`
      this.#add({ ...found, table: at, ...(problem === undefined ? {} : { problem: `${where}: ${problem}` }) })
      if (!more || this.problem !== undefined) return
      entry = next
    }
  }

  #add(descriptor: CheckedDescriptor): void {
    if (descriptor.problem !== undefined && this.problem === undefined) {
      this.problem = descriptor.problem
      this.culprit = descriptor.table ?? descriptor.index
    }
    if (this.descriptors.length < MOST_SHOWN_DESCRIPTORS) this.descriptors.push(descriptor)
    else this.omitted++
    if (descriptor.problem !== undefined || descriptor.direction === 'table') return
    const { address, length, direction } = descriptor
    this.buffers.push({ gpa: Number(address), length, writable: direction === 'write' })
  }

  #problemOf(descriptor: RawDescriptor): string | undefined {
    return descriptor.direction === 'table' ? this.#tableProblem(descriptor) : this.#bufferProblem(descriptor)
  }

  #bufferProblem({ address, length, direction }: RawDescriptor): string | undefined {
    if (direction === 'read' && this.buffers.at(-1)?.writable) return 'a readable buffer after a writable one'
    if (length !== 0 && !this.#isRam(address, length)) return `${length} bytes at ${hex(address)} are not all RAM`
    this.#bytes += length
    return this.#bytes > MOST_BYTES ? 'the chain has more than 2^32 bytes' : undefined
  }

  #tableProblem({ address, length, flags }: RawDescriptor): string | undefined {
    const { indirect, size } = this.#ring
    const most = Math.max(size, LONGEST_INDIRECT)
    if (!indirect) return 'indirect, but VIRTIO_F_INDIRECT_DESC was not negotiated'
    if ((flags & VIRTQ_DESC_F_NEXT) !== 0 && (flags & VIRTQ_DESC_F_INDIRECT) !== 0) return 'both INDIRECT and NEXT'
    if (length === 0 || length % DESCRIPTOR_SIZE !== 0)
      return `an indirect table of ${length} bytes; it must be a multiple of ${DESCRIPTOR_SIZE}`
    if (length > most * DESCRIPTOR_SIZE)
      return `an indirect table of ${length / DESCRIPTOR_SIZE} descriptors; ${most} at most`
    if (!this.#isRam(address, length)) return `its indirect table at ${hex(address)} is not all RAM`
    return undefined
  }

  #isRam(address: bigint, length: number): boolean {
    return address <= BigInt(Number.MAX_SAFE_INTEGER) && this.#ring.ram.hasRam(Number(address), length)
  }
}

function nextProblem(next: number, size: number, visited: ReadonlySet<number>): string | undefined {
  if (next >= size) return `the next is ${next} of a table of ${size}`
  return visited.has(next) ? `the next is ${next}, where the chain has been: a loop` : undefined
}

const hex = (value: bigint): string => `0x${value.toString(16)}`
