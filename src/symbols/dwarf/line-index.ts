/**
 * The line tables of a file: by unit, and by the name of a source file. Only tables whose headers name a file are run
 * to answer for its lines.
 */

import { DwarfError } from '../elf/elf-error.ts'
import type { SectionContents } from '../elf/section-contents.ts'
import * as C from './constants.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { type LineHeader, parseLineHeader } from './line-header.ts'
import { LineTable } from './line-table.ts'
import { baseName, joinPath } from './path-match.ts'
import { TableNameFilter } from './table-name-filter.ts'
import type { Unit } from './unit.ts'
import type { UnitList } from './unit-list.ts'

/** The longest length field (7.4). */
const LENGTH_FIELD = 12

/** Tables kept after they ran. */
const KEPT_TABLES = 64

/** A table, with the unit's directory that files of older versions are relative to. */
export interface SourceTable {
  readonly header: LineHeader
  /** Full paths by file number. */
  readonly paths: readonly (string | undefined)[]
}

export class LineIndex {
  readonly #units: UnitList
  readonly #sources = new Map<number, SourceTable>()
  readonly #tables = new Map<number, LineTable>()
  #offsets: readonly { readonly offset: number; readonly size: number }[] | undefined
  #unitsByTable: Map<number, Unit> | undefined

  constructor(units: UnitList) {
    this.#units = units
  }

  /** undefined for a unit without lines. */
  sourceOf(unit: Unit): SourceTable | undefined {
    const list = unit.root.listOffset(C.DW_AT_stmt_list)
    return list === undefined ? undefined : this.#source(list.offset, unit)
  }

  /** The path of a DW_AT_decl_file or DW_AT_call_file. */
  path(unit: Unit, file: number): string | undefined {
    return this.sourceOf(unit)?.paths[file]
  }

  /** Runs the program, or finds it among those that ran lately. */
  table(source: SourceTable): LineTable {
    const { offset, size } = source.header
    const known = this.#tables.get(offset)
    if (known !== undefined) return known
    const table = new LineTable(source.header, this.#bytes(offset, size))
    const [oldest] = this.#tables.keys()
    if (this.#tables.size >= KEPT_TABLES && oldest !== undefined) this.#tables.delete(oldest)
    this.#tables.set(offset, table)
    return table
  }

  /** Offsets of the tables with a file of this name, whatever its directory. */
  tablesNaming(name: string): number[] {
    const filter = new TableNameFilter(baseName(name), this.#units.sections)
    return this.#allOffsets()
      .filter(({ offset, size }) => filter.mayName(this.#bytes(offset, size)))
      .map(({ offset }) => offset)
  }

  sourceAt(offset: number): SourceTable {
    const known = this.#sources.get(offset)
    return known ?? this.#source(offset, undefined)
  }

  *allSources(): Generator<SourceTable> {
    for (const { offset } of this.#allOffsets()) yield this.sourceAt(offset)
  }

  #source(offset: number, unit: Unit | undefined): SourceTable {
    const known = this.#sources.get(offset)
    if (known !== undefined) return known
    const bytes = this.#bytes(offset, this.#sizeAt(offset))
    const reader = new DwarfReader(bytes, '.debug_line')
    reader.initialLength()
    const version = reader.u16()
    const user = version < 5 ? (unit ?? this.#unitOfTable(offset)) : unit
    const addressSize = user?.addressSize ?? this.#units.firstHeader?.addressSize ?? 8
    const header = parseLineHeader(bytes, offset, this.#units.sections, addressSize, index => {
      const owner = user ?? this.#unitOfTable(offset)
      if (owner === undefined) throw new DwarfError(`.debug_line: no unit has the table at 0x${offset.toString(16)}`)
      return owner.indexedString(index)
    })
    const compiler = version < 5 ? (user?.root.string(C.DW_AT_comp_dir) ?? '') : (header.directories[0] ?? '')
    const paths = header.files.map(file => {
      if (file === undefined) return undefined
      return joinPath(joinPath(compiler, header.directories[file.directory] ?? ''), file.name)
    })
    const source = { header, paths }
    this.#sources.set(offset, source)
    return source
  }

  get #section(): SectionContents | undefined {
    return this.#units.sections.named('.debug_line')
  }

  #bytes(offset: number, size: number): Buffer {
    if (this.#section === undefined) throw new DwarfError('.debug_line: is missing')
    return this.#section.read(offset, size)
  }

  /** Of a table with its length field. */
  #sizeAt(offset: number): number {
    const rest = (this.#section?.size ?? 0) - offset
    if (rest < 4) throw new DwarfError(`.debug_line: no table lies at 0x${offset.toString(16)}`)
    const reader = new DwarfReader(this.#bytes(offset, Math.min(rest, LENGTH_FIELD)), '.debug_line')
    const { length } = reader.initialLength()
    if (length > rest - reader.at) {
      throw new DwarfError(`.debug_line: the table at 0x${offset.toString(16)} reaches past its end`)
    }
    return reader.at + length
  }

  #allOffsets(): readonly { readonly offset: number; readonly size: number }[] {
    if (this.#offsets !== undefined) return this.#offsets
    const total = this.#section?.size ?? 0
    // All of it is about to be looked at: one read is quicker than thousands.
    this.#section?.all()
    const offsets: { offset: number; size: number }[] = []
    for (let offset = 0; offset + 4 <= total; ) {
      const size = this.#sizeAt(offset)
      offsets.push({ offset, size })
      offset += size
    }
    this.#offsets = offsets
    return offsets
  }

  #unitOfTable(offset: number): Unit | undefined {
    if (this.#unitsByTable === undefined) {
      this.#unitsByTable = new Map()
      for (const header of this.#units.headers) {
        if (header.kind === 'type') continue
        const unit = this.#units.unit(header)
        const list = unit.root.listOffset(C.DW_AT_stmt_list)
        if (list !== undefined && !this.#unitsByTable.has(list.offset)) this.#unitsByTable.set(list.offset, unit)
      }
    }
    return this.#unitsByTable.get(offset)
  }
}
