/** What a strip consists of: bands, gaps, and the lines from one strip to the next. */

import { sizeText } from '../views/view-node.ts'
import { type NamedItem, type Piece, type RangeItem, rightsText, roughSize, targetsOf } from './picture-model.ts'
import { type Band, reachOf, type Span, type Strip } from './strip-layout.ts'

/** Width of a letter of the picture's font of 11 pixels. */
const LETTER = 6.7

/** Where a strip is in the picture, in pixels. */
export interface Column {
  readonly x: number
  readonly width: number
}

export interface Columns {
  readonly linear: Column
  readonly physical: Column
  /** Without width when there is no EPT. */
  readonly host: Column
}

/** Rights are told by pattern and letters too, not by colour alone. */
export function Patterns() {
  return (
    <defs>
      <pattern id="of-code" width="7" height="7" patternUnits="userSpaceOnUse">
        <path d="M0 7L7 0" />
      </pattern>
      <pattern id="of-data" width="7" height="7" patternUnits="userSpaceOnUse">
        <path d="M1 3.5h1.5" />
      </pattern>
      <pattern id="of-suspicious" width="9" height="9" patternUnits="userSpaceOnUse">
        <path d="M0 9L9 0M0 0L9 9" />
      </pattern>
    </defs>
  )
}

/** Of the band's element. */
export const idOf = ({ key }: RangeItem): string => `range-${key}`

interface RangeBandProps {
  readonly band: Extract<Band<RangeItem>, { kind: 'item' }>
  readonly column: Column
  readonly selected: boolean
  select(): void
}

export function RangeBand({ band: { y, height, item }, column: { x, width }, selected, select }: RangeBandProps) {
  const { key, rights, look, user, size, names, mark } = item
  const classes = [
    'band',
    look,
    ...(user ? ['user'] : []),
    ...(selected ? ['selected'] : []),
    ...(mark ? [MARKS[mark].name] : []),
  ]
  const warning = look === 'suspicious' ? '⚠ ' : ''
  const says = [
    ...[`${key.replace('-', '')}, ${size}`, ...(rights === '' ? [] : [rightsText(rights)])],
    ...(look === 'suspicious' ? ['writable and executable'] : []),
    ...(mark === undefined ? [] : [MARKS[mark].name]),
    ...names,
  ].join('; ')
  return (
    <g
      id={idOf(item)}
      class={classes.join(' ')}
      role="option"
      aria-selected={selected}
      aria-label={says}
      onClick={select}
    >
      <title>{says}</title>
      <rect class="fill" {...{ x, y, width, height }} />
      <rect class="pattern" {...{ x, y, width, height }} fill={look === 'constant' ? 'none' : `url(#of-${look})`} />
      {user ? <rect class="edge" {...{ x, y, height }} width={4} /> : undefined}
      <rect class="frame" x={x + 0.5} y={y + 0.5} width={width - 1} height={height - 1} />
      <text x={x + 9} y={y + 13}>
        {clipped(`${key.replace('-', '')} ${warning}${rights}`, width - 26)}
      </text>
      <text class="names" x={x + 9} y={y + 27}>
        {clipped([roughSize(item.end - item.start), ...names].join(' '), width - 14)}
      </text>
      {mark === undefined ? undefined : (
        <text class="mark" x={x + width - 15} y={y + 14}>
          {MARKS[mark].sign}
        </text>
      )}
    </g>
  )
}

const MARKS = {
  '+': { sign: '+', name: 'added' },
  '-': { sign: '−', name: 'removed' },
  '~': { sign: '~', name: 'changed' },
} as const

const clipped = (text: string, width: number): string => {
  const letters = Math.max(1, Math.floor(width / LETTER))
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`
}

interface GapProps {
  readonly band: { readonly y: number; readonly height: number; readonly start: bigint; readonly end: bigint }
  readonly column: Column
  readonly shift: number
}

/** The cut: two slanted strokes, and how much is left out. */
export function Gap({ band: { y, height, start, end }, column: { x, width }, shift }: GapProps) {
  const middle = y + shift + height / 2
  return (
    <g class="gap">
      <title>{`${sizeText(end - start)} left out here, from 0x${start.toString(16)} on`}</title>
      <path d={`M${x + 2} ${middle + 4}l6 -8M${x + 7} ${middle + 4}l6 -8`} />
      <text x={x + 19} y={middle + 4}>
        {clipped(roughSize(end - start), width - 20)}
      </text>
    </g>
  )
}

interface NamedStripProps {
  readonly strip: Strip<NamedItem>
  readonly shift: number
  readonly column: Column
  /** Where the selected range leads. */
  readonly lit: readonly Span[]
}

export function NamedStrip({ strip, shift, column, lit }: NamedStripProps) {
  return (
    <g>
      {strip.bands.map(band =>
        band.kind === 'gap' ? (
          <Gap key={`gap ${band.start}`} {...{ band, column, shift }} />
        ) : (
          <NamedBand
            key={`${band.item.start}`}
            {...{ band, column, shift }}
            lit={lit.some(span => overlap(span, band.item))}
          />
        ),
      )}
    </g>
  )
}

interface NamedBandProps {
  readonly band: Extract<Band<NamedItem>, { kind: 'item' }>
  readonly column: Column
  readonly shift: number
  readonly lit: boolean
}

function NamedBand({ band: { y, height, item }, column: { x, width }, shift, lit }: NamedBandProps) {
  const top = y + shift
  const { kind, name, start, end } = item
  const address = `0x${start.toString(16)}`
  return (
    <g class={`area ${kind}${lit ? ' lit' : ''}`}>
      <title>{`${name}: ${address}, ${sizeText(end - start)}`}</title>
      <rect class="fill" {...{ x, width, height }} y={top} />
      <rect class="frame" x={x + 0.5} y={top + 0.5} width={width - 1} height={height - 1} />
      <text x={x + 5} y={top + 14}>
        {clipped(kind === 'host' ? address : name, width - 7)}
      </text>
      {height < 34 ? undefined : (
        <text class="names" x={x + 5} y={top + 27}>
          {clipped(kind === 'host' ? sizeText(end - start) : `${address} ${sizeText(end - start)}`, width - 7)}
        </text>
      )}
    </g>
  )
}

const overlap = (a: Span, b: Span): boolean => a.start < b.end && a.end > b.start

interface LinesProps {
  readonly strip: Strip<NamedItem>
  readonly shift: number
  readonly from: Band<RangeItem> | undefined
  readonly pieces: readonly Piece[]
  readonly columns: readonly [Column, Column]
}

export function Lines({ strip, shift, from, pieces, columns: [left, right] }: LinesProps) {
  if (from?.kind !== 'item') return null
  const { item } = from
  const at = (address: bigint): number =>
    from.y + (Number(address - item.start) / Number(item.end - item.start)) * from.height
  return (
    <g class="lines">
      {pieces.map(piece => {
        const [target] = targetsOf([piece])
        const reach = reachOf(strip, target)
        return reach === undefined ? undefined : (
          <path
            key={`${piece.start}`}
            d={ribbon(left, at(piece.start), at(piece.end), right, reach.top + shift, reach.bottom + shift)}
          />
        )
      })}
    </g>
  )
}

interface HostLinesProps {
  readonly physical: Strip<NamedItem>
  readonly physicalShift: number
  readonly host: Strip<NamedItem>
  readonly hostShift: number
  readonly columns: Columns
  readonly pieces: readonly Piece[]
}

export function HostLines({ physical, physicalShift, host, hostShift, columns, pieces }: HostLinesProps) {
  return (
    <g class="lines">
      {pieces.map(piece => {
        const [target] = targetsOf([piece])
        const [from, to] = [reachOf(physical, piece), reachOf(host, target)]
        return from === undefined || to === undefined ? undefined : (
          <path
            key={`${piece.start} ${piece.target}`}
            d={ribbon(
              ...([columns.physical, from.top + physicalShift, from.bottom + physicalShift] as const),
              ...([columns.host, to.top + hostShift, to.bottom + hostShift] as const),
            )}
          />
        )
      })}
    </g>
  )
}

/** From the right edge of a column to the left edge of the next. */
function ribbon(
  left: Column,
  top: number,
  bottom: number,
  right: Column,
  rightTop: number,
  rightBottom: number,
): string {
  const [from, to] = [left.x + left.width, right.x]
  return `M${from} ${top}L${to} ${rightTop}V${Math.max(rightBottom, rightTop + 1)}L${from} ${Math.max(bottom, top + 1)}Z`
}
