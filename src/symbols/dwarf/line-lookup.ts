/** Between addresses and lines of source, by the line tables. Addresses are the file's. */

import { AddressMemo } from './address-memo.ts'
import * as C from './constants.ts'
import type { AddressRange, LineAddress, LineBreakpoint, LinePlace } from './debug-info.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import type { SourceTable } from './line-index.ts'
import type { LineSequence, LineTable } from './line-table.ts'
import { baseName, matchingPaths } from './path-match.ts'
import { rangesOf } from './range-lists.ts'

export class LineLookup {
  readonly #program: DwarfProgram
  readonly #known = new AddressMemo<LinePlace | undefined>()

  constructor(program: DwarfProgram) {
    this.#program = program
  }

  lineAt(address: bigint): LinePlace | undefined {
    return this.#known.of(address, () => this.#lineAt(address))
  }

  #lineAt(address: bigint): LinePlace | undefined {
    const unit = this.#program.unitAt(address)
    const source = unit && this.#program.lines.sourceOf(unit)
    if (source === undefined) return undefined
    const table = this.#program.lines.table(source)
    const sequence = table.sequenceAt(address)
    const found = sequence && table.rowAt(sequence, address)
    if (sequence === undefined || found === undefined) return undefined
    const row = statementAmong(table, sequence, found)
    const same = (other: number) => table.line(other) === table.line(row) && table.file(other) === table.file(row)
    let first = row
    while (first > sequence.first && same(first - 1)) first--
    let next = found + 1
    while (next < sequence.last && same(next)) next++
    const statements = new Set<bigint>()
    for (let at = first; at < next; at++)
      if (same(at) && table.isStatement(at)) statements.add(table.address(sequence, at))
    return {
      file: source.paths[table.file(row)] ?? '',
      line: table.line(row),
      column: table.column(row),
      low: table.address(sequence, first),
      high: next < sequence.last ? table.address(sequence, next) : sequence.high,
      isStatement: table.isStatement(first),
      statements: [...statements],
    }
  }

  breakpointsAt(file: string, line: number): LineBreakpoint | undefined {
    let nearest = Number.POSITIVE_INFINITY
    let places: LineAddress[] = []
    for (const place of this.#statements(file, line, Number.POSITIVE_INFINITY)) {
      if (place.line > nearest) continue
      if (place.line < nearest) places = []
      nearest = place.line
      places.push(place)
    }
    return places.length === 0 ? undefined : { line: nearest, places: this.#onePerFunction(places) }
  }

  statementsIn(file: string, first: number, last: number): readonly LineAddress[] {
    return [...this.#statements(file, first, last)].sort((a, b) => a.line - b.line || a.column - b.column)
  }

  sourceFiles(): readonly string[] {
    return [...new Set([...this.sourceFilesByUnit()].flat())].sort()
  }

  *sourceFilesByUnit(): Generator<readonly string[]> {
    for (const { paths } of this.#program.lines.allSources()) yield paths.filter(path => path !== undefined)
  }

  /** Where the arguments of a function are in place, given its code and what compiled it. */
  bodyAddress(entry: bigint): bigint {
    const unit = this.#program.unitAt(entry)
    const source = unit && this.#program.lines.sourceOf(unit)
    const subprogram = this.#program.chainAt(entry)?.subprogram
    if (source === undefined || subprogram === undefined) return entry
    const table = this.#program.lines.table(source)
    const sequence = table.sequenceAt(entry)
    const row = sequence && table.rowAt(sequence, entry)
    if (sequence === undefined || row === undefined) return entry
    const range = rangesOf(subprogram).find(({ low, high }) => entry >= low && entry < high)
    const marked = range && prologueEnd(table, sequence, row, range)
    if (marked !== undefined) return marked
    // GNU C with optimization describes where arguments are at each address, from the first on.
    const producer = unit?.root.string(C.DW_AT_producer) ?? ''
    if (/ -O([1-9sgz]|fast)?(\s|$)/.test(producer)) return entry
    return (range && secondLine(table, sequence, row, range)) ?? entry
  }

  *#statements(file: string, first: number, last: number): Generator<LineAddress> {
    for (const { source, numbers } of this.#tablesOf(file)) {
      const table = this.#program.lines.table(source)
      for (const sequence of table.sequences) {
        for (let row = sequence.first; row < sequence.last; row++) {
          const line = table.line(row)
          if (line < first || line > last || !table.isStatement(row) || !numbers.has(table.file(row))) continue
          const path = source.paths[table.file(row)] ?? ''
          yield { file: path, line, column: table.column(row), address: table.address(sequence, row) }
        }
      }
    }
  }

  /** The tables with code of a file, and the numbers that it has in each. */
  #tablesOf(file: string): { source: SourceTable; numbers: ReadonlySet<number> }[] {
    const name = baseName(file.replaceAll('\\', '/'))
    const { cache, lines } = this.#program
    let offsets = cache.get('file', name)
    if (offsets === undefined) {
      offsets = lines.tablesNaming(name)
      cache.set('file', name, offsets)
    }
    const sources = offsets.map(offset => lines.sourceAt(offset))
    const candidates = new Set<string>()
    for (const { paths } of sources) {
      for (const path of paths) if (path !== undefined && baseName(path) === name) candidates.add(path)
    }
    const wanted = matchingPaths(file, candidates)
    return sources.flatMap(source => {
      const numbers = new Set<number>()
      source.paths.forEach((path, number) => {
        if (path !== undefined && wanted.has(path)) numbers.add(number)
      })
      return numbers.size === 0 ? [] : [{ source, numbers }]
    })
  }

  /** A line has code in many places, but in one function (or copy of it) the first is where it begins. */
  #onePerFunction(places: readonly LineAddress[]): LineAddress[] {
    const firsts = new Map<string, LineAddress>()
    for (const place of places) {
      const chain = this.#program.chainAt(place.address)
      const innermost = chain?.inlined.at(-1) ?? chain?.subprogram
      const key = innermost === undefined ? `${place.address}` : `${innermost.offset}`
      const known = firsts.get(key)
      if (known === undefined || place.address < known.address) firsts.set(key, place)
    }
    const unique = new Map<bigint, LineAddress>()
    for (const place of firsts.values()) {
      const address = this.#isEntry(place.address) ? this.bodyAddress(place.address) : place.address
      unique.set(address, { ...place, address })
    }
    return [...unique.values()].sort((a, b) => (a.address < b.address ? -1 : 1))
  }

  #isEntry(address: bigint): boolean {
    const subprogram = this.#program.chainAt(address)?.subprogram
    return subprogram !== undefined && entryOf(subprogram.address(C.DW_AT_low_pc), rangesOf(subprogram)) === address
  }
}

/** A function's first instruction: DW_AT_low_pc, or else the first of its ranges. */
export function entryOf(low: bigint | undefined, ranges: readonly AddressRange[]): bigint | undefined {
  return low ?? ranges[0]?.low
}

/** Of the rows at one address, which the compiler makes for lines without code of their own, a statement. */
function statementAmong(table: LineTable, sequence: LineSequence, found: number): number {
  for (let row = found; row >= sequence.first && table.sameAddress(row, found); row--) {
    if (table.isStatement(row)) return row
  }
  return found
}

function prologueEnd(table: LineTable, sequence: LineSequence, from: number, range: AddressRange): bigint | undefined {
  for (let row = from; row < sequence.last; row++) {
    const address = table.address(sequence, row)
    if (address >= range.high) return undefined
    if (table.isPrologueEnd(row) && address >= range.low) return address
  }
  return undefined
}

/** Without a mark the prologue is the code of the function's first line, as debuggers have always taken it. */
function secondLine(table: LineTable, sequence: LineSequence, from: number, range: AddressRange): bigint | undefined {
  for (let row = from + 1; row < sequence.last; row++) {
    const address = table.address(sequence, row)
    if (address >= range.high) return undefined
    if (address > range.low && table.line(row) !== 0 && table.isStatement(row)) return address
  }
  return undefined
}
