/**
 * Decoded blocks by host-physical address and mode, and what keeps them true: for each frame the 64-byte lines that
 * code was decoded from. A write to such a line drops the frame's blocks; links lead only within a page, so no other
 * block points there.
 */

import type { BlockDecoder, DecodedBlock } from './decoder/block-decoder.ts'
import type { HostMemory } from './host-memory.ts'
import { jumpCacheSlot } from './interpreter/generate.ts'
import { JUMP_CACHE, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_SIZE, TLB_ENTRIES, TLB_WRITE } from './layout.ts'
import { MODES } from './mode.ts'

export class CodeCache {
  readonly #memory: HostMemory
  readonly #decoder: BlockDecoder
  /** Block addresses by HPA * {@link MODES} + mode; blocks of a single instruction apart. */
  readonly #blocks = new Map<number, number>()
  readonly #single = new Map<number, number>()
  /** Keys of the blocks that a frame holds bytes of. */
  readonly #frames = new Map<number, number[]>()
  /** Two words a frame: a bit for each line that code was decoded from. */
  readonly #lines: Uint32Array
  /** Linear pages (number of the page) that the jump cache may hold entries of. */
  readonly #executed = new Set<number>()
  blocksDecoded = 0

  constructor(memory: HostMemory, decoder: BlockDecoder) {
    this.#memory = memory
    this.#decoder = decoder
    this.#lines = new Uint32Array((memory.size / 4096) * 2)
  }

  find(hpa: number, mode: number, single: boolean): number | undefined {
    return (single ? this.#single : this.#blocks).get(hpa * MODES + mode)
  }

  /** Makes room before a block is decoded: when the records are used up, all blocks go. */
  ensureRoom(): void {
    if (this.#decoder.full) this.dropAll()
  }

  /** @param second HPA of the next page, for an instruction that crosses into it. */
  add(hpa: number, mode: number, single: boolean, block: DecodedBlock, second?: number): void {
    const key = hpa * MODES + mode
    ;(single ? this.#single : this.#blocks).set(key, block.address)
    const here = Math.min(block.bytes, 4096 - (hpa & 4095))
    this.#mark(hpa, here, key)
    if (second !== undefined && block.bytes > here) this.#mark(second, block.bytes - here, key)
    this.blocksDecoded++
  }

  #mark(hpa: number, bytes: number, key: number): void {
    const frame = hpa >>> 12
    const keys = this.#frames.get(frame)
    if (keys === undefined) {
      this.#frames.set(frame, [key])
      this.#dropWriteTranslations(frame)
    } else keys.push(key)
    const first = (hpa & 4095) >>> 6
    const last = ((hpa & 4095) + Math.max(bytes, 1) - 1) >>> 6
    for (let line = first; line <= last; line++) this.#lines[frame * 2 + (line >>> 5)] |= 1 << (line & 31)
  }

  /** Does the frame hold code, so that writes to it must be watched? */
  isCode(frame: number): boolean {
    return (this.#lines[frame * 2] | this.#lines[frame * 2 + 1]) !== 0
  }

  /** Do [hpa, hpa + bytes), within one page, touch a line of code? */
  touchesCode(hpa: number, bytes: number): boolean {
    const frame = hpa >>> 12
    const first = (hpa & 4095) >>> 6
    const last = Math.min((hpa & 4095) + bytes - 1, 4095) >>> 6
    for (let line = first; line <= last; line++)
      if ((this.#lines[frame * 2 + (line >>> 5)] & (1 << (line & 31))) !== 0) return true
    return false
  }

  /** Drops the blocks of a frame that was written to. */
  dropFrame(frame: number): void {
    const keys = this.#frames.get(frame)
    if (keys === undefined) return
    for (const key of keys) {
      this.#blocks.delete(key)
      this.#single.delete(key)
    }
    this.#frames.delete(frame)
    this.#lines[frame * 2] = 0
    this.#lines[frame * 2 + 1] = 0
    this.emptyJumpCache()
  }

  dropAll(): void {
    this.#decoder.dropAll()
    this.#blocks.clear()
    this.#single.clear()
    this.#frames.clear()
    this.#lines.fill(0)
    this.emptyJumpCache()
  }

  /** Remembers where `rip` leads in a fetch context. @param page number of its linear page */
  addJump(ripLow: number, ripHigh: number, context: number, block: number, page: number): void {
    const at = (JUMP_CACHE + jumpCacheSlot(ripLow)) >>> 2
    const { i32 } = this.#memory
    i32[at] = ripLow
    i32[at + 1] = ripHigh
    i32[at + 2] = context
    i32[at + 3] = block
    this.#executed.add(page)
  }

  emptyJumpCache(): void {
    // A context of 0 belongs to nobody.
    this.#memory.u8.fill(0, JUMP_CACHE, JUMP_CACHE + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_SIZE)
    this.#executed.clear()
  }

  /** The translation of a linear page is gone: nothing may jump there without asking. */
  dropPage(page: number): void {
    if (this.#executed.has(page)) this.emptyJumpCache()
  }

  /** Writes to a frame with code take the slow path: no TLB entry may lead there, under whatever address or ASID. */
  #dropWriteTranslations(frame: number): void {
    const { i32 } = this.#memory
    for (let i = 0, at = TLB_WRITE >>> 2; i < TLB_ENTRIES; i++, at += 4)
      if (((i32[at] & ~0xfff) + i32[at + 2]) >>> 12 === frame && (i32[at] | i32[at + 1]) !== 0) {
        i32[at] = 0
        i32[at + 1] = 0
      }
  }
}
