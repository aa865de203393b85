/** The picture: the address space, guest-physical and host-physical memory as strips, and lines from one to the next. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { MappingsBody } from '../../protocol/custom-requests.ts'
import type { AreaBody } from '../../protocol/memory-requests.ts'
import { type Columns, Gap, HostLines, idOf, Lines, NamedStrip, Patterns, RangeBand } from './bands.tsx'
import { eptPieces, hostItems, type Piece, physicalItems, type RangeItem, targetsOf, through } from './picture-model.ts'
import { bandsBetween, layOutStrip, reachOf, type Span, type Strip } from './strip-layout.ts'

/** Heights in pixels: a band of the address space has two lines, the others one. */
const LINEAR = { least: 34, doubling: 1.4, gap: 18 }
const OTHERS = { least: 20, doubling: 1, gap: 16 }
const LEAST_WIDTH = 300
/** Bands that are not to be seen are not drawn, but for these pixels on each side. */
const MARGIN = 600
/** Lines from a range that leads to many places. */
const MOST_LINES = 24

interface StripsProps {
  readonly cr3: string
  readonly items: readonly RangeItem[]
  readonly areas: readonly AreaBody[]
  readonly ept: MappingsBody | undefined
  readonly selected: RangeItem | undefined
  readonly next: string | undefined
  select(item: RangeItem): void
  more(): void
}

export function Strips({ cr3, items, areas, ept, selected, next, select, more }: StripsProps) {
  const scroller = useRef<HTMLDivElement>(null)
  const width = useWidth(scroller)
  const [top, setTop] = useState(0)
  const linear = useMemo(() => layOutStrip(items, LINEAR), [items])
  const physical = useMemo(() => layOutStrip(physicalItems(areas), OTHERS), [areas])
  const host = useMemo(() => (ept === undefined ? undefined : layOutStrip(hostItems(ept), OTHERS)), [ept])
  const frames = useMemo(() => (ept === undefined ? [] : eptPieces(ept)), [ept])
  const columns = columnsOf(width, host !== undefined)

  const band = linear.bands.find(each => each.kind === 'item' && each.item === selected)
  const gpa = selected?.pieces.slice(0, MOST_LINES) ?? []
  const hpa = gpa.flatMap(piece => through(frames, piece)).slice(0, MOST_LINES)
  const height = Math.max(linear.height, physical.height, host?.height ?? 0)
  // The strips beside come to where the selected range is, so that the lines to them are short.
  const physicalShift = shiftTo(band?.y, topOf(physical, gpa), height - physical.height)
  const hostTop = host === undefined || hpa.length === 0 ? undefined : topOf(host, hpa)
  const hostRoom = height - (host?.height ?? 0)
  const hostShift = hostTop === undefined ? Math.min(physicalShift, hostRoom) : shiftTo(band?.y, hostTop, hostRoom)

  useLayoutEffect(() => {
    const element = scroller.current
    if (element === null || band === undefined) return
    if (band.y < element.scrollTop) element.scrollTop = band.y
    else if (band.y + band.height > element.scrollTop + element.clientHeight)
      element.scrollTop = Math.min(band.y, band.y + band.height - element.clientHeight)
  }, [band?.y])

  const shown = bandsBetween(linear, top - MARGIN, top + MARGIN + (scroller.current?.clientHeight ?? 2 * MARGIN))
  return (
    <section id="picture" aria-label="Picture of the address space">
      <div id="columns" style={{ gridTemplateColumns: gridOf(columns) }}>
        <span title={`The address space of CR3 ${cr3}`}>linear</span>
        <span>guest-physical</span>
        {host === undefined ? undefined : <span>host (EPT)</span>}
      </div>
      <div
        id="strips"
        ref={scroller}
        role="listbox"
        tabIndex={0}
        aria-label={`Ranges of the address space, ${items.length}; arrows select one`}
        {...(selected === undefined ? {} : { 'aria-activedescendant': idOf(selected) })}
        onScroll={event => setTop(event.currentTarget.scrollTop)}
        onKeyDown={event => {
          const item = items[nextIndex(event.key, items, selected)]
          if (item === undefined) return
          event.preventDefault()
          select(item)
        }}
      >
        <svg width={width} height={height + 2} role="presentation">
          <Patterns />
          <Lines
            strip={physical}
            shift={physicalShift}
            from={band}
            pieces={gpa}
            columns={[columns.linear, columns.physical]}
          />
          {host === undefined ? undefined : (
            <HostLines {...{ physical, physicalShift, host, hostShift, columns }} pieces={hpa} />
          )}
          {shown.map(each =>
            each.kind === 'gap' ? (
              <Gap key={`gap ${each.start}`} band={each} column={columns.linear} shift={0} />
            ) : (
              <RangeBand
                key={each.item.key}
                band={each}
                column={columns.linear}
                selected={each.item === selected}
                select={() => select(each.item)}
              />
            ),
          )}
          <NamedStrip strip={physical} shift={physicalShift} column={columns.physical} lit={targetsOf(gpa)} />
          {host === undefined ? undefined : (
            <NamedStrip strip={host} shift={hostShift} column={columns.host} lit={targetsOf(hpa)} />
          )}
        </svg>
        {items.length === 0 ? <p class="faint">Nothing is mapped, or nothing matches the filter.</p> : undefined}
      </div>
      {next === undefined ? undefined : (
        <button type="button" class="link" id="more" onClick={more}>
          more from {next} on
        </button>
      )}
    </section>
  )
}

function columnsOf(width: number, withHost: boolean): Columns {
  const shares = withHost ? [0.45, 0.24, 0.21] : [0.55, 0.35, 0]
  const gap = Math.round((width - 2) * (withHost ? 0.05 : 0.1))
  const [linear, physical, host] = shares.map(share => Math.round((width - 2) * share))
  return {
    linear: { x: 1, width: linear },
    physical: { x: 1 + linear + gap, width: physical },
    host: { x: 1 + linear + gap + physical + gap, width: host },
  }
}

const gridOf = ({ physical, host }: Columns): string =>
  `${physical.x}px ${host.width === 0 ? '' : `${host.x - physical.x}px`} 1fr`

function useWidth(element: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const watched = element.current
    if (watched === null) return
    const observer = new ResizeObserver(() => setWidth(watched.clientWidth))
    observer.observe(watched)
    return () => observer.disconnect()
  }, [element])
  return Math.max(LEAST_WIDTH, width)
}

function nextIndex(key: string, items: readonly RangeItem[], selected: RangeItem | undefined): number {
  const at = selected === undefined ? -1 : items.indexOf(selected)
  const last = items.length - 1
  switch (key) {
    case 'ArrowDown':
      return Math.min(last, at + 1)
    case 'ArrowUp':
      return Math.max(0, at - 1)
    case 'PageDown':
      return Math.min(last, at + 10)
    case 'PageUp':
      return Math.max(0, at - 10)
    case 'Home':
      return 0
    case 'End':
      return last
    case 'Enter':
    case ' ':
      return Math.max(0, at)
    default:
      return -1
  }
}

function topOf<Item extends Span>(strip: Strip<Item>, pieces: readonly Piece[]): number | undefined {
  for (const target of targetsOf(pieces)) {
    const reach = reachOf(strip, target)
    if (reach !== undefined) return reach.top
  }
  return undefined
}

/** How far down a strip goes so that `own` in it comes to `wanted`; within what there is room for. */
const shiftTo = (wanted: number | undefined, own: number | undefined, room: number): number =>
  wanted === undefined || own === undefined ? 0 : Math.round(Math.min(Math.max(0, wanted - own), Math.max(0, room)))
