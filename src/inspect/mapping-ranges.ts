/** Neighbouring mappings that agree, joined into ranges; long lists come in portions. */

/** What {@link coalesce} joins: a piece of an address space. */
export interface MappedPiece {
  readonly start: bigint
  readonly length: bigint
  /** Where it leads. */
  readonly target: bigint
  /** Pieces are joined only where this is the same. */
  readonly rights: string
  /** Bytes of a page. */
  readonly pageSize: number
}

export interface MappedRange {
  readonly start: bigint
  /** Behind the last byte; 2^64 at most. */
  readonly end: bigint
  /** Where the first byte leads. */
  readonly target: bigint
  /** Is the target as contiguous as the range? */
  readonly contiguous: boolean
  readonly rights: string
  /** Sizes of the pages in it, smallest first. */
  readonly pageSizes: readonly number[]
  /** Where it leads; absent when that is contiguous. */
  readonly scatter?: Scatter
}

/** Where a range leads whose target is not contiguous. */
export interface Scatter {
  /** Contiguous pieces from the start on, as many as there is room for. */
  readonly extents: readonly Extent[]
  /** How many further pieces there are. */
  readonly omitted: number
  /** Of where all pieces lead, 32 bits: differs (but for one chance in 2^32) when any of them leads elsewhere. */
  readonly digest: number
}

export interface Extent {
  readonly start: bigint
  readonly end: bigint
  readonly target: bigint
}

export interface MappingPortion {
  readonly ranges: readonly MappedRange[]
  /** Where to ask for the next portion; absent at the end. */
  readonly next?: bigint
}

/** Extents that are listed of one range, and of all ranges of a portion together. */
const MOST_EXTENTS = 64
const MOST_EXTENTS_IN_ALL = 4096

/**
 * @param pieces ascending; a number stands for an address up to which nothing more was looked at, because that is enough
 * for one request.
 * @param limit ranges at most
 */
export function coalesce(pieces: Iterable<MappedPiece | bigint>, limit: number): MappingPortion {
  const ranges: GrowingRange[] = []
  const portion = (next?: bigint): MappingPortion => ({
    ranges: finish(ranges),
    ...(next === undefined ? {} : { next }),
  })
  for (const piece of pieces) {
    if (typeof piece === 'bigint') return portion(piece)
    const last = ranges.at(-1)
    if (last !== undefined && last.end === piece.start && last.rights === piece.rights) last.extend(piece)
    else if (ranges.length === limit) return portion(piece.start)
    else ranges.push(new GrowingRange(piece))
  }
  return portion()
}

/** A range that is not finished: millions of pages may be joined to it. */
class GrowingRange {
  readonly start: bigint
  end: bigint
  readonly target: bigint
  readonly rights: string
  readonly pageSizes: number[]
  readonly extents: { readonly start: bigint; end: bigint; readonly target: bigint }[]
  pieces = 1
  digest = 0
  /** Where the next piece leads if it goes on. */
  #nextTarget: bigint

  constructor({ start, length, target, rights, pageSize }: MappedPiece) {
    this.start = start
    this.end = start + length
    this.target = target
    this.rights = rights
    this.pageSizes = [pageSize]
    this.extents = [{ start, end: this.end, target }]
    this.#nextTarget = target + length
    this.#mix(start, target)
  }

  extend({ start, length, target, pageSize }: MappedPiece): void {
    this.end = start + length
    if (target !== this.#nextTarget) {
      this.pieces++
      this.#mix(start, target)
      if (this.extents.length < MOST_EXTENTS) this.extents.push({ start, end: this.end, target })
    } else if (this.extents.length === this.pieces) this.extents[this.pieces - 1].end = this.end
    this.#nextTarget = target + length
    if (this.pageSizes.includes(pageSize)) return
    this.pageSizes.push(pageSize)
    this.pageSizes.sort((a, b) => a - b)
  }

  /** FNV-1a over words of 32 bits: the page numbers' lower halves, and the upper ones together. */
  #mix(start: bigint, target: bigint): void {
    const from = Number(start) / 4096
    const to = Number(target) / 4096
    this.#mixWord(from | 0)
    this.#mixWord(to | 0)
    this.#mixWord((from / 2 ** 32) ^ ((to / 2 ** 32) << 12))
  }

  #mixWord(word: number): void {
    this.digest = Math.imul(this.digest ^ word, 0x0100_0193) >>> 0
  }
}

function finish(ranges: readonly GrowingRange[]): MappedRange[] {
  let room = MOST_EXTENTS_IN_ALL
  return ranges.map(({ start, end, target, rights, pageSizes, extents, pieces, digest }) => {
    const range = { start, end, target, contiguous: pieces === 1, rights, pageSizes }
    if (pieces === 1) return range
    const shown = extents.slice(0, room)
    room -= shown.length
    return { ...range, scatter: { extents: shown, omitted: pieces - shown.length, digest } }
  })
}
