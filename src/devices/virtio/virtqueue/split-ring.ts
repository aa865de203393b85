/** The split virtqueue (Virtio 1.2, 2.7): descriptor table, available ring, used ring. */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import type { SavedState } from '../../saved-state.ts'
import { DescriptorChain } from './chain.ts'
import { ChainWalk } from './chain-walk.ts'
import {
  DESCRIPTOR_SIZE,
  parseSplitDescriptor,
  type SplitDescriptor,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
} from './descriptor.ts'
import type { QueueMemory } from './queue-memory.ts'
import {
  type AreaProblem,
  firstProblem,
  type Ring,
  type RingAreas,
  RingFault,
  type RingFeatures,
  type RingPlace,
} from './ring.ts'

const VIRTQ_AVAIL_F_NO_INTERRUPT = 1
const VIRTQ_USED_F_NO_NOTIFY = 1

/** Flags and index come before the entries of the available and of the used ring. */
const INDEX_AT = 2
const ENTRIES_AT = 4
const AVAILABLE_ENTRY = 2
const USED_ENTRY = 8

export const SPLIT_MAXIMUM_SIZE = 32768

/** What is wrong with the areas (2.7: alignments of 16, 2 and 4; a size that is a power of two). */
export function splitAreaProblem(memory: QueueMemory, areas: RingAreas): AreaProblem {
  const { size } = areas
  if (size === 0 || (size & (size - 1)) !== 0) return `a size of ${size}, which is not a power of two`
  const parts = [
    { name: 'descriptor table', at: areas.descriptors, length: DESCRIPTOR_SIZE * size, alignment: 16 },
    { name: 'available ring', at: areas.driver, length: ENTRIES_AT + AVAILABLE_ENTRY * size + 2, alignment: 2 },
    { name: 'used ring', at: areas.device, length: ENTRIES_AT + USED_ENTRY * size + 2, alignment: 4 },
  ]
  return firstProblem(memory, parts)
}

export class SplitRing implements Ring {
  readonly areas: RingAreas
  readonly #memory: QueueMemory
  readonly #features: RingFeatures
  /** Free-running, 16 bits: the entry of the available ring to look at next, and of the used ring to write next. */
  #available = 0
  #used = 0
  /** Used index when an interrupt was last decided. */
  #signalled = 0
  /** What the driver reads in the used ring at present. */
  #notifications = true
  #availableEvent = 0

  /** @param areas checked by {@link splitAreaProblem}. */
  constructor(memory: QueueMemory, areas: RingAreas, features: RingFeatures) {
    this.#memory = memory
    this.areas = areas
    this.#features = features
  }

  get place(): RingPlace {
    return { available: this.#available, used: this.#used }
  }

  take(): DescriptorChain | RingFault | undefined {
    const taken = this.#chainAt(this.#available)
    if (taken instanceof DescriptorChain) this.#available = (this.#available + 1) & 0xffff
    return taken
  }

  putBack(_chain: DescriptorChain): void {
    this.#available = (this.#available - 1) & 0xffff
  }

  complete({ id }: DescriptorChain, written: number): void {
    const { device, size } = this.areas
    const entry = device + ENTRIES_AT + USED_ENTRY * (this.#used & (size - 1))
    this.#memory.write32(entry, id)
    this.#memory.write32(entry + 4, written)
    this.#used = (this.#used + 1) & 0xffff
    this.#memory.write16(device + INDEX_AT, this.#used)
  }

  takeInterrupt(): boolean {
    const before = this.#signalled
    this.#signalled = this.#used
    const completed = (this.#used - before) & 0xffff
    if (completed === 0) return false
    const { driver, size } = this.areas
    if (!this.#features.eventIndex) return (this.#memory.read16(driver) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0
    // 2.7.7.2: when entry used_event was written, it is time.
    const usedEvent = this.#memory.read16(driver + ENTRIES_AT + AVAILABLE_ENTRY * size)
    return ((usedEvent - before) & 0xffff) < completed
  }

  /** With EVENT_IDX the driver notifies when it passes avail_event: left behind, it is out of the way (2.7.10.1). */
  setNotifications(wanted: boolean): void {
    const { device, size } = this.areas
    if (this.#features.eventIndex) {
      if (!wanted || this.#availableEvent === this.#available) return
      this.#availableEvent = this.#available
      this.#memory.write16(device + ENTRIES_AT + USED_ENTRY * size, this.#availableEvent)
    } else if (wanted !== this.#notifications) {
      this.#notifications = wanted
      this.#memory.write16(device, wanted ? 0 : VIRTQ_USED_F_NO_NOTIFY)
    }
  }

  peek(limit: number): readonly (DescriptorChain | RingFault)[] {
    const found: (DescriptorChain | RingFault)[] = []
    for (let index = this.#available; found.length < limit; index = (index + 1) & 0xffff) {
      const chain = this.#chainAt(index)
      if (chain !== undefined) found.push(chain)
      if (!(chain instanceof DescriptorChain)) break
    }
    return found
  }

  #chainAt(index: number): DescriptorChain | RingFault | undefined {
    const { driver, size } = this.areas
    const posted = this.#memory.read16(driver + INDEX_AT)
    const waiting = (posted - index) & 0xffff
    if (waiting === 0) return undefined
    if (waiting > size)
      return new RingFault(`available index ${posted}: it jumped from ${index}, and the queue has ${size} entries`)
    const entry = index & (size - 1)
    const head = this.#memory.read16(driver + ENTRIES_AT + AVAILABLE_ENTRY * entry)
    if (head >= size) return new RingFault(`available entry ${entry}: descriptor ${head} of a table of ${size}`, head)
    return this.#walk(head)
  }

  #walk(head: number): DescriptorChain | RingFault {
    const { descriptors, size } = this.areas
    const walk = new ChainWalk(this.#memory, size, this.#features.indirect)
    let at = head
    // 2.7.5.3.1: no chain is longer than the queue, so a longer one is a loop.
    for (let slots = 1; slots <= size; slots++) {
      const descriptor = parseSplitDescriptor(this.#memory.read(descriptors + DESCRIPTOR_SIZE * at, DESCRIPTOR_SIZE))
      const indirect = (descriptor.flags & VIRTQ_DESC_F_INDIRECT) !== 0
      const fault = indirect ? this.#addTable(walk, descriptor, at) : walk.add(descriptor, at)
      if (fault !== undefined) return fault
      if ((descriptor.flags & VIRTQ_DESC_F_NEXT) === 0)
        return new DescriptorChain(this.#memory, head, slots, walk.buffers)
      if (descriptor.next >= size)
        return new RingFault(`descriptor ${at}: the next is ${descriptor.next} of a table of ${size}`, at)
      at = descriptor.next
    }
    return new RingFault(`descriptor ${at}: the chain of descriptor ${head} is a loop`, at)
  }

  /** Within an indirect table, chains are linked by indexes of that table. */
  #addTable(walk: ChainWalk, descriptor: SplitDescriptor, at: number): RingFault | undefined {
    const table = walk.indirectTable(descriptor, at)
    if (table instanceof RingFault) return table
    const entries = table.length / DESCRIPTOR_SIZE
    let entry = 0
    for (let count = 0; count < entries; count++) {
      const inside = parseSplitDescriptor(table, DESCRIPTOR_SIZE * entry)
      const fault = walk.addIndirect(inside, entry, at)
      if (fault !== undefined) return fault
      if ((inside.flags & VIRTQ_DESC_F_NEXT) === 0) return undefined
      if (inside.next >= entries)
        return new RingFault(
          `descriptor ${at}, entry ${entry}: the next is ${inside.next} of a table of ${entries}`,
          at,
        )
      entry = inside.next
    }
    return new RingFault(`descriptor ${at}: its indirect table is a loop`, at)
  }

  registers(): readonly RegisterView[] {
    const { driver, device, size } = this.areas
    const read = (name: string, gpa: number, meaning: string): RegisterView => ({
      name,
      value: this.#memory.read16(gpa),
      width: 16,
      meaning,
    })
    const events = this.#features.eventIndex
      ? [
          read('used_event', driver + ENTRIES_AT + AVAILABLE_ENTRY * size, 'the driver wants an interrupt behind it'),
          read('avail_event', device + ENTRIES_AT + USED_ENTRY * size, 'the device wants a kick behind it'),
        ]
      : []
    return [
      read('avail.flags', driver, 'bit 0: no interrupts, please'),
      read('avail.idx', driver + INDEX_AT, 'what the driver has posted'),
      { name: 'last_avail', value: this.#available, width: 16, meaning: 'what the device has taken' },
      read('used.flags', device, 'bit 0: no kicks, please'),
      read('used.idx', device + INDEX_AT, 'what the device has used'),
      ...events,
    ]
  }

  save(): Json {
    return {
      available: this.#available,
      used: this.#used,
      signalled: this.#signalled,
      notifications: this.#notifications,
      availableEvent: this.#availableEvent,
    }
  }

  restore(saved: SavedState): void {
    this.#available = saved.number('available') & 0xffff
    this.#used = saved.number('used') & 0xffff
    this.#signalled = saved.number('signalled') & 0xffff
    this.#notifications = saved.boolean('notifications')
    this.#availableEvent = saved.number('availableEvent') & 0xffff
  }
}
