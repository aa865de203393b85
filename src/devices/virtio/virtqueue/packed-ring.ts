/** The packed virtqueue (Virtio 1.2, 2.8): one ring of descriptors that driver and device overwrite in turn. */

import type { Json } from '../../../util/json.ts'
import type { RegisterView } from '../../device.ts'
import type { SavedState } from '../../saved-state.ts'
import { DescriptorChain } from './chain.ts'
import { ChainWalk } from './chain-walk.ts'
import {
  DESCRIPTOR_SIZE,
  type PackedDescriptor,
  parsePackedDescriptor,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
  VIRTQ_DESC_F_WRITE,
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

/** Event suppression structures (2.8.14): offset and wrap counter of an event, then flags. */
const EVENT_SIZE = 4
const EVENT_FLAGS_AT = 2
const RING_EVENT_FLAGS_ENABLE = 0
const RING_EVENT_FLAGS_DISABLE = 1
const RING_EVENT_FLAGS_DESC = 2
const EVENT_WRAP = 1 << 15

export const PACKED_MAXIMUM_SIZE = 32768

/** What is wrong with the areas (2.8: alignments of 16, 4 and 4; any size up to 2^15). */
export function packedAreaProblem(memory: QueueMemory, areas: RingAreas): AreaProblem {
  const { size } = areas
  if (size === 0 || size > PACKED_MAXIMUM_SIZE) return `a size of ${size}; 1 to ${PACKED_MAXIMUM_SIZE} are possible`
  return firstProblem(memory, [
    { name: 'descriptor ring', at: areas.descriptors, length: DESCRIPTOR_SIZE * size, alignment: 16 },
    { name: 'driver event suppression', at: areas.driver, length: EVENT_SIZE, alignment: 4 },
    { name: 'device event suppression', at: areas.device, length: EVENT_SIZE, alignment: 4 },
  ])
}

/**
 * A place in the ring with its wrap counter, as one number from 0 to twice the size: below the size while the counter
 * is 1, as it is at first (2.8.1).
 */
class Position {
  readonly #size: number
  value = 0

  constructor(size: number) {
    this.#size = size
  }

  get slot(): number {
    return this.value % this.#size
  }

  get wrap(): boolean {
    return this.value < this.#size
  }

  advance(slots: number): void {
    this.value = (this.value + slots + 2 * this.#size) % (2 * this.#size)
  }

  /** How event suppression structures name it. */
  get event(): number {
    return this.slot | (this.wrap ? EVENT_WRAP : 0)
  }
}

export class PackedRing implements Ring {
  readonly areas: RingAreas
  readonly #memory: QueueMemory
  readonly #features: RingFeatures
  /** The next to look at, and the next to write a used descriptor to. */
  readonly #available: Position
  readonly #used: Position
  /** The place of the next used descriptor when an interrupt was last decided, and slots used since. */
  #signalled = 0
  #usedSince = 0
  /** What the device's event suppression structure says at present. */
  #eventFlags = RING_EVENT_FLAGS_ENABLE
  #event = 0

  /** @param areas checked by {@link packedAreaProblem}. */
  constructor(memory: QueueMemory, areas: RingAreas, features: RingFeatures) {
    this.#memory = memory
    this.areas = areas
    this.#features = features
    this.#available = new Position(areas.size)
    this.#used = new Position(areas.size)
  }

  get place(): RingPlace {
    return { available: this.#available.value, used: this.#used.value }
  }

  take(): DescriptorChain | RingFault | undefined {
    const taken = this.#chainAt(this.#available)
    if (taken instanceof DescriptorChain) this.#available.advance(taken.slots)
    return taken
  }

  putBack({ slots }: DescriptorChain): void {
    this.#available.advance(-slots)
  }

  /** Flags last: they hand the descriptor over (2.8.21). Only a device that wrote says so, and how much (2.8.6). */
  complete({ id, slots }: DescriptorChain, written: number): void {
    const at = this.areas.descriptors + DESCRIPTOR_SIZE * this.#used.slot
    const turn = this.#used.wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0
    this.#memory.write32(at + 8, written)
    this.#memory.write16(at + 12, id)
    this.#memory.write16(at + 14, turn | (written > 0 ? VIRTQ_DESC_F_WRITE : 0))
    this.#used.advance(slots)
    this.#usedSince += slots
  }

  takeInterrupt(): boolean {
    const before = this.#signalled
    const completed = this.#usedSince
    this.#signalled = this.#used.value
    this.#usedSince = 0
    if (completed === 0) return false
    const { driver, size } = this.areas
    const flags = this.#memory.read16(driver + EVENT_FLAGS_AT) & 3
    if (flags === RING_EVENT_FLAGS_DISABLE) return false
    if (flags !== RING_EVENT_FLAGS_DESC || !this.#features.eventIndex) return true
    // 2.8.10.1: when the descriptor at that place was used, it is time.
    const wanted = this.#memory.read16(driver)
    const place = (wanted & ~EVENT_WRAP) + (wanted & EVENT_WRAP ? 0 : size)
    return (place - before + 2 * size) % (2 * size) < completed
  }

  /** An event left behind is out of the driver's way: only the first kick finds the structure without one. */
  setNotifications(wanted: boolean): void {
    if (!wanted) {
      if (this.#eventFlags !== RING_EVENT_FLAGS_DESC) this.#writeEvent(RING_EVENT_FLAGS_DISABLE, 0)
    } else if (this.#features.eventIndex) this.#writeEvent(RING_EVENT_FLAGS_DESC, this.#available.event)
    else this.#writeEvent(RING_EVENT_FLAGS_ENABLE, 0)
  }

  peek(limit: number): readonly (DescriptorChain | RingFault)[] {
    const found: (DescriptorChain | RingFault)[] = []
    const at = new Position(this.areas.size)
    at.value = this.#available.value
    for (let slots = 0; found.length < limit && slots < this.areas.size; ) {
      const chain = this.#chainAt(at)
      if (chain !== undefined) found.push(chain)
      if (!(chain instanceof DescriptorChain)) break
      at.advance(chain.slots)
      slots += chain.slots
    }
    return found
  }

  #writeEvent(flags: number, event: number): void {
    if (flags === this.#eventFlags && event === this.#event) return
    this.#eventFlags = flags
    this.#event = event
    this.#memory.write16(this.areas.device, event)
    this.#memory.write16(this.areas.device + EVENT_FLAGS_AT, flags)
  }

  /** 2.8.1: available is what has the driver's wrap counter for one flag, and not for the other. */
  #chainAt(position: Position): DescriptorChain | RingFault | undefined {
    const first = this.#descriptor(position.slot)
    const available = (first.flags & VIRTQ_DESC_F_AVAIL) !== 0
    const used = (first.flags & VIRTQ_DESC_F_USED) !== 0
    if (available !== position.wrap || used === position.wrap) return undefined
    return this.#walk(position.slot, first)
  }

  /** Descriptors of a chain follow each other; the last has the buffer id (2.8.6, 2.8.8). */
  #walk(head: number, first: PackedDescriptor): DescriptorChain | RingFault {
    const { size } = this.areas
    const walk = new ChainWalk(this.#memory, size, this.#features.indirect)
    let at = head
    let descriptor = first
    for (let slots = 1; slots <= size; slots++) {
      const indirect = (descriptor.flags & VIRTQ_DESC_F_INDIRECT) !== 0
      const fault = indirect ? this.#addTable(walk, descriptor, at) : walk.add(descriptor, at)
      if (fault !== undefined) return fault
      if ((descriptor.flags & VIRTQ_DESC_F_NEXT) === 0)
        return new DescriptorChain(this.#memory, descriptor.id, slots, walk.buffers)
      at = (at + 1) % size
      descriptor = this.#descriptor(at)
    }
    return new RingFault(`descriptor ${head}: its chain goes round the whole ring`, head)
  }

  /** The entries of an indirect table follow each other; nothing but their flag for writing counts (2.8.7). */
  #addTable(walk: ChainWalk, descriptor: PackedDescriptor, at: number): RingFault | undefined {
    const table = walk.indirectTable(descriptor, at)
    if (table instanceof RingFault) return table
    for (let entry = 0; entry < table.length / DESCRIPTOR_SIZE; entry++) {
      const fault = walk.addIndirect(parsePackedDescriptor(table, DESCRIPTOR_SIZE * entry), entry, at)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  #descriptor(slot: number): PackedDescriptor {
    const at = this.areas.descriptors + DESCRIPTOR_SIZE * slot
    return parsePackedDescriptor(this.#memory.read(at, DESCRIPTOR_SIZE))
  }

  registers(): readonly RegisterView[] {
    const position = (name: string, { slot, wrap }: Position, meaning: string): RegisterView => ({
      name,
      value: slot,
      width: 16,
      meaning: `wrap counter ${wrap ? 1 : 0}: ${meaning}`,
    })
    const suppression = (name: string, gpa: number): RegisterView => {
      const event = this.#memory.read16(gpa)
      const flags = this.#memory.read16(gpa + EVENT_FLAGS_AT) & 3
      const words = ['always', 'never', `at ${event & ~EVENT_WRAP}, wrap counter ${event >>> 15}`, 'reserved']
      return { name, value: flags, width: 16, meaning: words[flags] }
    }
    return [
      position('next_avail', this.#available, 'where the device looks next'),
      position('next_used', this.#used, 'where it writes next'),
      suppression('driver.flags', this.areas.driver),
      suppression('device.flags', this.areas.device),
    ]
  }

  save(): Json {
    return {
      available: this.#available.value,
      used: this.#used.value,
      signalled: this.#signalled,
      usedSince: this.#usedSince,
      eventFlags: this.#eventFlags,
      event: this.#event,
    }
  }

  restore(saved: SavedState): void {
    this.#available.value = 0
    this.#available.advance(saved.number('available'))
    this.#used.value = 0
    this.#used.advance(saved.number('used'))
    this.#signalled = saved.number('signalled')
    this.#usedSince = saved.number('usedSince')
    this.#eventFlags = saved.number('eventFlags')
    this.#event = saved.number('event')
  }
}
