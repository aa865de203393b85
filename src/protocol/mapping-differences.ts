/**
 * What is different between two lists of ranges: of two stops, or of two address spaces. Ranges are cut where either
 * side changes, compared, and joined again, so that a region that changed as a whole is one difference.
 */

import type { MappingsBody, RangeBody } from './custom-requests.ts'

export interface MappingDifference {
  /** `moved`: what is at `from` before is here now, with the same rights and target. */
  readonly kind: 'added' | 'removed' | 'rights' | 'target' | 'rights and target' | 'moved'
  readonly start: bigint
  /** Behind the last byte. */
  readonly end: bigint
  /** Absent for what was added. */
  readonly before?: MappingSide
  /** Absent for what was removed. */
  readonly after?: MappingSide
  /** Where a region began that has moved. */
  readonly from?: bigint
}

export interface MappingSide {
  readonly rights: string
  /** Where the first byte leads; absent where that was not told. */
  readonly target?: bigint
}

export interface MappingDifferences {
  readonly differences: readonly MappingDifference[]
  /** How many more there are. */
  readonly omitted: number
  /** Ranges behind this address were not compared, because one list ends here; absent when all were. */
  readonly upTo?: bigint
  /** Some scattered pages have more pieces than were told: whether these lead elsewhere is not known. */
  readonly uncertain: boolean
}

/** More are of no use to anybody. */
const MOST_DIFFERENCES = 1000

export function mappingDifferences(before: MappingsBody, after: MappingsBody): MappingDifferences {
  const ends = [before.next, after.next].filter(next => next !== undefined).map(BigInt)
  const upTo = ends.length === 0 ? undefined : ends.reduce((least, end) => (end < least ? end : least))
  const comparison = new Comparison(piecesOf(before.ranges, upTo), piecesOf(after.ranges, upTo))
  const all = withMoves(comparison.differences())
  return {
    differences: all.slice(0, MOST_DIFFERENCES),
    omitted: Math.max(0, all.length - MOST_DIFFERENCES),
    ...(upTo === undefined ? {} : { upTo }),
    uncertain: comparison.uncertain,
  }
}

/** A part of a range with one contiguous target, or with one that was not told. */
interface Piece {
  readonly start: bigint
  readonly end: bigint
  readonly target: bigint | undefined
  readonly range: RangeBody
}

function piecesOf(ranges: readonly RangeBody[], upTo: bigint | undefined): Piece[] {
  const pieces: Piece[] = []
  for (const range of ranges) {
    const end = BigInt(range.end)
    if (range.scatter === undefined)
      pieces.push({ start: BigInt(range.start), end, target: BigInt(range.target), range })
    else {
      let told = BigInt(range.start)
      for (const extent of range.scatter.extents) {
        pieces.push({ start: told, end: BigInt(extent.end), target: BigInt(extent.target), range })
        told = BigInt(extent.end)
      }
      if (told < end) pieces.push({ start: told, end, target: undefined, range })
    }
  }
  if (upTo === undefined) return pieces
  return pieces.filter(({ start }) => start < upTo).map(piece => (piece.end > upTo ? { ...piece, end: upTo } : piece))
}

class Comparison {
  uncertain = false
  readonly #before: readonly Piece[]
  readonly #after: readonly Piece[]
  readonly #found: MappingDifference[] = []
  /** Ranges of the later side of which a piece is known to lead elsewhere. */
  readonly #elsewhere = new Set<RangeBody>()

  constructor(before: readonly Piece[], after: readonly Piece[]) {
    this.#before = before
    this.#after = after
  }

  differences(): readonly MappingDifference[] {
    let [i, j] = [0, 0]
    let at = 0n
    while (i < this.#before.length || j < this.#after.length) {
      const [old, now] = [this.#before[i], this.#after[j]]
      const starts = [old, now].filter(piece => piece !== undefined).map(({ start }) => (start > at ? start : at))
      at = starts.reduce((least, start) => (start < least ? start : least))
      const before = old !== undefined && old.start <= at ? old : undefined
      const after = now !== undefined && now.start <= at ? now : undefined
      const bounds = [before?.end ?? old?.start, after?.end ?? now?.start].filter(bound => bound !== undefined)
      const end = bounds.reduce((least, bound) => (bound < least ? bound : least))
      this.#compare(at, end, before, after)
      at = end
      if (old !== undefined && old.end <= at) i++
      if (now !== undefined && now.end <= at) j++
    }
    return this.#found
  }

  #compare(start: bigint, end: bigint, before: Piece | undefined, after: Piece | undefined): void {
    const sides = {
      ...(before === undefined ? {} : { before: sideAt(before, start) }),
      ...(after === undefined ? {} : { after: sideAt(after, start) }),
    }
    if (before === undefined || after === undefined) {
      this.#add({ kind: before === undefined ? 'added' : 'removed', start, end, ...sides })
      return
    }
    const rights = before.range.rights !== after.range.rights
    const target = this.#leadsElsewhere(before, after)
    if (target) this.#elsewhere.add(after.range)
    if (rights || target)
      this.#add({ kind: rights && target ? 'rights and target' : rights ? 'rights' : 'target', start, end, ...sides })
  }

  #leadsElsewhere(before: Piece, after: Piece): boolean {
    if (before.target !== undefined && after.target !== undefined)
      return before.target - before.start !== after.target - after.start
    const [old, now] = [before.range, after.range]
    if (old.start === now.start && old.end === now.end && old.scatter !== undefined && now.scatter !== undefined) {
      if (old.scatter.digest === now.scatter.digest) return false
      if (!this.#elsewhere.has(now)) return true
    }
    this.uncertain = true
    return false
  }

  /** Joins it to the one before where they are neighbours of one kind with the same rights. */
  #add(difference: MappingDifference): void {
    const last = this.#found.at(-1)
    if (
      last?.end === difference.start &&
      last.kind === difference.kind &&
      last.before?.rights === difference.before?.rights &&
      last.after?.rights === difference.after?.rights &&
      (last.kind === 'target' || last.kind === 'rights and target' || goesOn(last, difference))
    )
      this.#found[this.#found.length - 1] = { ...last, end: difference.end }
    else this.#found.push(difference)
  }
}

/** What was added or removed is one region as long as its target is, so that it can be found elsewhere. */
function goesOn(last: MappingDifference, next: MappingDifference): boolean {
  const follows = (one: MappingSide | undefined, other: MappingSide | undefined): boolean =>
    one?.target === undefined || other?.target === undefined
      ? one?.target === other?.target
      : one.target + (next.start - last.start) === other.target
  return follows(last.before, next.before) && follows(last.after, next.after)
}

const sideAt = ({ range: { rights }, target, start }: Piece, at: bigint): MappingSide => ({
  rights,
  ...(target === undefined ? {} : { target: target + (at - start) }),
})

/** A region that is gone here and new there, with the same size, rights and target, has moved. */
function withMoves(differences: readonly MappingDifference[]): readonly MappingDifference[] {
  const gone = new Map<string, MappingDifference[]>()
  for (const difference of differences) {
    const key = difference.kind === 'removed' ? regionKey(difference, difference.before) : undefined
    if (key !== undefined) gone.set(key, [...(gone.get(key) ?? []), difference])
  }
  const moved = new Set<MappingDifference>()
  const told = differences.map(difference => {
    const key = difference.kind === 'added' ? regionKey(difference, difference.after) : undefined
    const origin = key === undefined ? undefined : gone.get(key)?.shift()
    if (origin?.before === undefined) return difference
    moved.add(origin)
    return { ...difference, kind: 'moved' as const, before: origin.before, from: origin.start }
  })
  return told.filter(difference => !moved.has(difference))
}

const regionKey = ({ start, end }: MappingDifference, side: MappingSide | undefined): string | undefined =>
  side?.target === undefined ? undefined : `${end - start} ${side.rights} ${side.target}`
