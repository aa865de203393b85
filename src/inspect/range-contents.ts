/** What there is in a range of an address space: of symbol files by its own addresses, of the machine by where it leads. */

import type { AreaIndex, AreaKind, MemoryArea } from './area-index.ts'
import type { Extent, MappedRange } from './mapping-ranges.ts'

export interface RangeContents {
  /** In the order of their starts, at addresses of the range; parts that lie outside are cut off. */
  readonly contents: readonly MemoryArea[]
  /** How many more there are. */
  readonly omitted: number
}

/** Of one range. */
const MOST_CONTENTS = 24
/** Which are named first where there are more: those that tell most. */
const RANK: Readonly<Record<AreaKind, number>> = {
  ...{ section: 0, module: 0, device: 1, reserved: 2, ram: 3, table: 4 },
}

/**
 * @param own areas by addresses of the range's own space
 * @param target areas by addresses of the space that it leads to; undefined when nothing is known of that
 */
export function rangeContents(range: MappedRange, own: AreaIndex, target: AreaIndex | undefined): RangeContents {
  const found = [...within(own, range), ...(target === undefined ? [] : behind(target, range))]
  const chosen = found.toSorted((a, b) => RANK[a.kind] - RANK[b.kind]).slice(0, MOST_CONTENTS)
  return {
    contents: chosen.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0)),
    omitted: found.length - chosen.length,
  }
}

function within(areas: AreaIndex, { start, end }: Pick<Extent, 'start' | 'end'>): MemoryArea[] {
  return [...areas.overlapping(start, end)].map(area => ({
    ...area,
    start: area.start > start ? area.start : start,
    end: area.end < end ? area.end : end,
  }))
}

/** Pieces of a range that lead into the same area one after the other are told as one. */
function behind(areas: AreaIndex, range: MappedRange): MemoryArea[] {
  const found: MemoryArea[] = []
  for (const { start, end, target } of range.scatter?.extents ?? [range]) {
    const distance = start - target
    for (const area of within(areas, { start: target, end: target + (end - start) })) {
      const last = found.at(-1)
      if (last?.name === area.name && last.end === area.start + distance)
        found[found.length - 1] = { ...last, end: area.end + distance }
      else found.push({ ...area, start: area.start + distance, end: area.end + distance })
    }
  }
  return found
}
