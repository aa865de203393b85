/**
 * Decoded blocks by host-physical address and mode, and what keeps them true: for each frame the 64-byte lines that
 * code was decoded from. A write to such a line drops the frame's blocks; links lead only within a page, so no other
 * block points there.
 */

import { type BlockDecoder, type DecodedBlock, MAX_LENGTH } from './decoder/block-decoder.ts'
import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import { jumpCacheSlot } from './interpreter/generate.ts'
import { JUMP_CACHE, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_SIZE, TLB_ENTRIES, TLB_WRITE } from './layout.ts'
import { pageNumber } from './linear-page.ts'
import { plainTag } from './mmu/tlb-tag.ts'
import * as S from './state.ts'

/** A block that begins in another frame and ends in this one. */
interface Incoming {
  readonly frame: number
  readonly variant: number
  readonly offset: number
}

/** Code decoded from one frame. */
class FrameCode {
  /** Block addresses by offset in the frame, for each variant: mode, and single or not. */
  readonly blocks: (Map<number, number> | undefined)[] = []
  readonly incoming: Incoming[] = []
  /** A bit for each 64-byte line that code was decoded from. */
  readonly lines = new Uint32Array(2)
}

/** An entry of the jump cache: where a RIP leads in a fetch context. */
export interface Jump {
  readonly ripLow: number
  readonly ripHigh: number
  readonly context: number
  readonly block: number
  /** Number of its linear page, and whether the block goes on in the next one. */
  readonly page: number
  readonly crosses: boolean
  /** Is its code in global pages only? */
  readonly global: boolean
}

/** Pages that the jump cache may lead to, before it is emptied to forget them. */
const EXECUTED_PAGES = 16384

const variantOf = (mode: number, single: boolean): number => mode * 2 + (single ? 1 : 0)

export class CodeCache {
  readonly #memory: HostMemory
  readonly #decoder: BlockDecoder
  readonly #frames: (FrameCode | undefined)[]
  /** Linear pages (number of the page) that the jump cache may hold entries of. */
  readonly #executed = new Set<number>()
  /** Does the jump cache hold an entry whose linear address is not its RIP? */
  #based = false
  /** Does the jump cache hold addresses of the upper half in pages that are not global? */
  #upperLocal = false
  blocksDecoded = 0
  /** Called when all blocks go, for whoever keeps something about them. */
  onDropAll: () => void = () => {}

  constructor(memory: HostMemory, decoder: BlockDecoder) {
    this.#memory = memory
    this.#decoder = decoder
    this.#frames = new Array(memory.size / 4096).fill(undefined)
  }

  /** Address of the block at `hpa`, or 0. One that goes on in another frame names it in its header. */
  find(hpa: number, mode: number, single: boolean): number {
    return this.#frames[hpa >>> 12]?.blocks[variantOf(mode, single)]?.get(hpa & 4095) ?? 0
  }

  /** Makes room before a block is decoded: when the records are used up, all blocks go. */
  ensureRoom(): void {
    if (this.#decoder.full) this.dropAll()
  }

  /** @param second HPA of the next page, for an instruction that crosses into it; 0 for none. */
  add(hpa: number, mode: number, single: boolean, block: DecodedBlock, second: number): void {
    const variant = variantOf(mode, single)
    const frame = this.#frameCode(hpa >>> 12)
    const offset = hpa & 4095
    const blocks = (frame.blocks[variant] ??= new Map<number, number>())
    blocks.set(offset, block.address)
    const here = Math.min(block.bytes, 4096 - offset)
    markLines(frame, offset, here)
    this.#memory.u32[(block.address + R.BLOCK_SECOND) >>> 2] = second
    if (second !== 0) {
      const next = this.#frameCode(second >>> 12)
      next.incoming.push({ frame: hpa >>> 12, variant, offset })
      markLines(next, 0, block.bytes - here)
    }
    this.blocksDecoded++
  }

  #frameCode(frame: number): FrameCode {
    const known = this.#frames[frame]
    if (known !== undefined) return known
    this.#dropWriteTranslations(frame)
    const made = new FrameCode()
    this.#frames[frame] = made
    return made
  }

  /** Does the frame hold code, so that writes to it must be watched? */
  isCode(frame: number): boolean {
    return this.#frames[frame] !== undefined
  }

  /** Do [hpa, hpa + bytes), within one page, touch a line of code? */
  touchesCode(hpa: number, bytes: number): boolean {
    const code = this.#frames[hpa >>> 12]
    if (code === undefined) return false
    const first = (hpa & 4095) >>> 6
    const last = Math.min((hpa & 4095) + bytes - 1, 4095) >>> 6
    for (let line = first; line <= last; line++) if ((code.lines[line >>> 5] & (1 << (line & 31))) !== 0) return true
    return false
  }

  /** Drops the blocks that hold bytes of a frame that was written to. */
  dropFrame(frame: number): void {
    const code = this.#frames[frame]
    if (code === undefined) return
    for (const { frame: other, variant, offset } of code.incoming) this.#frames[other]?.blocks[variant]?.delete(offset)
    this.#frames[frame] = undefined
    this.emptyJumpCache()
  }

  dropAll(): void {
    this.#decoder.dropAll()
    this.#memory.i32[S.LINK_SLOT >> 2] = 0
    this.onDropAll()
    this.#frames.fill(undefined)
    this.emptyJumpCache()
  }

  /** Remembers where `rip` leads in a fetch context. @param page number of its linear page; and the next one's if `crosses` */
  addJump(jump: Jump): void {
    const { ripLow, ripHigh, context, block, page, crosses, global } = jump
    const at = (JUMP_CACHE + jumpCacheSlot(ripLow)) >>> 2
    const { i32 } = this.#memory
    const neighbour = at ^ (JUMP_CACHE_ENTRY_SIZE >>> 2)
    const leadsHere = (entry: number) =>
      i32[entry] === ripLow && i32[entry + 1] === ripHigh && i32[entry + 2] === context
    // What is there and leads elsewhere is not lost: a kernel's path through a request has too many branches for that.
    if (i32[at + 2] !== 0 && !leadsHere(at)) i32.copyWithin(neighbour, at, at + 4)
    else if (leadsHere(neighbour)) i32[neighbour + 2] = 0
    i32[at] = ripLow
    i32[at + 1] = ripHigh
    i32[at + 2] = context
    i32[at + 3] = block
    this.#executed.add(page)
    if (crosses) this.#executed.add(page + 1)
    if (page !== pageNumber(ripLow, ripHigh)) this.#based = true
    if (!global && ripHigh < 0) this.#upperLocal = true
    // Pages are only ever added between two emptyings: begin anew before the set costs more than the cache saves.
    if (this.#executed.size > EXECUTED_PAGES) this.emptyJumpCache()
  }

  emptyJumpCache(): void {
    // A context of 0 belongs to nobody.
    this.#memory.u8.fill(0, JUMP_CACHE, JUMP_CACHE + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_SIZE)
    this.#executed.clear()
    this.#based = false
    this.#upperLocal = false
  }

  /** Translations of pages that are not global are gone. */
  dropNonGlobal(): void {
    if (this.#upperLocal || this.#based) {
      this.emptyJumpCache()
      return
    }
    // In the upper half, a kernel's, all is global here: what is in the lower half goes.
    const { i32 } = this.#memory
    for (let i = 0, at = JUMP_CACHE >>> 2; i < JUMP_CACHE_ENTRIES; i++, at += JUMP_CACHE_ENTRY_SIZE >>> 2)
      if (i32[at + 1] >= 0) i32[at + 2] = 0
  }

  /** The translation of a linear page is gone: nothing may jump there, or across its start, without asking. */
  dropPage(page: number): void {
    if (!this.#executed.delete(page)) return
    if (this.#based) {
      this.emptyJumpCache()
      return
    }
    const { i32 } = this.#memory
    for (let i = 0, at = JUMP_CACHE >>> 2; i < JUMP_CACHE_ENTRIES; i++, at += JUMP_CACHE_ENTRY_SIZE >>> 2) {
      const entryPage = pageNumber(i32[at], i32[at + 1])
      const crosses = entryPage === page - 1 && (i32[at] & 0xfff) > 4096 - MAX_LENGTH
      if (entryPage === page || crosses) i32[at + 2] = 0
    }
  }

  /** Writes to a frame with code take the slow path: no TLB entry may lead there, under whatever address or ASID. */
  #dropWriteTranslations(frame: number): void {
    const { i32 } = this.#memory
    for (let i = 0, at = TLB_WRITE >>> 2; i < TLB_ENTRIES; i++, at += 4)
      if (((plainTag(i, i32[at]) & ~0xfff) + i32[at + 2]) >>> 12 === frame && (i32[at] | i32[at + 1]) !== 0) {
        i32[at] = 0
        i32[at + 1] = 0
      }
  }
}

function markLines(code: FrameCode, offset: number, bytes: number): void {
  const last = (offset + Math.max(bytes, 1) - 1) >>> 6
  for (let line = offset >>> 6; line <= last; line++) code.lines[line >>> 5] |= 1 << (line & 31)
}
