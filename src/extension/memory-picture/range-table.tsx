/** The same as the picture in rows, for those who read or hear it; and the list of differences. */

import { useState } from 'preact/hooks'
import type { DifferencesBody } from './difference-text.ts'
import { type RangeItem, roughSize } from './picture-model.ts'

/** Rows that are added at once: a browser takes seconds for thousands. */
const ROWS = 200
const MOST_NAMES = 4

interface TableProps {
  readonly items: readonly RangeItem[]
  readonly selected: RangeItem | undefined
  select(item: RangeItem): void
}

export function RangeTable({ items, selected, select }: TableProps) {
  const [open, setOpen] = useState(false)
  const [rows, setRows] = useState(ROWS)
  return (
    <details id="table" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>As a table: {items.length} ranges</summary>
      {open ? (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                {['', 'from', 'size', 'rights', 'guest-physical', 'what is there'].map(name => (
                  <th key={name}>{name}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {items.slice(0, rows).map(item => (
                <Row key={item.key} item={item} selected={item === selected} select={select} />
              ))}
            </tbody>
          </table>
          {items.length <= rows ? undefined : (
            <button type="button" class="link" onClick={() => setRows(rows + ROWS)}>
              {items.length - rows} more rows
            </button>
          )}
        </div>
      ) : undefined}
    </details>
  )
}

function Row({ item, selected, select }: { item: RangeItem; selected: boolean; select(item: RangeItem): void }) {
  const { start, size, rights, names, mark, body } = item
  return (
    <tr class={selected ? 'selected' : ''}>
      <td>{mark ?? ''}</td>
      <td>
        <button type="button" class="link" aria-pressed={selected} onClick={() => select(item)}>
          0x{start.toString(16)}
        </button>
      </td>
      <td>{size}</td>
      <td>{rights}</td>
      <td>{body === undefined ? '' : `${body.target}${body.contiguous ? '' : ' and elsewhere'}`}</td>
      <td title={names.join(', ')}>
        {names.slice(0, MOST_NAMES).join(', ')}
        {names.length > MOST_NAMES ? ', …' : ''}
      </td>
    </tr>
  )
}

interface DifferencesProps {
  readonly differences: DifferencesBody
  /** Selects the range that an address is in. */
  go(address: bigint): void
}

export function Differences({ differences: { since, lines, notes }, go }: DifferencesProps) {
  return (
    <section id="differences" aria-label="Differences">
      <h2>
        {lines.length === 0 ? 'No difference' : `${lines.length} difference${lines.length === 1 ? '' : 's'}`} to {since}
      </h2>
      <ul>
        {lines.map(({ mark, start, size, text }) => (
          <li key={`${mark}${start}`}>
            <span class={`mark ${NAMES[mark]}`}>{mark === '-' ? '−' : mark}</span>{' '}
            <button type="button" class="link" onClick={() => go(BigInt(start))}>
              {start}
            </button>{' '}
            {size} {text}
          </li>
        ))}
      </ul>
      {notes.map(note => (
        <p class="faint" key={note}>
          {note}
        </p>
      ))}
    </section>
  )
}

const NAMES = { '+': 'added', '-': 'removed', '~': 'changed' } as const

/** How much of the address space is mapped, in a line. */
export function summaryOf(items: readonly RangeItem[]): string {
  const present = items.filter(({ body }) => body !== undefined)
  const bytes = present.reduce((sum, { start, end }) => sum + (end - start), 0n)
  const suspicious = present.filter(({ look }) => look === 'suspicious').length
  return [
    `${present.length} range${present.length === 1 ? '' : 's'}, ${roughSize(bytes)} mapped`,
    ...(suspicious === 0 ? [] : [`⚠ ${suspicious} writable and executable`]),
  ].join('; ')
}
