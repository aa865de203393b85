/**
 * Finds entries by name without an index: the name is looked up in the section of strings, its offset is searched in
 * the bytes of the entries, and only the units with a hit are parsed. On a kernel that takes a tenth of a second where
 * parsing everything takes many. Units whose strings go through an index (DW_FORM_strx) are walked entry by entry.
 */

import type { Abbreviation } from './abbreviations.ts'
import * as C from './constants.ts'
import type { Die } from './die.ts'
import { isStringIndex } from './forms.ts'
import type { Unit, UnitHeader } from './unit.ts'
import { MAX_DEPTH } from './unit.ts'
import type { UnitList } from './unit-list.ts'

/** Bytes of the section that are searched at a time. */
const CHUNK = 4 << 20

export interface NameQuery {
  readonly name: string
  readonly tags: ReadonlySet<number>
  /** Whether entries that only declare something are wanted too. */
  readonly declarations: boolean
}

/** Entries of the name, ascending by offset. The caller stops when it has enough: the rest is not searched then. */
export function* findByName(list: UnitList, query: NameQuery): Generator<Die> {
  const { section } = list
  if (section === undefined || query.name === '' || query.name.includes('\0')) return
  const patterns = patternsOf(list, query.name)
  const indexed = list.sections.strOffsets.length > 0
  if (indexed) {
    for (const header of list.headers) {
      const unit = list.unit(header)
      if (usesStringIndex(unit)) yield* walk(unit, query)
    }
  }
  if (patterns.length === 0) return
  const longest = Math.max(...patterns.map(pattern => pattern.length))
  const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK + longest, section.size))
  const seen = new Set<number>()
  for (let start = 0; start < section.size; start += CHUNK) {
    const bytes = chunk.subarray(0, Math.min(chunk.length, section.size - start))
    section.readInto(bytes, start)
    for (const hit of hitsIn(bytes, patterns, Math.min(CHUNK, bytes.length))) {
      const die = verify(list, start + hit, query)
      if (die === undefined || seen.has(die.offset)) continue
      seen.add(die.offset)
      yield die
    }
  }
}

/** What an entry of the name contains: the offset of the string, in either size, or the string itself. */
function patternsOf(list: UnitList, name: string): Buffer[] {
  const text = Buffer.from(`${name}\0`)
  const patterns: Buffer[] = [text]
  const sizes = new Set(list.headers.map(header => header.offsetSize))
  for (const table of [list.sections.str, list.sections.lineStr]) {
    for (let at = table.indexOf(text); at >= 0; at = table.indexOf(text, at + 1)) {
      // Linkers let a string be the end of another: its beginning need not follow a NUL.
      for (const size of sizes) {
        const pattern = Buffer.alloc(size)
        pattern.writeUInt32LE(at)
        patterns.push(pattern)
      }
    }
  }
  return patterns
}

function* hitsIn(bytes: Buffer, patterns: readonly Buffer[], limit: number): Generator<number> {
  const hits: number[] = []
  for (const pattern of patterns) {
    for (let at = bytes.indexOf(pattern); at >= 0 && at < limit; at = bytes.indexOf(pattern, at + 1)) hits.push(at)
  }
  yield* hits.sort((a, b) => a - b)
}

/** The wanted entry whose name lies at `offset` of the section, if there is one. */
function verify(list: UnitList, offset: number, query: NameQuery): Die | undefined {
  const header = list.headerAround(offset)
  if (header === undefined) return undefined
  const unit = list.unit(header)
  for (const start of possibleStarts(unit, header, offset, query)) {
    const die = unit.pathTo(start)?.at(-1)
    if (die !== undefined && isWanted(die, query)) return die
  }
  return undefined
}

/**
 * Where an entry could begin whose name lies at `offset`: those of its unit's abbreviations that fit the bytes before
 * it. That costs little, and few of the hits in a section pass it without being what is wanted.
 */
function* possibleStarts(unit: Unit, header: UnitHeader, offset: number, query: NameQuery): Generator<number> {
  const at = offset - header.offset
  for (const abbreviation of wantedAbbreviations(unit, query)) {
    const distance = abbreviation.offsets[abbreviation.attributes.indexOf(C.DW_AT_name)]
    if (distance < 0) {
      // Behind a value of variable size: only the tree itself tells.
      const around = unit.entryAround(offset)
      if (around !== undefined) yield around.offset
      continue
    }
    const codeLength = lebLength(abbreviation.code)
    const start = at - distance - codeLength
    if (start < header.headerSize) continue
    if (unit.readerAt(start).uleb() === abbreviation.code) yield header.offset + start
  }
}

const wantedCache = new WeakMap<object, Map<NameQuery, readonly Abbreviation[]>>()

function wantedAbbreviations(unit: Unit, query: NameQuery): readonly Abbreviation[] {
  let byQuery = wantedCache.get(unit.abbreviations)
  if (byQuery === undefined) wantedCache.set(unit.abbreviations, (byQuery = new Map()))
  let wanted = byQuery.get(query)
  if (wanted === undefined) {
    wanted = [...unit.abbreviations.values()].filter(
      ({ tag, attributes }) =>
        query.tags.has(tag) &&
        attributes.includes(C.DW_AT_name) &&
        (query.declarations || !attributes.includes(C.DW_AT_declaration)),
    )
    byQuery.clear()
    byQuery.set(query, wanted)
  }
  return wanted
}

function isWanted(die: Die, query: NameQuery): boolean {
  if (!query.tags.has(die.tag) || die.string(C.DW_AT_name) !== query.name) return false
  return query.declarations || !die.flag(C.DW_AT_declaration)
}

function usesStringIndex(unit: Unit): boolean {
  for (const { attributes, forms } of unit.abbreviations.values()) {
    if (attributes.some((attribute, index) => attribute === C.DW_AT_name && isStringIndex(forms[index]))) return true
  }
  return false
}

function* walk(unit: Unit, query: NameQuery): Generator<Die> {
  const open = [unit.children(unit.root)]
  while (open.length > 0) {
    const next = open[open.length - 1].next()
    if (next.done) {
      open.pop()
      continue
    }
    const die = next.value
    if (isWanted(die, query)) yield die
    if (die.abbreviation.hasChildren && open.length < MAX_DEPTH) open.push(unit.children(die))
  }
}

function lebLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}
