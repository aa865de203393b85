/** What the memory picture draws: three address spaces side by side, and how a range of one lies in the next. */

import type { MappingsBody, RangeBody } from '../../protocol/custom-requests.ts'
import type { AreaBody } from '../../protocol/memory-requests.ts'
import { sizeText } from '../views/view-node.ts'
import type { DifferenceLine, DifferencesBody } from './difference-text.ts'
import type { Span } from './strip-layout.ts'

export interface RangeItem extends Span {
  /** Its start, as the adapter writes it: unique in its map. */
  readonly key: string
  /** `rw-u-` */
  readonly rights: string
  readonly look: Look
  readonly user: boolean
  readonly size: string
  /** What is there, the most telling first. */
  readonly names: readonly string[]
  /** Changed, added or gone since what it is compared with. */
  readonly mark?: DifferenceLine['mark']
  /** Where it leads: contiguous pieces, and how many more there are. */
  readonly pieces: readonly Piece[]
  readonly omitted: number
  /** Absent for what is gone. */
  readonly body?: RangeBody
}

export interface Piece extends Span {
  readonly target: bigint
}

/** How rights are drawn. Memory that can be written and executed is suspicious: code can be put there. */
export type Look = 'code' | 'data' | 'constant' | 'suspicious'

export interface NamedItem extends Span {
  readonly kind: string
  readonly name: string
}

export function rangeItems({ ranges }: MappingsBody, differences: DifferencesBody | undefined): readonly RangeItem[] {
  const lines = differences?.lines ?? []
  const present = lines
    .filter(({ mark }) => mark !== '-')
    .map(({ start, end, mark }) => ({ start: BigInt(start), end: BigInt(end), mark }))
  const items = ranges.map((body): RangeItem => {
    const [start, end] = [BigInt(body.start), BigInt(body.end)]
    const mark = markOf({ start, end }, present)
    return {
      ...{ start, end, key: body.start, ...rightsOf(body.rights), size: sizeText(end - start), names: namesOf(body) },
      ...piecesOf(body),
      ...(mark === undefined ? {} : { mark }),
      body,
    }
  })
  const gone = lines.filter(({ mark }) => mark === '-').map(goneItem)
  return gone.length === 0 ? items : [...items, ...gone].sort(ascending)
}

/** An item for what is not there any more. */
function goneItem({ start, end, text, mark }: DifferenceLine): RangeItem {
  const span = { start: BigInt(start), end: BigInt(end) }
  return {
    ...{ ...span, key: `-${start}`, rights: '', look: 'constant', user: false, size: sizeText(span.end - span.start) },
    ...{ names: [text], mark, pieces: [], omitted: 0 },
  }
}

/** Of what was added as a whole that it was; of all else that some of it has changed. */
function markOf({ start, end }: Span, lines: readonly MarkedSpan[]): DifferenceLine['mark'] | undefined {
  const own = lines.filter(line => line.start < end && line.end > start)
  if (own.length === 0) return undefined
  return own.some(line => line.mark === '+' && line.start <= start && line.end >= end) ? '+' : '~'
}

interface MarkedSpan extends Span {
  readonly mark: DifferenceLine['mark']
}

function rightsOf(rights: string): Pick<RangeItem, 'rights' | 'look' | 'user'> {
  const [write, execute] = [rights.includes('w'), rights.includes('x')]
  const look = write && execute ? 'suspicious' : execute ? 'code' : write ? 'data' : 'constant'
  return { rights, look, user: rights.includes('u') }
}

/** What says more than that it is memory. */
const TELLING = ['section', 'module', 'device']

function namesOf({ symbol, contents = [] }: RangeBody): string[] {
  const telling = contents.filter(({ kind }) => TELLING.includes(kind))
  const others = contents.filter(({ kind }) => !TELLING.includes(kind))
  return [...new Set([...(symbol === undefined ? [] : [symbol]), ...[...telling, ...others].map(({ name }) => name)])]
}

function piecesOf(body: RangeBody): Pick<RangeItem, 'pieces' | 'omitted'> {
  const { scatter } = body
  const extents = scatter?.extents ?? [body]
  return {
    pieces: extents.map(({ start, end, target }) => ({
      ...{ start: BigInt(start), end: BigInt(end), target: BigInt(target) },
    })),
    omitted: scatter?.omitted ?? 0,
  }
}

/** Guest-physical memory without overlaps: of areas within each other the smallest counts. */
export function physicalItems(areas: readonly AreaBody[]): readonly NamedItem[] {
  const spans = areas.map(({ kind, name, start, end }) => ({ kind, name, start: BigInt(start), end: BigInt(end) }))
  // Each table of firmware alone would be a line of its own among areas that are thousands of times as large.
  const drawn = spans.filter(({ kind }) => kind !== 'table')
  const bounds = [...new Set(drawn.flatMap(({ start, end }) => [start, end]))].sort((a, b) => (a < b ? -1 : 1))
  const items: NamedItem[] = []
  for (const [index, start] of bounds.entries()) {
    const end = bounds[index + 1]
    if (end === undefined) break
    const here = drawn.filter(area => area.start <= start && area.end >= end)
    const [smallest] = here.sort((a, b) => (a.end - a.start < b.end - b.start ? -1 : 1))
    if (smallest === undefined) continue
    const last = items.at(-1)
    if (last?.end === start && last.name === smallest.name) items[items.length - 1] = { ...last, end }
    else items.push({ ...smallest, start, end })
  }
  return items
}

/** Host-physical frames of the guest, joined where they are neighbours. */
export function hostItems(ept: MappingsBody): readonly NamedItem[] {
  const frames = eptPieces(ept)
    .map(({ start, end, target }) => ({ start: target, end: target + (end - start) }))
    .sort(ascending)
  const items: NamedItem[] = []
  for (const { start, end } of frames) {
    const last = items.at(-1)
    if (last !== undefined && last.end >= start) {
      if (end > last.end) items[items.length - 1] = { ...last, end }
    } else items.push({ kind: 'host', name: 'frames', start, end })
  }
  return items
}

export const eptPieces = ({ ranges }: MappingsBody): readonly Piece[] => ranges.flatMap(range => piecesOf(range).pieces)

/** The parts of `pieces` that a piece of the space above leads to. */
export function through(pieces: readonly Piece[], { start, end, target }: Piece): readonly Piece[] {
  const last = target + (end - start)
  return pieces
    .filter(piece => piece.start < last && piece.end > target)
    .map(piece => {
      const from = piece.start > target ? piece.start : target
      const to = piece.end < last ? piece.end : last
      return { start: from, end: to, target: piece.target + (from - piece.start) }
    })
}

/** Where pieces lead, in the space below. */
export const targetsOf = (pieces: readonly Piece[]): readonly Span[] =>
  pieces.map(({ start, end, target }) => ({ start: target, end: target + (end - start) }))

/** `read, write; user; global` */
export function rightsText(rights: string): string {
  const access = [
    ...(rights.includes('r') ? ['read'] : []),
    ...(rights.includes('w') ? ['write'] : []),
    ...(rights.includes('x') ? ['execute'] : []),
  ]
  return [
    access.join(', '),
    ...(rights.includes('u') ? ['user'] : rights.includes('s') ? ['supervisor'] : []),
    ...(rights.includes('g') ? ['global'] : []),
  ].join('; ')
}

/** `128 TiB`, and `~2 GiB` for what is no round number. */
export function roughSize(bytes: bigint): string {
  const exact = sizeText(bytes)
  if (exact.length <= 8) return exact
  const unit = BigInt(10 * Math.min(6, Math.floor((bytes.toString(2).length - 1) / 10)))
  const rounded = unit === 0n ? bytes : (bytes + (1n << (unit - 1n))) >> unit
  return `~${sizeText(rounded << unit)}`
}

const ascending = (a: Span, b: Span): number => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0)
