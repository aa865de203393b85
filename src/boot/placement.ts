/**
 * Which guest-physical memory is still free while an image is loaded. Loaders claim what the image dictates and
 * allocate the rest (initrd, page tables, structures for the kernel), so that nothing overlaps by construction.
 */

import { type BootRequest, type GuestRam, ImageError, type MemoryRange } from './boot-target.ts'
import { hex } from './hex.ts'

/** Real-mode interrupt vectors and the BIOS data area. */
export const BIOS_DATA_END = 0x500
/** From the extended BIOS data area on, through video memory and ROMs with ACPI and MP tables, up to 1 MiB. */
export const EBDA_START = 0x9fc00
export const HIGH_MEMORY = 0x100000
export const FOUR_GIB = 0x1_0000_0000
export const PAGE_SIZE = 0x1000

/**
 * Where structures for the guest are looked for first: below are the boot sector's addresses and those that small
 * kernels like to use for their first page tables and stacks.
 */
const STRUCTURES_START = 0x10000

interface Span {
  readonly start: number
  readonly end: number
}

interface Claim extends Span {
  readonly what: string
}

export interface AllocationOptions {
  /** Power of two. */
  readonly align: number
  /** First byte that may be used. */
  readonly from?: number
  /** First byte that may not. */
  readonly to?: number
  /** The highest place instead of the lowest. */
  readonly highest?: boolean
}

export class Placement {
  readonly #name: string
  readonly #usable: readonly Span[]
  readonly #claims: Claim[] = [
    { start: 0, end: BIOS_DATA_END, what: 'the interrupt vectors and BIOS data' },
    { start: EBDA_START, end: HIGH_MEMORY, what: 'the firmware area below 1 MiB' },
  ]

  constructor(request: BootRequest, ram: GuestRam) {
    this.#name = request.name
    this.#usable = usableSpans(ram.map)
  }

  /** End of the highest usable memory below 4 GiB. */
  get end(): number {
    return Math.max(0, ...this.#usable.filter(span => span.start < FOUR_GIB).map(span => Math.min(span.end, FOUR_GIB)))
  }

  /** Takes the range that the image insists on. Throws {@link ImageError} when it isn't free usable RAM. */
  claim(start: number, length: number, what: string): void {
    if (length === 0) return
    const end = start + length
    const range = `${this.#name}: ${what} belongs at ${hex(start)}-${hex(end - 1)}`
    const clash = this.#claims.find(claim => claim.start < end && start < claim.end)
    if (clash) throw new ImageError(`${range}, where ${clash.what} is; link it elsewhere, usually at 1 MiB or above`)
    if (!this.#usable.some(span => span.start <= start && end <= span.end)) {
      throw new ImageError(
        `${range}, which is not all RAM (it ends at ${hex(this.end)} below 4 GiB); give the machine more memory or link the image lower`,
      )
    }
    this.#claims.push({ start, end, what })
  }

  isFree(start: number, length: number): boolean {
    const end = start + length
    return (
      this.#usable.some(span => span.start <= start && end <= span.end) &&
      !this.#claims.some(claim => claim.start < end && start < claim.end)
    )
  }

  /** A free place in usable RAM below 4 GiB; undefined when there is none. Takes nothing. */
  find(length: number, { align, from = 0, to = FOUR_GIB, highest = false }: AllocationOptions): number | undefined {
    let best: number | undefined
    for (const gap of this.#gaps()) {
      const low = Math.ceil(Math.max(gap.start, from) / align) * align
      const high = Math.floor((Math.min(gap.end, to) - length) / align) * align
      if (high < low) continue
      if (!highest) return low
      best = high
    }
    return best
  }

  /** Finds and takes. Throws {@link ImageError} when nothing is free. */
  allocate(length: number, what: string, options: AllocationOptions): number {
    const start = this.find(length, options)
    if (start === undefined) {
      throw new ImageError(
        `${this.#name}: no room for ${what} (${length} bytes) in ${hex(this.end)} bytes of RAM beside the image; give the machine more memory`,
      )
    }
    this.#claims.push({ start, end: start + length, what })
    return start
  }

  /** A place for a structure of the boot protocol: low memory when there is room, 16-byte aligned unless told otherwise. */
  allocateStructure(length: number, what: string, align = 16): number {
    return this.allocate(length, what, { align, from: STRUCTURES_START })
  }

  /** Free spans, ascending. */
  *#gaps(): Generator<Span> {
    const claims = this.#claims.toSorted((a, b) => a.start - b.start)
    for (const span of this.#usable) {
      let start = span.start
      for (const claim of claims) {
        if (claim.end <= start || claim.start >= span.end) continue
        if (claim.start > start) yield { start, end: claim.start }
        start = claim.end
      }
      if (start < span.end) yield { start, end: span.end }
    }
  }
}

/** Usable ranges of the memory map, ascending, adjacent ones merged. */
function usableSpans(map: readonly MemoryRange[]): readonly Span[] {
  const spans: Span[] = []
  for (const { start, length, type } of map.toSorted((a, b) => a.start - b.start)) {
    if (type !== 1 || length <= 0) continue
    const last = spans.at(-1)
    if (last && last.end >= start)
      spans[spans.length - 1] = { start: last.start, end: Math.max(last.end, start + length) }
    else spans.push({ start, end: start + length })
  }
  return spans
}
