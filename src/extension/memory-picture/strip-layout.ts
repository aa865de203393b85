/**
 * An address space as a strip of bands from low addresses to high ones. It is sparse: what lies between bands is cut out
 * and marked with its size, and a band's height grows with the logarithm of its own.
 */

/** What becomes a band; items do not overlap, and ascend. */
export interface Span {
  readonly start: bigint
  /** Behind the last byte. */
  readonly end: bigint
}

export type Band<Item> =
  | { readonly kind: 'item'; readonly y: number; readonly height: number; readonly item: Item }
  /** Nothing is there. */
  | { readonly kind: 'gap'; readonly y: number; readonly height: number; readonly start: bigint; readonly end: bigint }

export interface Strip<Item> {
  readonly bands: readonly Band<Item>[]
  readonly height: number
}

export interface StripMeasures {
  /** Height of a band of one page. */
  readonly least: number
  /** More for each doubling. */
  readonly doubling: number
  readonly gap: number
}

const PAGE_BITS = 12

export function layOutStrip<Item extends Span>(items: readonly Item[], measures: StripMeasures): Strip<Item> {
  const bands: Band<Item>[] = []
  let y = 0
  let end: bigint | undefined
  for (const item of items) {
    if (end !== undefined && item.start > end) {
      bands.push({ kind: 'gap', y, height: measures.gap, start: end, end: item.start })
      y += measures.gap
    }
    const height = Math.round(measures.least + measures.doubling * doublings(item.end - item.start))
    bands.push({ kind: 'item', y, height, item })
    y += height
    end = item.end
  }
  return { bands, height: y }
}

/** How often a page was doubled to be that large; 0 for a page and less. */
const doublings = (bytes: bigint): number => Math.max(0, bytes.toString(2).length - 1 - PAGE_BITS)

/** From where to where in a strip a part of its space is to be seen; undefined when no band has any of it. */
export function reachOf<Item extends Span>(
  { bands }: Strip<Item>,
  { start, end }: Span,
): { readonly top: number; readonly bottom: number } | undefined {
  let reach: { top: number; bottom: number } | undefined
  for (const band of bands) {
    if (band.kind !== 'item' || band.item.start >= end || band.item.end <= start) continue
    const bottom = within(band, end)
    if (reach === undefined) reach = { top: within(band, start), bottom }
    else reach.bottom = bottom
  }
  return reach
}

function within<Item extends Span>(band: { y: number; height: number; item: Item }, address: bigint): number {
  const { start, end } = band.item
  const part = Number(address - start) / Number(end - start)
  return band.y + Math.min(1, Math.max(0, part)) * band.height
}

/** The bands between two heights: a strip can have thousands, of which few are to be seen. */
export function bandsBetween<Item>({ bands }: Strip<Item>, top: number, bottom: number): readonly Band<Item>[] {
  return bands.filter(({ y, height }) => y + height >= top && y <= bottom)
}
