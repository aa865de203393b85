/** What is known of the range that is selected, with ways to its memory, its code and its translation. */

import type { ComponentChildren } from 'preact'
import { sizeText } from '../views/view-node.ts'
import type { PageMessage } from './messages.ts'
import { type eptPieces, type Piece, type RangeItem, rightsText, through } from './picture-model.ts'

/** Pieces that are listed; the picture has lines to more. */
const MOST_PIECES = 8

export interface DetailsProps {
  readonly item: RangeItem
  /** Before an address of the space that is shown: empty for the current one, else `cr3=0x…:`. */
  readonly prefix: string
  readonly frames: ReturnType<typeof eptPieces>
  send(message: PageMessage): void
}

export function RangeDetails({ item, prefix, frames, send }: DetailsProps) {
  const { start, end, size, rights, look, mark, body, pieces, omitted } = item
  const memory = (reference: string, children: ComponentChildren) => (
    <button type="button" class="link" title="Show this memory" onClick={() => send({ type: 'openMemory', reference })}>
      {children}
    </button>
  )
  if (body === undefined)
    return (
      <section id="details" aria-live="polite">
        <h2>
          {hex(start)} to {hex(end)} is gone
        </h2>
        <p>{item.names.join(' ')}</p>
      </section>
    )
  const reference = `${prefix}${body.start}`
  return (
    <section id="details" aria-live="polite">
      <h2 class="value">
        {body.start} <span class="faint">to</span> {body.end}
      </h2>
      <p>
        {size} in pages of {body.pageSizes.map(bytes => sizeText(BigInt(bytes))).join(', ')};{' '}
        <span class="value">{rights}</span> {rightsText(rights)}
        {mark === undefined ? undefined : `; ${mark === '+' ? 'added' : 'changed'} since the map it is compared with`}
      </p>
      {look === 'suspicious' ? <p class="fault">⚠ writable and executable: code can be put here and run</p> : undefined}
      <p class="actions">
        {memory(reference, 'Show memory')}
        {body.rights.includes('x') ? (
          <button type="button" class="link" onClick={() => send({ type: 'openCode', reference })}>
            Show code
          </button>
        ) : undefined}
        <button type="button" class="link" onClick={() => send({ type: 'translate', reference })}>
          Translate
        </button>
      </p>
      <p class="targets">
        leads to{' '}
        {pieces.slice(0, MOST_PIECES).map(piece => (
          <span class="target" key={`${piece.start}`}>
            {memory(`phys:${hex(piece.target)}`, `phys:${hex(piece.target)}`)}
            <Host piece={piece} frames={frames} memory={memory} />
          </span>
        ))}
        {leftOver(pieces.length - MOST_PIECES, omitted)}
      </p>
      {(body.contents ?? []).length === 0 ? undefined : (
        <ul class="contents" aria-label="What is there">
          {body.contents?.map(({ kind, name, start: at, end: until }) => (
            <li key={`${at} ${name}`}>
              {memory(`${prefix}${at}`, at)} <span class={`kind ${kind}`}>{name}</span>{' '}
              <span class="faint">
                {sizeText(BigInt(until) - BigInt(at))}
                {name.toLowerCase() === kind ? '' : `, ${kind}`}
              </span>
            </li>
          ))}
          {body.contentsOmitted === undefined ? undefined : <li class="faint">and {body.contentsOmitted} more</li>}
        </ul>
      )}
    </section>
  )
}

interface HostProps {
  readonly piece: Piece
  readonly frames: readonly Piece[]
  memory(reference: string, children: ComponentChildren): ComponentChildren
}

/** Where the first byte of a piece is on the host, as far as EPT maps it. */
function Host({ piece, frames, memory }: HostProps) {
  const [first] = through(frames, { ...piece, end: piece.start + 1n })
  return first === undefined ? null : <> → {memory(`hpa:${hex(first.target)}`, `hpa:${hex(first.target)}`)}</>
}

function leftOver(unlisted: number, omitted: number): string {
  const more = Math.max(0, unlisted) + omitted
  return more === 0 ? '' : ` and ${more} more pieces`
}

const hex = (value: bigint): string => `0x${value.toString(16)}`
