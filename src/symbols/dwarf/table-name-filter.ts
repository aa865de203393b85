/**
 * Tells quickly which line tables name a file. Kernels have thousands of tables with hundreds of files each; since
 * DWARF 5 a name is an offset into a section of strings, so the strings are searched first, and then numbers compared.
 */

import * as C from './constants.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { skipForm, type UnitFormat } from './forms.ts'
import type { UnitSections } from './unit-sections.ts'

/** Offsets of strings whose last part is the name: all from `first` to `last`. */
interface Offsets {
  readonly first: number
  readonly last: number
}

const SLASH = 0x2f

export class TableNameFilter {
  readonly #name: Buffer
  readonly #sections: UnitSections
  readonly #lineStr: readonly Offsets[]
  #str: readonly Offsets[] | undefined

  /** @param name of a file, without directories. */
  constructor(name: string, sections: UnitSections) {
    this.#name = Buffer.from(`${name}\0`)
    this.#sections = sections
    this.#lineStr = offsetsOf(sections.lineStr, this.#name)
  }

  /** Never false for a table that names the file; true for a few that don't. `bytes` is the table with its header. */
  mayName(bytes: Buffer): boolean {
    const reader = new DwarfReader(bytes, '.debug_line')
    const { offsetSize } = reader.initialLength()
    const version = reader.u16()
    let addressSize = 8
    if (version >= 5) {
      addressSize = reader.u8()
      reader.u8()
    }
    const headerLength = reader.offset(offsetSize)
    const end = Math.min(reader.at + headerLength, bytes.length)
    if (version < 5) return bytes.subarray(reader.at, end).includes(this.#name)
    reader.take(5)
    reader.take(Math.max(reader.u8() - 1, 0))
    const format = { version, addressSize, offsetSize }
    this.#scan(reader, format, false)
    return this.#scan(reader, format, true)
  }

  /** Reads one list of entries (DWARF 5, 6.2.4.1), to its end or to the first that has the name. */
  #scan(reader: DwarfReader, format: UnitFormat, compare: boolean): boolean {
    const description = Array.from({ length: reader.u8() }, () => ({ content: reader.uleb(), form: reader.uleb() }))
    const count = reader.uleb()
    if (count > reader.rest) reader.fail(`${count} files can't be described in what is left`)
    for (let index = 0; index < count; index++) {
      for (const { content, form } of description) {
        if (content !== C.DW_LNCT_path || !compare) {
          skipForm(reader, form, format)
        } else if (form === C.DW_FORM_line_strp) {
          if (includes(this.#lineStr, reader.offset(format.offsetSize))) return true
        } else if (form === C.DW_FORM_strp) {
          this.#str ??= offsetsOf(this.#sections.str, this.#name)
          if (includes(this.#str, reader.offset(format.offsetSize))) return true
        } else if (form === C.DW_FORM_string) {
          const at = reader.at
          reader.skipString()
          const start = reader.at - this.#name.length
          if (start >= at && reader.bytes.subarray(start, reader.at).equals(this.#name)) return true
        } else {
          return true
        }
      }
    }
    return false
  }
}

function includes(offsets: readonly Offsets[], offset: number): boolean {
  return offsets.some(range => offset >= range.first && offset <= range.last)
}

/** Linkers let a string be the end of another, so that one may begin in the middle of a path. */
function offsetsOf(table: Buffer, name: Buffer): Offsets[] {
  const found: Offsets[] = []
  for (let at = table.indexOf(name); at >= 0; at = table.indexOf(name, at + 1)) {
    const start = at > 0 ? table.lastIndexOf(0, at - 1) + 1 : 0
    found.push({ first: table[at - 1] === SLASH ? start : at, last: at })
  }
  return found
}
