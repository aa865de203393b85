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
}

export interface MappingPortion {
  readonly ranges: readonly MappedRange[]
  /** Where to ask for the next portion; absent at the end. */
  readonly next?: bigint
}

/**
 * @param pieces ascending; a number stands for an address up to which nothing more was looked at, because that is enough
 * for one request.
 * @param limit ranges at most
 */
export function coalesce(pieces: Iterable<MappedPiece | bigint>, limit: number): MappingPortion {
  const ranges: GrowingRange[] = []
  for (const piece of pieces) {
    if (typeof piece === 'bigint') return { ranges, next: piece }
    const last = ranges.at(-1)
    if (last !== undefined && last.end === piece.start && last.rights === piece.rights) extend(last, piece)
    else if (ranges.length === limit) return { ranges, next: piece.start }
    else
      ranges.push({
        ...{ start: piece.start, end: piece.start + piece.length, target: piece.target, contiguous: true },
        ...{ rights: piece.rights, pageSizes: [piece.pageSize] },
      })
  }
  return { ranges }
}

/** A range that is not finished: millions of pages may be joined to it. */
interface GrowingRange extends MappedRange {
  end: bigint
  contiguous: boolean
  readonly pageSizes: number[]
}

function extend(range: GrowingRange, piece: MappedPiece): void {
  if (range.contiguous) range.contiguous = range.target + (piece.start - range.start) === piece.target
  range.end = piece.start + piece.length
  if (range.pageSizes.includes(piece.pageSize)) return
  range.pageSizes.push(piece.pageSize)
  range.pageSizes.sort((a, b) => a - b)
}
