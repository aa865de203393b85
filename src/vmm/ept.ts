/**
 * Extended page tables of one VM: guest-physical to host-physical, in Intel's format (SDM vol. 3, 29.3), four levels
 * of 4 KiB tables that live in host frames and that the processor's page walk reads.
 */

import { type HostMemory, PAGE_SIZE } from '../engine/host-memory.ts'
import { EPT_EXECUTE, EPT_READ, EPT_WRITE } from '../engine/mmu/ept-walk.ts'
import type { FramePool, OwnerId } from './frame-pool.ts'

export { EPT_EXECUTE, EPT_READ, EPT_WRITE }
export const EPT_RIGHTS = EPT_READ | EPT_WRITE | EPT_EXECUTE
/** Bits 5:3 of a leaf: memory type write-back (SDM vol. 3, table 29-7). */
export const EPT_MEMORY_TYPE_WB = 6 << 3

const ENTRIES = 512
const LEVELS = 4
/** Highest guest-physical address that four levels map, exclusive. */
const LIMIT = 2 ** 48

/** Bytes that one entry of a table at `level` covers; 1 is the page table. */
const spanOf = (level: number): number => PAGE_SIZE * ENTRIES ** (level - 1)

export interface EptRange {
  readonly gpa: number
  readonly hpa: number
  /** In bytes. */
  readonly length: number
  /** {@link EPT_READ}, {@link EPT_WRITE}, {@link EPT_EXECUTE}. */
  readonly rights: number
}

export class Ept {
  /** HPA of the PML4 table. */
  readonly root: number

  readonly #pool: FramePool
  readonly #owner: OwnerId
  readonly #memory: HostMemory
  readonly #invalidate: (root: number) => void
  #mapped = 0

  /** @param invalidate INVEPT: called after any change that takes rights away. */
  constructor(pool: FramePool, owner: OwnerId, invalidate: (root: number) => void) {
    this.#pool = pool
    this.#owner = owner
    this.#memory = pool.memory
    this.#invalidate = invalidate
    this.root = pool.allocate(owner)
  }

  /** Guest pages that are mapped. */
  get mappedPages(): number {
    return this.#mapped
  }

  /** Maps one 4 KiB page. The frame must belong to this VM: that is what isolation rests on. */
  map(gpa: number, hpa: number, rights: number): void {
    checkRights(rights)
    const owner = this.#pool.ownerOf(hpa)
    if (owner !== this.#owner)
      throw new RangeError(`EPT of VM ${this.#owner}: frame 0x${hpa.toString(16)} belongs to VM ${owner}`)
    const at = this.#leaf(gpa, true)
    const was = this.#memory.u32[at >>> 2]
    if (was === 0) this.#mapped++
    this.#write(at, hpa | EPT_MEMORY_TYPE_WB | rights)
    const movedFrame = was >>> 12 !== hpa >>> 12
    if (was !== 0 && (movedFrame || (was & EPT_RIGHTS & ~rights) !== 0)) this.#invalidate(this.root)
  }

  /** Does nothing where no page is mapped. Tables that become empty are given back. */
  unmap(gpa: number): void {
    this.unmapAll([gpa])
  }

  /** As {@link unmap} for each page, with one invalidation at the end. */
  unmapAll(gpas: Iterable<number>): void {
    let unmapped = false
    for (const gpa of gpas) if (this.#unmap(gpa)) unmapped = true
    if (unmapped) this.#invalidate(this.root)
  }

  #unmap(gpa: number): boolean {
    const path = this.#path(gpa)
    const leaf = path.at(-1)
    if (path.length < LEVELS || leaf === undefined || this.#memory.u32[leaf >>> 2] === 0) return false
    this.#write(leaf, 0)
    for (let i = LEVELS - 1; i > 0; i--) {
      const table = path[i] - (path[i] % PAGE_SIZE)
      if (!this.#empty(table)) break
      this.#write(path[i - 1], 0)
      this.#pool.free(table)
    }
    this.#mapped--
    return true
  }

  /** Unmaps everything and gives the tables back, but for the root. */
  clear(): void {
    this.#freeTables(this.root, LEVELS)
    this.#memory.u8.fill(0, this.root, this.root + PAGE_SIZE)
    this.#mapped = 0
    this.#invalidate(this.root)
  }

  /** Rights of a mapped page, 0 where none is mapped. */
  rights(gpa: number): number {
    const at = this.#leaf(gpa, false)
    return at === 0 ? 0 : this.#memory.u32[at >>> 2] & EPT_RIGHTS
  }

  /** Changes the rights of a mapped page, none (0) included; false where none is mapped. */
  setRights(gpa: number, rights: number): boolean {
    checkRights(rights)
    const at = this.#leaf(gpa, false)
    const was = at === 0 ? 0 : this.#memory.u32[at >>> 2]
    if (was === 0) return false
    this.#write(at, (was & ~EPT_RIGHTS) | rights)
    if ((was & EPT_RIGHTS & ~rights) !== 0) this.#invalidate(this.root)
    return true
  }

  /** HPA behind `gpa`, or undefined where no page is mapped. */
  translate(gpa: number): number | undefined {
    const at = this.#leaf(gpa, false)
    const entry = at === 0 ? 0 : this.#memory.u32[at >>> 2]
    return entry === 0 ? undefined : frameOf(entry) + (gpa % PAGE_SIZE)
  }

  /** What is mapped, in ascending order; pages that continue one another on both sides with equal rights are one range. */
  *ranges(): Generator<EptRange> {
    let current: { gpa: number; hpa: number; length: number; rights: number } | undefined
    for (const { gpa, entry } of this.#leaves(this.root, LEVELS, 0)) {
      const rights = entry & EPT_RIGHTS
      const hpa = frameOf(entry)
      const { length } = current ?? { length: 0 }
      if (current?.rights === rights && gpa === current.gpa + length && hpa === current.hpa + length) {
        current.length += PAGE_SIZE
        continue
      }
      if (current !== undefined) yield current
      current = { gpa, hpa, length: PAGE_SIZE, rights }
    }
    if (current !== undefined) yield current
  }

  *#leaves(table: number, level: number, base: number): Generator<{ gpa: number; entry: number }> {
    for (let i = 0; i < ENTRIES; i++) {
      const entry = this.#memory.u32[(table + i * 8) >>> 2]
      if (entry === 0) continue
      const gpa = base + i * spanOf(level)
      if (level === 1) yield { gpa, entry }
      else yield* this.#leaves(frameOf(entry), level - 1, gpa)
    }
  }

  /** HPA of the page-table entry for `gpa`; tables on the way are made if `create`, otherwise 0 tells that one is missing. */
  #leaf(gpa: number, create: boolean): number {
    if (gpa < 0 || gpa >= LIMIT) throw new RangeError(`guest-physical 0x${gpa.toString(16)} is beyond 48 bits`)
    let table = this.root
    for (let level = LEVELS; level > 1; level--) {
      const at = entryAt(table, gpa, level)
      if (this.#memory.u32[at >>> 2] === 0) {
        if (!create) return 0
        // SDM vol. 3, tables 29-1, 29-3, 29-5: bits 7:3 of an entry that references a table are reserved.
        this.#write(at, this.#pool.allocate(this.#owner) | EPT_RIGHTS)
      }
      table = frameOf(this.#memory.u32[at >>> 2])
    }
    return entryAt(table, gpa, 1)
  }

  /** HPAs of the entries that lead to `gpa`, from the root down; shorter than {@link LEVELS} where a table is missing. */
  #path(gpa: number): number[] {
    const path: number[] = []
    let table = this.root
    for (let level = LEVELS; level > 0; level--) {
      const at = entryAt(table, gpa, level)
      path.push(at)
      const entry = this.#memory.u32[at >>> 2]
      if (entry === 0) break
      table = frameOf(entry)
    }
    return path
  }

  #freeTables(table: number, level: number): void {
    if (level === 1) return
    for (let i = 0; i < ENTRIES; i++) {
      const entry = this.#memory.u32[(table + i * 8) >>> 2]
      if (entry === 0) continue
      this.#freeTables(frameOf(entry), level - 1)
      this.#pool.free(frameOf(entry))
    }
  }

  #empty(table: number): boolean {
    for (let i = 0; i < ENTRIES; i++) if (this.#memory.u32[(table + i * 8) >>> 2] !== 0) return false
    return true
  }

  #write(at: number, low: number): void {
    this.#memory.u32[at >>> 2] = low
    this.#memory.u32[(at >>> 2) + 1] = 0
  }
}

// SDM vol. 3, 29.3.3.1: an entry that is writable and not readable is misconfigured.
function checkRights(rights: number): void {
  if ((rights & ~EPT_RIGHTS) !== 0 || (rights & (EPT_READ | EPT_WRITE)) === EPT_WRITE)
    throw new RangeError(`EPT: 0x${rights.toString(16)} is no set of access rights`)
}

const frameOf = (entry: number): number => (entry & ~(PAGE_SIZE - 1)) >>> 0

const entryAt = (table: number, gpa: number, level: number): number =>
  table + (Math.floor(gpa / spanOf(level)) % ENTRIES) * 8

/** Frames that the tables for the guest-physical range [0, `bytes`) take at most. */
export function eptFrames(bytes: number): number {
  let tables = 1
  for (let level = 2; level <= LEVELS; level++) tables += Math.ceil(bytes / spanOf(level))
  return tables
}
