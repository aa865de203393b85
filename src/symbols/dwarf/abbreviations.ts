/** Abbreviation tables (DWARF 5, 7.5.3): the shape of the entries of a unit. */

import { DwarfError } from '../elf/elf-error.ts'
import { DW_AT_sibling, DW_FORM_implicit_const } from './constants.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { fixedFormSize, type UnitFormat } from './forms.ts'

export interface Abbreviation {
  readonly code: number
  readonly tag: number
  readonly hasChildren: boolean
  /** `DW_AT_*`, in the order of their values. */
  readonly attributes: readonly number[]
  /** `DW_FORM_*` of each. */
  readonly forms: readonly number[]
  /** The values of those whose form is DW_FORM_implicit_const, by index. */
  readonly constants: ReadonlyMap<number, bigint> | undefined
  /** Bytes from the first value to each one and, last, to the end; -1 behind a value of variable size. */
  readonly offsets: readonly number[]
  /** Index of DW_AT_sibling, or -1. */
  readonly sibling: number
}

export type AbbreviationTable = ReadonlyMap<number, Abbreviation>

/** A unit's table begins anywhere in its section, so that a small hostile file can ask for a great many large ones. */
const PARSE_FACTOR = 64
const PARSE_LEAST = 1 << 20

/** Tables kept, as many as fit in a few megabytes. */
const MOST_TABLES = 512

export class AbbreviationTables {
  readonly #section: Buffer
  readonly #tables = new Map<string, AbbreviationTable>()
  #parsed = 0

  constructor(section: Buffer) {
    this.#section = section
  }

  /** The table at `offset` of `.debug_abbrev` for units of this format. */
  at(offset: number, format: UnitFormat): AbbreviationTable {
    const key = `${offset} ${format.offsetSize} ${format.addressSize} ${format.version < 3}`
    const known = this.#tables.get(key)
    if (known !== undefined) return known
    const reader = new DwarfReader(this.#section, '.debug_abbrev', Math.min(offset, this.#section.length))
    const table = parseTable(reader, format)
    this.#parsed += reader.at - offset
    if (this.#parsed > PARSE_LEAST + this.#section.length * PARSE_FACTOR) {
      throw new DwarfError('.debug_abbrev: too many units have overlapping tables')
    }
    const [oldest] = this.#tables.keys()
    if (this.#tables.size >= MOST_TABLES && oldest !== undefined) this.#tables.delete(oldest)
    this.#tables.set(key, table)
    return table
  }
}

function parseTable(reader: DwarfReader, format: UnitFormat): AbbreviationTable {
  const table = new Map<number, Abbreviation>()
  for (;;) {
    const code = reader.uleb()
    if (code === 0) return table
    // Of two with one code the first counts, as everywhere.
    const abbreviation = parseOne(reader, code, format)
    if (!table.has(code)) table.set(code, abbreviation)
  }
}

function parseOne(reader: DwarfReader, code: number, format: UnitFormat): Abbreviation {
  const tag = reader.uleb()
  const hasChildren = reader.u8() !== 0
  const attributes: number[] = []
  const forms: number[] = []
  const offsets: number[] = []
  let constants: Map<number, bigint> | undefined
  let offset = 0
  for (;;) {
    const attribute = reader.uleb()
    const form = reader.uleb()
    if (attribute === 0 && form === 0) break
    if (form === DW_FORM_implicit_const) {
      constants ??= new Map()
      constants.set(attributes.length, reader.slebBig())
    }
    attributes.push(attribute)
    forms.push(form)
    offsets.push(offset)
    const size = fixedFormSize(form, format)
    offset = offset < 0 || size < 0 ? -1 : offset + size
  }
  offsets.push(offset)
  return { code, tag, hasChildren, attributes, forms, constants, offsets, sibling: attributes.indexOf(DW_AT_sibling) }
}
