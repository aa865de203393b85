/** A screen of text as runs of cells that look the same. */

import type { Screen } from './messages.ts'

export type TextScreen = Extract<Screen, { readonly kind: 'text' }>

export interface Run {
  /** Of its first cell. */
  readonly column: number
  readonly text: string
  /** `#rrggbb` */
  readonly foreground: string
  readonly background: string
  readonly blink: boolean
  /** A character that a font may have in another width than its letters, or not at all: it gets a cell of its own. */
  readonly alone: boolean
}

/** Of each row. */
export function runsOf(screen: TextScreen): Run[][] {
  return screen.rows.map((row, index) => runsOfRow(row, screen.attributes[index], screen))
}

function runsOfRow(row: string, attributes: string, { columns, palette, blinks }: TextScreen): Run[] {
  const runs: Run[] = []
  for (let column = 0; column < columns; ) {
    const attribute = attributes.slice(column * 2, column * 2 + 2)
    const alone = isAlone(row[column])
    let end = column + 1
    while (!alone && end < columns && attributes.slice(end * 2, end * 2 + 2) === attribute && !isAlone(row[end])) end++
    runs.push({ column, text: row.slice(column, end), alone, ...look(Number.parseInt(attribute, 16), palette, blinks) })
    column = end
  }
  return runs
}

const isAlone = (character: string): boolean => character > '~'

/**
 * Attributes of text (IBM PS/2 Hardware Interface Technical Reference, video subsystem, alphanumeric modes): bit 7 makes
 * the character blink, or the background bright.
 */
function look(attribute: number, palette: readonly string[], blinks: boolean) {
  return {
    foreground: palette[attribute & 0x0f],
    background: palette[(attribute >> 4) & (blinks ? 0x07 : 0x0f)],
    blink: blinks && (attribute & 0x80) !== 0,
  }
}

/** As it is copied, or read aloud: without the blanks at the ends of lines. */
export const withoutBlanks = (text: string): string => text.replace(/[^\S\n]+$/gm, '')

export interface CursorBox {
  /** In cells. */
  readonly column: number
  readonly top: number
  readonly height: number
  readonly color: string
}

/** It has the colour of the character under it, as on a VGA. */
export function cursorBox({ cursor, attributes, palette, blinks, height, off }: TextScreen): CursorBox | undefined {
  const { row, column, first, last } = cursor ?? { row: -1, column: 0, first: 0, last: 0 }
  const attribute = Number.parseInt(attributes[row]?.slice(column * 2, column * 2 + 2) ?? '', 16)
  if (off || Number.isNaN(attribute)) return undefined
  return {
    column,
    top: row + first / height,
    height: (last - first + 1) / height,
    color: look(attribute, palette, blinks).foreground,
  }
}
