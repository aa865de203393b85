/**
 * The hypervisor's allocator of host frames: 4 KiB pages of host memory for guests and their tables.
 * It knows the owner of each frame, so that isolation between VMs can be checked rather than believed.
 */

import { type HostMemory, PAGE_SIZE } from '../engine/host-memory.ts'

/** Identity of a VM as owner of frames: 1 to 65535, 0 means free. */
export type OwnerId = number

/** Host memory doesn't suffice for what was asked. */
export class OutOfFramesError extends Error {
  readonly requested: number
  readonly available: number

  /** @param requested and `available` are counts of 4 KiB frames. */
  constructor(what: string, requested: number, available: number) {
    super(
      `${what} needs ${mebibytes(requested)} MiB of host memory, and only ${mebibytes(available)} MiB is left: ` +
        'give the guest less memory, or end another one',
    )
    this.requested = requested
    this.available = available
  }
}

const mebibytes = (frames: number): string => ((frames * PAGE_SIZE) / 2 ** 20).toFixed(1)

export class FramePool {
  readonly memory: HostMemory
  /** HPA of the first frame. */
  readonly base: number
  /** Frames in all. */
  readonly capacity: number

  readonly #owners: Uint16Array
  readonly #reserved = new Map<OwnerId, number>()
  /** Frames that were given back, to be zeroed when they are allocated again. */
  readonly #returned: number[] = []
  /** Index of the first frame that was never allocated: host memory starts zeroed, so these need no clearing. */
  #fresh = 0
  #allocated = 0
  #lastOwner: OwnerId = 0

  /** @param base HPA of the first frame, 4 KiB-aligned; the pool reaches to the end of `memory`. */
  constructor(memory: HostMemory, base: number) {
    if (base % PAGE_SIZE !== 0 || base <= 0 || base > memory.size)
      throw new RangeError(`frame pool: base 0x${base.toString(16)} is not a frame of host memory`)
    this.memory = memory
    this.base = base
    this.capacity = Math.floor((memory.size - base) / PAGE_SIZE)
    this.#owners = new Uint16Array(this.capacity)
  }

  get allocated(): number {
    return this.#allocated
  }

  /** Frames that are not promised to any VM. */
  get unreserved(): number {
    let promised = 0
    for (const frames of this.#reserved.values()) promised += frames
    return this.capacity - promised
  }

  /** A VM registers as an owner and is promised `frames` frames, which lazy allocation may then count on. */
  reserve(what: string, frames: number): OwnerId {
    if (frames > this.unreserved) throw new OutOfFramesError(what, frames, this.unreserved)
    this.#lastOwner++
    this.#reserved.set(this.#lastOwner, frames)
    return this.#lastOwner
  }

  /** HPA of a zeroed frame that belongs to `owner` from now on. */
  allocate(owner: OwnerId): number {
    const index = this.#returned.pop() ?? this.#fresh
    if (index >= this.capacity) throw new OutOfFramesError('a frame', 1, 0)
    const hpa = this.base + index * PAGE_SIZE
    if (index === this.#fresh) this.#fresh++
    else this.memory.u8.fill(0, hpa, hpa + PAGE_SIZE)
    this.#owners[index] = owner
    this.#allocated++
    return hpa
  }

  free(hpa: number): void {
    const index = this.#indexOf(hpa)
    if (this.#owners[index] === 0) throw new RangeError(`frame 0x${hpa.toString(16)} is free already`)
    this.#owners[index] = 0
    this.#returned.push(index)
    this.#allocated--
  }

  /** Gives back everything that `owner` has, its reservation included. */
  release(owner: OwnerId): void {
    for (let index = 0; index < this.#fresh; index++)
      if (this.#owners[index] === owner) this.free(this.base + index * PAGE_SIZE)
    this.#reserved.delete(owner)
  }

  /** 0 when the frame is free or not a frame of this pool. */
  ownerOf(hpa: number): OwnerId {
    const index = Math.floor((hpa - this.base) / PAGE_SIZE)
    return index >= 0 && index < this.capacity ? this.#owners[index] : 0
  }

  #indexOf(hpa: number): number {
    const index = (hpa - this.base) / PAGE_SIZE
    if (!Number.isInteger(index) || index < 0 || index >= this.capacity)
      throw new RangeError(`0x${hpa.toString(16)} is not a frame of the pool`)
    return index
  }
}
