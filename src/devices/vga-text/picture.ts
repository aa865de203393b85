/** What a display adapter shows, as far as it is known. */

import type { Color } from './palette.ts'

export type Picture = TextPicture | GraphicsPicture

export interface TextPicture {
  readonly kind: 'text'
  readonly columns: number
  readonly rows: number
  /** Of each cell, row by row: code of the character in code page 437. */
  readonly codes: Uint8Array
  /** Of each cell: bits 3 to 0 foreground, bits 6 to 4 background, bit 7 blinks or belongs to the background. */
  readonly attributes: Uint8Array
  /** Does bit 7 of an attribute mean that the character blinks? */
  readonly blinks: boolean
  /** For the 16 values of four bits. */
  readonly colors: readonly Color[]
  /** Scan lines of a cell. */
  readonly height: number
  /** Undefined where none is to be seen. */
  readonly cursor: CursorPicture | undefined
  /** The guest has switched the display off: it is black, and this is what would be seen. */
  readonly off: boolean
}

export interface CursorPicture {
  readonly row: number
  readonly column: number
  /** First and last scan line of the cell that it covers. */
  readonly first: number
  readonly last: number
}

/** A mode with pixels, which this adapter has no planes for. */
export interface GraphicsPicture {
  readonly kind: 'graphics'
}
