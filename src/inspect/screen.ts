/** What is on the guest's display, as text where it is text. */

import { CODE_PAGE_437 } from '../devices/vga-text/code-page-437.ts'
import type { Color } from '../devices/vga-text/palette.ts'
import type { TextPicture } from '../devices/vga-text/picture.ts'
import type { MachineView } from './machine-view.ts'

/** By what is displayed: a further kind would be a framebuffer, with its size, format of pixels and address. */
export type ScreenModel = TextScreen | GraphicsScreen

export interface TextScreen {
  readonly kind: 'text'
  readonly columns: number
  /** Each as long as there are columns; a character is one UTF-16 code unit. */
  readonly rows: readonly string[]
  /** Of each row two hexadecimal digits a cell: foreground in bits 3 to 0, background above, bit 7 as `blinks` says. */
  readonly attributes: readonly string[]
  /** Does bit 7 of an attribute make the character blink? Otherwise it belongs to the background. */
  readonly blinks: boolean
  /** `#rrggbb` of the 16 colours, as the guest has set them. */
  readonly palette: readonly string[]
  /** Scan lines of a cell. */
  readonly height: number
  /** Absent where none is to be seen. It covers scan lines `first` to `last` of its cell. */
  readonly cursor?: { readonly row: number; readonly column: number; readonly first: number; readonly last: number }
  /** The guest has switched the display off; this is what would be seen. */
  readonly off: boolean
}

/** A mode with pixels, of which nothing but this is known. */
export interface GraphicsScreen {
  readonly kind: 'graphics'
}

/** undefined without a display. */
export function screenModel({ display }: MachineView): ScreenModel | undefined {
  const picture = display?.picture()
  return picture?.kind === 'text' ? textScreen(picture) : picture
}

function textScreen({ columns, rows, codes, attributes, colors, cursor, ...picture }: TextPicture): TextScreen {
  const ofRows = (text: (cells: { from: number; to: number }) => string): string[] =>
    Array.from({ length: rows }, (_, row) => text({ from: row * columns, to: (row + 1) * columns }))
  return {
    ...picture,
    columns,
    rows: ofRows(({ from, to }) => Array.from(codes.subarray(from, to), code => CODE_PAGE_437[code]).join('')),
    attributes: ofRows(({ from, to }) =>
      Array.from(attributes.subarray(from, to), value => TWO_DIGITS[value]).join(''),
    ),
    palette: colors.map(cssColor),
    ...(cursor === undefined ? {} : { cursor }),
  }
}

/** Rows of text without the blanks at their ends, and without the empty ones below the last. */
export function screenText({ rows }: TextScreen): string {
  return rows
    .map(row => row.trimEnd())
    .join('\n')
    .trimEnd()
}

/** 6 bits become 8, so that black and white stay what they are. */
const cssColor = (color: Color): string =>
  `#${color.map(part => TWO_DIGITS[((part & 0x3f) << 2) | ((part & 0x3f) >> 4)]).join('')}`

const TWO_DIGITS = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'))

/** The same for the same screen, and another for another one, but for one chance in 2^60 or so. */
export function screenVersion(screen: ScreenModel): string {
  const text = JSON.stringify(screen)
  return [0x811c9dc5, 0x1b873593].map(start => fnv(text, start).toString(16).padStart(8, '0')).join('')
}

/** FNV-1a of UTF-16 code units, with its bits mixed at the end. */
function fnv(text: string, start: number): number {
  let hash = start
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0
}
