/**
 * The TLB of the processor: three arrays, for reads, writes and fetches, that generated code looks into. This file fills
 * them, and drops from them what the manual says and no more (SDM vol. 3, 4.10).
 */

import type { CodeCache } from '../code-cache.ts'
import type { HostMemory } from '../host-memory.ts'
import { TLB_ENTRIES, TLB_FETCH, TLB_READ, TLB_WRITE } from '../layout.ts'
import { pageNumber } from '../linear-page.ts'
import type { Watchpoints } from '../stops/watchpoints.ts'
import type { PagingControl, WalkResult } from './page-walk.ts'
import { plainTag, TAG_WATCHED } from './tlb-tag.ts'

/** What the last word of a TLB entry tells of its page. */
const TLB_GLOBAL = 1
/** A user page with protection keys on; its key is in bits 7:4. */
const TLB_KEYED = 2
const TLB_KEY_SHIFT = 4

export class Tlb {
  readonly #memory: HostMemory
  readonly #code: CodeCache
  readonly #watchpoints: Watchpoints
  /** Numbers of the large pages, by size, of which fragments may be cached. */
  readonly #largePages = [21, 22, 30].map(shift => ({ shift, pages: new Set<number>() }))
  /** Entries written since the processor was made. */
  fills = 0

  constructor(memory: HostMemory, code: CodeCache, watchpoints: Watchpoints) {
    this.#memory = memory
    this.#code = code
    this.#watchpoints = watchpoints
  }

  /** Drops every entry of the three arrays. */
  empty(): void {
    this.#memory.u8.fill(0, TLB_READ, TLB_FETCH + (TLB_FETCH - TLB_WRITE))
    for (const { pages } of this.#largePages) pages.clear()
  }

  /** Drops what some ASIDs have cached, but for global pages (SDM vol. 3, 4.10.4.1: MOV to CR3). */
  dropNonGlobal(asids: readonly number[]): void {
    if (asids.length === 0) return
    const marked = this.#marked(asids)
    const { i32 } = this.#memory
    for (let i = 0, at = TLB_READ >>> 2; i < 3 * TLB_ENTRIES; i++, at += 4) {
      if (marked[i32[at] & 0xfff] === 0 || (i32[at + 3] & TLB_GLOBAL) !== 0) continue
      i32[at] = 0
      i32[at + 1] = 0
    }
    this.#code.dropNonGlobal()
  }

  /** A byte for each ASID: 1 for those that are listed. */
  #marked(asids: readonly number[]): Uint8Array {
    const marked = this.#asidMarks.fill(0)
    for (const asid of asids) marked[asid] = 1
    return marked
  }
  readonly #asidMarks = new Uint8Array(4096)

  /** Drops what some ASIDs have cached of the page at a linear address, a large one whole, unless it is global. */
  dropPageOf(low: number, high: number, asids: readonly number[]): void {
    const marked = this.#marked(asids)
    const page = pageNumber(low, high)
    const large = this.#largePages.filter(({ shift, pages }) => pages.has(Math.floor(page / 2 ** (shift - 12))))
    const pagesHere = [1, ...large.map(({ shift }) => 2 ** (shift - 12))]
    const { i32 } = this.#memory
    for (let i = 0, at = TLB_READ >>> 2; i < 3 * TLB_ENTRIES; i++, at += 4) {
      if (marked[i32[at] & 0xfff] === 0 || (i32[at + 3] & TLB_GLOBAL) !== 0) continue
      const cached = pageNumber(plainTag(i, i32[at]), i32[at + 1])
      if (!pagesHere.some(size => Math.floor(cached / size) === Math.floor(page / size))) continue
      i32[at] = 0
      i32[at + 1] = 0
    }
    if (large.length === 0) this.#code.dropPage(page)
    else this.#code.emptyJumpCache()
  }

  /**
   * Rights of protection keys have changed: drops reads and writes of their pages, which were let through by the old
   * ones. @param keys bit i for key i
   */
  dropKeys(keys: number): void {
    const { i32 } = this.#memory
    for (const table of [TLB_READ, TLB_WRITE])
      for (let i = 0, at = table >>> 2; i < TLB_ENTRIES; i++, at += 4) {
        const facts = i32[at + 3]
        if ((facts & TLB_KEYED) === 0 || ((keys >>> (facts >>> TLB_KEY_SHIFT)) & 1) === 0) continue
        i32[at] = 0
        i32[at + 1] = 0
      }
  }

  /**
   * Drops the translations of a linear address under every ASID: those of its 4 KiB page, and all of a large page that
   * ever covered it since (SDM vol. 3, 4.10.2.3: its fragments go together).
   */
  dropPage(low: number, high: number): void {
    const page = pageNumber(low, high)
    for (const { shift, pages } of this.#largePages) {
      const number = Math.floor(page / 2 ** (shift - 12))
      if (pages.delete(number)) this.#dropLargePage(number, shift)
    }
    const { i32 } = this.#memory
    for (const table of [TLB_READ, TLB_WRITE, TLB_FETCH]) {
      const at = (table + tlbOffset(low)) >>> 2
      i32[at] = 0
      i32[at + 1] = 0
    }
    this.#code.dropPage(page)
  }

  /** The debugger's data breakpoints are others now: marks the entries of their pages, and no others. */
  markWatched(): void {
    const { i32 } = this.#memory
    for (const table of [TLB_READ, TLB_WRITE])
      for (let i = 0, at = table >>> 2; i < TLB_ENTRIES; i++, at += 4) {
        if ((i32[at] | i32[at + 1]) === 0) continue
        const low = plainTag(i, i32[at])
        const frame = ((low & ~0xfff) + i32[at + 2]) >>> 12
        const write = table === TLB_WRITE
        const covered = this.#watchpoints.coversPage(pageNumber(low, i32[at + 1]), frame, write)
        i32[at] = covered ? low ^ TAG_WATCHED : low
        // While it was marked, code may have been decoded from the frame: writes to that are seen by the slow path only.
        if (covered || !write || !this.#code.isCode(frame)) continue
        i32[at] = 0
        i32[at + 1] = 0
      }
  }

  #dropLargePage(number: number, shift: number): void {
    const { i32 } = this.#memory
    const size = 2 ** (shift - 12)
    for (let i = 0, at = TLB_READ >>> 2; i < 3 * TLB_ENTRIES; i++, at += 4)
      if (Math.floor(pageNumber(i32[at], i32[at + 1]) / size) === number) {
        i32[at] = 0
        i32[at + 1] = 0
      }
    this.#code.emptyJumpCache()
  }

  /** Writes the entry of a page that has been walked to. */
  fill(
    table: number,
    low: number,
    high: number,
    asid: number,
    hpa: number,
    control: PagingControl,
    { global, key, pageShift, user }: WalkResult,
  ): void {
    const { i32 } = this.#memory
    const at = (table + tlbOffset(low)) >>> 2
    const watched =
      !this.#watchpoints.isEmpty &&
      table !== TLB_FETCH &&
      this.#watchpoints.coversPage(pageNumber(low, high), hpa >>> 12, table === TLB_WRITE)
    i32[at] = ((low & ~0xfff) | asid) ^ (watched ? TAG_WATCHED : 0)
    i32[at + 1] = high
    i32[at + 2] = (hpa & ~0xfff) - (low & ~0xfff)
    let facts = global && control.globalPages ? TLB_GLOBAL : 0
    if (control.protectionKeys && user) facts |= TLB_KEYED | (key << TLB_KEY_SHIFT)
    i32[at + 3] = facts
    this.fills++
    if (pageShift === 12) return
    for (const { shift, pages } of this.#largePages)
      if (shift === pageShift) pages.add(Math.floor(pageNumber(low, high) / 2 ** (shift - 12)))
  }

  /** Host address of what an entry translates; -1 for a miss. */
  hit(table: number, low: number, high: number, asid: number): number {
    const { i32 } = this.#memory
    const at = (table + tlbOffset(low)) >>> 2
    const tag = (low & ~0xfff) | asid
    if ((i32[at] !== tag && i32[at] !== (tag ^ TAG_WATCHED)) || i32[at + 1] !== high) return -1
    return (low + i32[at + 2]) >>> 0
  }

  /** Is the cached translation of a page that is fetched from a global one? */
  isFetchedGlobal(low: number): boolean {
    return (this.#memory.i32[((TLB_FETCH + tlbOffset(low)) >>> 2) + 3] & TLB_GLOBAL) !== 0
  }
}

function tlbOffset(low: number): number {
  return (low >>> 8) & ((TLB_ENTRIES - 1) << 4)
}
