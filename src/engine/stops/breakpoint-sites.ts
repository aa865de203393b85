/**
 * Where the debugger's code breakpoints are: blocks are cut at them, and one that begins at one (a site) traps each
 * time the interpreter enters it, by the same counter that tells it of hot blocks. What the guest executes and how it
 * is counted does not change.
 *
 * Blocks belong to host frames, linear breakpoints to linear pages: a frame's code is cut for the breakpoints of a page
 * when it is first looked up by that page's address. So a change of breakpoints drops the code of those frames only.
 */

import * as R from '../decoder/record.ts'
import type { HostMemory } from '../host-memory.ts'
import { pageNumber } from '../linear-page.ts'
import type { CodeBreakpoint } from '../processor.ts'
import { type InstructionStops, stopInstruction } from './instruction-stops.ts'

/** Who is asked before an instruction. */
export type Asked = Pick<CodeBreakpoint, 'reached'>

/** A block that begins at a breakpoint. */
interface Site {
  readonly hpa: number
  readonly instruction: Asked | undefined
  /** Linear address that it was reached by last, and who is asked there. */
  low: number
  high: number
  found: readonly Asked[] | undefined
}

type ByOffset = Map<number, CodeBreakpoint[]>

const NONE: readonly Asked[] = []
/** Breakpoints that are gone but may come back. */
const MOST_LINGERING = 64
/** Of {@link R.BLOCK_HEAT}: the next entry traps; the one after it does. */
const TRAPS = 1
const PASSES_ONCE = 2

export class BreakpointSites {
  readonly #memory: HostMemory
  readonly #hotEntries: number
  /** An offset with no breakpoint is one that lingers, see {@link set}. */
  #linear = new Map<number, ByOffset>()
  readonly #host = new Map<number, ByOffset>()
  /** Offsets that the code of a frame is cut at. */
  readonly #cuts = new Map<number, Set<number>>()
  /** Offsets in their pages that some breakpoint has. */
  readonly #offsets = new Set<number>()
  /** By address of the block. */
  readonly #sites = new Map<number, Site>()
  /** Instructions that are breakpoints wherever they are. */
  instructions: InstructionStops = {}

  /** @param hotEntries that a block starts to count down from */
  constructor(memory: HostMemory, hotEntries: number) {
    this.#memory = memory
    this.#hotEntries = hotEntries
  }

  /**
   * Replaces the breakpoints. Returns the linear pages and host frames whose code may have to be cut elsewhere.
   *
   * Code stays cut where a breakpoint was, until it is executed there: a step over a call in a loop plants the same
   * breakpoint each time, and nothing is decoded anew for it.
   */
  set(breakpoints: readonly CodeBreakpoint[]): {
    readonly pages: readonly number[]
    readonly frames: readonly number[]
  } {
    const before = this.#linear
    this.#linear = new Map<number, ByOffset>()
    this.#host.clear()
    this.#offsets.clear()
    const pages = new Set<number>()
    for (const site of this.#sites.values()) site.found = undefined
    const frames = new Set<number>()
    for (const breakpoint of breakpoints) {
      const offset = Number(breakpoint.address & 0xfffn)
      this.#offsets.add(offset)
      if (breakpoint.space === 'host') {
        const frame = Number(breakpoint.address >> 12n)
        add(this.#host, frame, offset, breakpoint)
        if (this.#cut(frame, offset)) frames.add(frame)
      } else {
        const page = Number(BigInt.asIntN(64, breakpoint.address) >> 12n)
        add(this.#linear, page, offset, breakpoint)
        if (before.get(page)?.has(offset) !== true) pages.add(page)
      }
    }
    this.#linger(before)
    return { pages: [...pages], frames: [...frames] }
  }

  #linger(before: ReadonlyMap<number, ByOffset>): void {
    let count = 0
    for (const [page, offsets] of before) {
      for (const offset of offsets.keys()) {
        if (this.#linear.get(page)?.has(offset) === true) continue
        if (++count > MOST_LINGERING) return
        offsetsOf(this.#linear, page).set(offset, [])
      }
    }
  }

  /** Nothing is cut any more where nobody wants to stop, at an offset in its page or at any. */
  #forgetLingering(offset?: number): void {
    for (const [page, offsets] of this.#linear) {
      for (const [each, breakpoints] of offsets)
        if (breakpoints.length === 0 && (offset === undefined || each === offset)) offsets.delete(each)
      if (offsets.size === 0) this.#linear.delete(page)
    }
  }

  /** Every block is gone. */
  dropAll(): void {
    this.#sites.clear()
    // What is decoded from now on is cut where there are breakpoints, and nowhere else.
    this.#cuts.clear()
    this.#forgetLingering()
    for (const [frame, offsets] of this.#host) for (const offset of offsets.keys()) this.#cut(frame, offset)
  }

  /** Is the frame's code cut at all breakpoints of the linear page? If not, it must be dropped: it will be. */
  isCut(page: number, frame: number): boolean {
    if (this.#linear.size === 0) return true
    const offsets = this.#linear.get(page)
    if (offsets === undefined) return true
    let complete = true
    for (const offset of offsets.keys()) if (this.#cut(frame, offset)) complete = false
    return complete
  }

  #cut(frame: number, offset: number): boolean {
    const cuts = this.#cuts.get(frame)
    if (cuts === undefined) this.#cuts.set(frame, new Set([offset]))
    else if (cuts.has(offset)) return false
    else cuts.add(offset)
    return true
  }

  /** Where a block that is decoded from a host address must end, as offsets from it; undefined: nowhere. */
  stopAt(hpa: number, mode: number, bytes: Uint8Array): ((offset: number) => boolean) | undefined {
    const cuts = this.#cuts.get(hpa >>> 12)
    if (cuts === undefined && !this.#stopsAtInstructions) return undefined
    const first = hpa & 0xfff
    return offset =>
      cuts?.has(first + offset) === true || stopInstruction(this.instructions, bytes, offset, mode) !== undefined
  }

  get #stopsAtInstructions(): boolean {
    return this.instructions.int3 !== undefined || this.instructions.magic !== undefined
  }

  /** A block was decoded: it becomes a site if it begins at a breakpoint. */
  decoded(block: number, hpa: number, mode: number, bytes: Uint8Array): void {
    const instruction = stopInstruction(this.instructions, bytes, 0, mode)
    if (instruction === undefined && this.#cuts.get(hpa >>> 12)?.has(hpa & 0xfff) !== true) return
    this.#sites.set(block, { hpa, instruction, low: 0, high: 0, found: undefined })
    this.trap(block)
  }

  /** Must the block trap? Then it is in no compiled region either. */
  isSite(block: number): boolean {
    return this.#sites.has(block)
  }

  /** Lets the next entry of a site pass, and the one after it trap. */
  pass(block: number): void {
    this.#memory.i32[(block + R.BLOCK_HEAT) >>> 2] = PASSES_ONCE
  }

  trap(block: number): void {
    this.#memory.i32[(block + R.BLOCK_HEAT) >>> 2] = TRAPS
  }

  /** Who is asked at a site that was reached by a linear address. One that nobody wants any more becomes a plain block. */
  atSite(block: number, low: number, high: number): readonly Asked[] {
    const site = this.#sites.get(block)
    if (site === undefined) return NONE
    if (site.found === undefined || site.low !== low || site.high !== high) {
      site.low = low
      site.high = high
      site.found = this.#at(low, high, site.hpa, site.instruction)
      if (site.instruction === undefined && !this.#offsets.has(site.hpa & 0xfff)) this.#release(block, site)
    }
    return site.found
  }

  #release(block: number, { hpa }: Site): void {
    this.#sites.delete(block)
    this.#cuts.get(hpa >>> 12)?.delete(hpa & 0xfff)
    this.#forgetLingering(hpa & 0xfff)
    this.#memory.i32[(block + R.BLOCK_HEAT) >>> 2] = this.#hotEntries
  }

  /** Who is asked before the instruction at a linear and host address. */
  at(low: number, high: number, hpa: number, mode: number): readonly Asked[] {
    if (!this.#stopsAtInstructions) return this.#at(low, high, hpa, undefined)
    const bytes = this.#memory.u8.subarray(hpa, (hpa | 0xfff) + 1)
    return this.#at(low, high, hpa, stopInstruction(this.instructions, bytes, 0, mode))
  }

  #at(low: number, high: number, hpa: number, instruction: Asked | undefined): readonly Asked[] {
    const offset = low & 0xfff
    const linear = this.#linear.get(pageNumber(low, high))?.get(offset)
    const host = this.#host.get(hpa >>> 12)?.get(hpa & 0xfff)
    if (instruction === undefined) {
      if (linear === undefined) return host ?? NONE
      if (host === undefined) return linear
    }
    return [...(linear ?? []), ...(host ?? []), ...(instruction === undefined ? [] : [instruction])]
  }

  /** Is there none at all, so that nobody need look? */
  get isEmpty(): boolean {
    return this.#offsets.size === 0 && !this.#stopsAtInstructions
  }
}

function add(pages: Map<number, ByOffset>, page: number, offset: number, breakpoint: CodeBreakpoint): void {
  const offsets = offsetsOf(pages, page)
  const there = offsets.get(offset)
  if (there === undefined) offsets.set(offset, [breakpoint])
  else there.push(breakpoint)
}

function offsetsOf(pages: Map<number, ByOffset>, page: number): ByOffset {
  const known = pages.get(page)
  if (known !== undefined) return known
  const offsets: ByOffset = new Map()
  pages.set(page, offsets)
  return offsets
}
