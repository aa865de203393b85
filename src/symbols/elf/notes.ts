/** ELF notes (gABI, chapter 5, "Note Section"). */

import { BoundedReader } from './bounded-reader.ts'

export interface ElfNote {
  /** Who defines the type, for example `GNU` or `Xen`. */
  readonly name: string
  readonly type: number
  readonly description: Uint8Array
}

const HEADER_SIZE = 12

/** Notes one after the other. `align` is that of the segment or section: 8 pads to 8 bytes, everything else to 4. */
export function* parseNotes(bytes: Uint8Array, align: number, what: string): Generator<ElfNote> {
  const reader = new BoundedReader(bytes)
  const padding = align === 8 ? 8 : 4
  const padded = (offset: number) => Math.ceil(offset / padding) * padding
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const nameSize = reader.u32(at, what)
    const descriptionSize = reader.u32(at + 4, what)
    const type = reader.u32(at + 8, what)
    const descriptionAt = padded(at + HEADER_SIZE + nameSize)
    const name = reader.slice(at + HEADER_SIZE, nameSize, `name of a note in ${what}`)
    yield {
      name: new TextDecoder().decode(name).replace(/\0.*$/s, ''),
      type,
      description: reader.slice(descriptionAt, descriptionSize, `description of a note in ${what}`),
    }
    at = padded(descriptionAt + descriptionSize)
  }
}
