/**
 * The debugger's data breakpoints, which have nothing to do with the guest's DR0 to DR7. The MMU marks the TLB entries
 * of their pages, so that accesses there take the slow path, which asks here.
 */

import type { HostMemory } from '../host-memory.ts'
import { pageNumber } from '../linear-page.ts'
import type { StopView, WatchedAccess, Watchpoint } from '../processor.ts'

/** A watchpoint by pages: linear ones, or host frames. */
interface Range {
  readonly watchpoint: Watchpoint
  readonly host: boolean
  readonly firstPage: number
  readonly firstOffset: number
  readonly lastPage: number
  readonly lastOffset: number
}

/** An access of the instruction that runs to bytes that are watched. */
interface Noted {
  readonly watchpoint: Watchpoint
  readonly linear: bigint
  readonly size: number
  write: boolean
  /** Of the first watched byte, and how many; -1 for a device. */
  readonly hpa: number
  readonly bytes: number
  readonly address: bigint
  readonly before: Uint8Array
}

const NOTHING = new Uint8Array(0)
const NO_RANGES: readonly Range[] = []

export class Watchpoints {
  readonly #memory: HostMemory
  #linear: readonly Range[] = []
  /** A physical range has a piece in each of its frames. */
  readonly #byFrame = new Map<number, Range[]>()
  #noted: Noted[] = []

  constructor(memory: HostMemory) {
    this.#memory = memory
  }

  set(watchpoints: readonly Watchpoint[]): void {
    const ranges = watchpoints.map(watchpoint => {
      const { address, space, length } = watchpoint
      const host = space === 'host'
      const first = host ? address : BigInt.asIntN(64, address)
      const last = first + BigInt(Math.max(length, 1) - 1)
      return {
        ...{ watchpoint, host, firstPage: Number(first >> 12n), firstOffset: Number(first & 0xfffn) },
        ...{ lastPage: Number(last >> 12n), lastOffset: Number(last & 0xfffn) },
      }
    })
    this.#linear = ranges.filter(({ host }) => !host)
    this.#byFrame.clear()
    for (const range of ranges)
      if (range.host)
        for (let frame = range.firstPage; frame <= range.lastPage; frame++)
          this.#byFrame.set(frame, [...(this.#byFrame.get(frame) ?? []), range])
    this.#noted = []
  }

  get isEmpty(): boolean {
    return this.#linear.length === 0 && this.#byFrame.size === 0
  }

  /** Must accesses to a page be looked at? @param page of the linear address @param frame of the host's */
  coversPage(page: number, frame: number, write: boolean): boolean {
    for (const { watchpoint, firstPage, lastPage } of this.#linear)
      if ((write ? watchpoint.writes : watchpoint.reads) && page >= firstPage && page <= lastPage) return true
    return this.#byFrame.get(frame)?.some(({ watchpoint }) => (write ? watchpoint.writes : watchpoint.reads)) ?? false
  }

  /** Does an access within a page meet a watchpoint? @param hpa -1 for a device */
  isMet(low: number, high: number, hpa: number, bytes: number, write: boolean): boolean {
    for (const range of this.#linear)
      if ((write ? range.watchpoint.writes : range.watchpoint.reads) && meets(range, low, high, hpa, bytes)) return true
    if (this.#byFrame.size === 0) return false
    for (const range of this.#byFrame.get(hpa >>> 12) ?? NO_RANGES)
      if ((write ? range.watchpoint.writes : range.watchpoint.reads) && meets(range, low, high, hpa, bytes)) return true
    return false
  }

  /** The instruction begins (again). */
  begin(): void {
    if (this.#noted.length > 0) this.#noted = []
  }

  /** Keeps what an access of the instruction that runs is about to find, or overwrite. */
  note(low: number, high: number, hpa: number, bytes: number, write: boolean): void {
    for (const range of [...this.#linear, ...(this.#byFrame.get(hpa >>> 12) ?? [])]) {
      const { watchpoint } = range
      if (!(write ? watchpoint.writes : watchpoint.reads) || !meets(range, low, high, hpa, bytes)) continue
      const linear = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
      const same = this.#noted.find(each => each.watchpoint === watchpoint && each.linear === linear)
      // One that reads its operand and writes it is a write.
      if (same !== undefined) same.write ||= write
      else this.#noted.push(this.#notedOf(range, low, hpa, bytes, { watchpoint, linear, write }))
    }
  }

  #notedOf(
    range: Range,
    low: number,
    hpa: number,
    bytes: number,
    what: { readonly watchpoint: Watchpoint; readonly linear: bigint; readonly write: boolean },
  ): Noted {
    const offset = low & 0xfff
    const page = range.host ? hpa >>> 12 : pageNumber(low, Number(what.linear >> 32n))
    const first = page === range.firstPage ? Math.max(offset, range.firstOffset) : offset
    const last = page === range.lastPage ? Math.min(offset + bytes - 1, range.lastOffset) : offset + bytes - 1
    const skipped = first - offset
    const watched = last - first + 1
    const at = hpa < 0 ? -1 : hpa + skipped
    const before = at < 0 ? NOTHING : this.#memory.u8.slice(at, at + watched)
    const address = range.host ? BigInt(at) : what.linear + BigInt(skipped)
    return { ...what, size: bytes, hpa: at, bytes: watched, address, before }
  }

  /** The instruction has retired: asks those that it met. @param rip its RIP */
  ask(rip: bigint, view: StopView): boolean {
    const noted = this.#noted
    if (noted.length === 0) return false
    this.#noted = []
    let stops = false
    for (const { watchpoint, linear, size, write, hpa, bytes, address, before } of noted) {
      const after = hpa < 0 ? NOTHING : this.#memory.u8.slice(hpa, hpa + bytes)
      const access: WatchedAccess = { rip, linear, size, write, address, before, after }
      if (watchpoint.met === undefined || watchpoint.met(access, view)) stops = true
    }
    return stops
  }
}

function meets(range: Range, low: number, high: number, hpa: number, bytes: number): boolean {
  if (range.host && hpa < 0) return false
  const page = range.host ? hpa >>> 12 : pageNumber(low, high)
  if (page < range.firstPage || page > range.lastPage) return false
  const offset = low & 0xfff
  if (page === range.firstPage && offset + bytes <= range.firstOffset) return false
  return page !== range.lastPage || offset <= range.lastOffset
}
