/** Finds the block at CS:RIP: translates the fetch, decodes what is new, and fills the jump cache. */

import type { CodeCache } from './code-cache.ts'
import { type BlockDecoder, MAX_LENGTH } from './decoder/block-decoder.ts'
import * as R from './decoder/record.ts'
import { generalProtection } from './fault.ts'
import type { HostMemory } from './host-memory.ts'
import { pageNumber } from './linear-page.ts'
import type { Mmu } from './mmu/mmu.ts'
import { MODE_CODE_64, MODE_CODE_SIZE, MODE_LIMITED_CODE } from './mode.ts'
import * as S from './state.ts'
import type { Asked, BreakpointSites } from './stops/breakpoint-sites.ts'

const CS = S.SEGMENTS + S.SEGMENT_STRIDE
/** Offsets in a page from which an instruction can reach into the next one. */
const NEAR_END = 4096 - MAX_LENGTH

export class BlockFinder {
  readonly #memory: HostMemory
  readonly #mmu: Mmu
  readonly #code: CodeCache
  readonly #decoder: BlockDecoder
  readonly #sites: BreakpointSites
  /** Linear address of the last {@link locate}. */
  #low = 0
  #high = 0
  /** Host-physical address of the last {@link find}. */
  #hpa = 0

  constructor(memory: HostMemory, mmu: Mmu, code: CodeCache, decoder: BlockDecoder, sites: BreakpointSites) {
    this.#memory = memory
    this.#mmu = mmu
    this.#code = code
    this.#decoder = decoder
    this.#sites = sites
  }

  /**
   * Computes the linear address of CS:RIP. Throws #GP beyond the segment's limit (SDM vol. 3, 5.3), or where it is not
   * canonical.
   */
  locate(): void {
    const { u32, i32 } = this.#memory
    const mode = u32[S.MODE >>> 2]
    const low = i32[S.RIP >>> 2]
    if ((mode & MODE_CODE_SIZE) === MODE_CODE_64) {
      const high = i32[(S.RIP >>> 2) + 1]
      if (!this.#mmu.isCanonical(high)) throw generalProtection(0)
      this.#low = low
      this.#high = high
      return
    }
    if ((mode & MODE_LIMITED_CODE) !== 0 && low >>> 0 > u32[(CS + S.SEGMENT_LIMIT) >>> 2]) throw generalProtection(0)
    this.#low = (i32[(CS + S.SEGMENT_BASE) >>> 2] + low) | 0
    this.#high = 0
  }

  /** Linear address of the last {@link locate} as signed words. */
  get low(): number {
    return this.#low
  }
  get high(): number {
    return this.#high
  }

  /** Who is asked before the instruction that was found last. */
  get breakpoints(): readonly Asked[] {
    return this.#sites.at(this.#low, this.#high, this.#hpa, this.#memory.u32[S.MODE >>> 2])
  }

  get linear(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0)
  }

  /**
   * The block at the located address. Throws the page fault, or the EPT violation, of its fetch.
   * @param single a block of one instruction
   */
  find(single: boolean): number {
    const { u32, u16, i32 } = this.#memory
    const [low, high] = [this.#low, this.#high]
    const mode = u32[S.MODE >>> 2]
    const hpa = this.#mmu.fetch(low, high)
    this.#hpa = hpa
    if (!this.#sites.isCut(pageNumber(low, high), hpa >>> 12)) this.#code.dropFrame(hpa >>> 12)
    let block = this.#code.find(hpa, mode, single)
    // It was decoded under another limit when it ends beyond this one.
    if (block !== 0 && this.#room(mode, 8192) < u16[(block + R.BLOCK_BYTES) >>> 1]) block = 0
    const second = block === 0 ? 0 : u32[(block + R.BLOCK_SECOND) >>> 2]
    // A block that crosses pages was decoded from two frames, which must still be the two.
    if (block === 0 || (second !== 0 && this.#mmu.fetch(...this.#nextPage()) !== second))
      block = this.#decode(hpa, mode, single)
    if (!single) {
      const crosses = u32[(block + R.BLOCK_SECOND) >>> 2] !== 0
      const context = i32[S.FETCH_CONTEXT >>> 2]
      this.#code.addJump({
        ripLow: i32[S.RIP >>> 2],
        ripHigh: i32[(S.RIP >>> 2) + 1],
        context,
        block,
        page: pageNumber(low, high),
        crosses,
        global: this.#mmu.tlb.isFetchedGlobal(low) && !crosses,
      })
    }
    return block
  }

  #decode(hpa: number, mode: number, single: boolean): number {
    const { u8 } = this.#memory
    this.#code.ensureRoom()
    // Making room may have dropped it all, and where it was cut.
    this.#sites.isCut(pageNumber(this.#low, this.#high), hpa >>> 12)
    const offset = this.#low & 0xfff
    const room = this.#room(mode, 4096 - offset)
    const maximum = single ? 1 : Number.POSITIVE_INFINITY
    let bytes = u8.subarray(hpa, hpa + room)
    const stopAt = this.#sites.stopAt(hpa, mode, bytes)
    let block = this.#decoder.decode(bytes, mode, offset, maximum, stopAt)
    let second = 0
    if (block.instructions === 0) {
      // The first instruction goes on beyond the page, or beyond the segment's limit.
      const beyond = this.#room(mode, room + MAX_LENGTH) - room
      if (offset <= NEAR_END || beyond <= 0) throw generalProtection(0)
      second = this.#mmu.fetch(...this.#nextPage())
      bytes = new Uint8Array(room + beyond)
      bytes.set(u8.subarray(hpa, hpa + room))
      bytes.set(u8.subarray(second, second + beyond), room)
      block = this.#decoder.decode(bytes, mode, offset, 1)
      if (block.instructions === 0) throw generalProtection(0)
    }
    this.#code.add(hpa, mode, single, block, second)
    if (!single) this.#sites.decoded(block.address, hpa, mode, bytes)
    return block.address
  }

  /** First address of the page after the located one; outside 64-bit mode addresses have 32 bits. */
  #nextPage(): [number, number] {
    const next = ((this.#low | 0xfff) + 1) | 0
    const long = (this.#memory.u32[S.MODE >>> 2] & MODE_CODE_SIZE) === MODE_CODE_64
    const high = next === 0 && long ? (this.#high + 1) | 0 : this.#high
    if (long && !this.#mmu.isCanonical(high)) throw generalProtection(0)
    return [next, high]
  }

  /** Bytes that may be fetched, up to the limit of CS. */
  #room(mode: number, page: number): number {
    if ((mode & MODE_LIMITED_CODE) === 0) return page
    const { u32 } = this.#memory
    return Math.min(page, u32[(CS + S.SEGMENT_LIMIT) >>> 2] - u32[S.RIP >>> 2] + 1)
  }
}
