/**
 * Finds entries by name without an index: the name is looked up in the section of strings, its offset is searched in
 * the bytes of the entries, and only the units with a hit are parsed. On a kernel that takes a tenth of a second where
 * parsing everything takes many. Units whose strings go through an index (DW_FORM_strx) are walked entry by entry.
 */

import { DwarfError } from '../elf/elf-error.ts'
import type { Abbreviation, AbbreviationTable } from './abbreviations.ts'
import * as C from './constants.ts'
import type { Die } from './die.ts'
import { isStringIndex } from './forms.ts'
import type { Unit, UnitHeader } from './unit.ts'
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
  const pattern = new NamePattern(list, query.name)
  const indexed = list.sections.strOffsets.length > 0
  if (indexed) {
    for (const header of list.headers) {
      const unit = list.unit(header)
      if (usesStringIndex(unit)) yield* walk(unit, query)
    }
  }
  const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK + pattern.longest, section.size))
  const seen = new Set<number>()
  for (let start = 0; start < section.size; start += CHUNK) {
    const bytes = chunk.subarray(0, Math.min(chunk.length, section.size - start))
    section.readInto(bytes, start)
    for (const hit of pattern.hitsIn(bytes, Math.min(CHUNK, bytes.length))) {
      const die = verify(list, hit, query, { bytes, start })
      if (die === undefined || seen.has(die.offset)) continue
      seen.add(die.offset)
      yield die
    }
  }
}

/**
 * What an entry of the name contains: the string itself, or its offset in a section of strings. The 64-bit format's
 * offsets begin with the same four bytes.
 */
class NamePattern {
  readonly longest: number
  readonly #text: Buffer
  readonly #offsets: readonly number[]
  /** A bit for each offset, when they are many. */
  readonly #bits: Uint8Array | undefined

  constructor(list: UnitList, name: string) {
    this.#text = Buffer.from(`${name}\0`)
    const offsets = new Set<number>()
    for (const table of [list.sections.str, list.sections.lineStr]) {
      // Linkers let a string be the end of another, so its beginning need not follow a NUL.
      for (let at = table.indexOf(this.#text); at >= 0; at = table.indexOf(this.#text, at + 1)) offsets.add(at)
    }
    this.#offsets = [...offsets].sort((a, b) => a - b)
    this.longest = Math.max(this.#text.length, 4)
    if (this.#offsets.length > FEW_OFFSETS) this.#bits = bitsOf(this.#offsets)
  }

  /** Occurrences that begin below `limit`, ascending. */
  hitsIn(bytes: Buffer, limit: number): Hit[] {
    const references: number[] = []
    if (this.#bits !== undefined) {
      windows(bytes, this.#bits, limit, references)
    } else {
      const pattern = Buffer.alloc(4)
      for (const offset of this.#offsets) {
        pattern.writeUInt32LE(offset)
        references.push(...occurrences(bytes, pattern, limit))
      }
    }
    const texts = occurrences(bytes, this.#text, limit).map(at => ({ at, isText: true }))
    return [...texts, ...references.map(at => ({ at, isText: false }))].sort((a, b) => a.at - b.at)
  }
}

/** Where a name may be that is looked for: the string itself, or a reference to it. */
interface Hit {
  readonly at: number
  readonly isText: boolean
}

/** A short name is the end of thousands of strings; so many offsets are quicker found all at once than one by one. */
const FEW_OFFSETS = 4

function bitsOf(offsets: readonly number[]): Uint8Array {
  const bits = new Uint8Array((offsets[offsets.length - 1] >>> 3) + 1)
  for (const offset of offsets) bits[offset >>> 3] |= 1 << (offset & 7)
  return bits
}

function occurrences(bytes: Buffer, pattern: Buffer, limit: number): number[] {
  const hits: number[] = []
  for (let at = bytes.indexOf(pattern); at >= 0 && at < limit; at = bytes.indexOf(pattern, at + 1)) hits.push(at)
  return hits
}

/** Where four bytes are an offset with its bit set. */
function windows(bytes: Buffer, bits: Uint8Array, limit: number, hits: number[]): void {
  const end = Math.min(limit + 3, bytes.length)
  const highest = bits.length * 8
  let value = 0
  for (let at = 0; at < end; at++) {
    value = ((value >>> 8) | (bytes[at] << 24)) >>> 0
    if (value < highest && at >= 3 && (bits[value >>> 3] & (1 << (value & 7))) !== 0) hits.push(at - 3)
  }
}

/** A piece of the section, from an offset of it on. */
interface Piece {
  readonly bytes: Buffer
  readonly start: number
}

/** The wanted entry whose name a hit in a piece is, if there is one. */
function verify(list: UnitList, hit: Hit, query: NameQuery, piece: Piece): Die | undefined {
  const header = list.headerAround(piece.start + hit.at)
  if (header === undefined) return undefined
  for (const start of possibleStarts(list, header, hit, query, piece)) {
    const unit = list.unit(header)
    if (!looksWanted(unit, start, query)) continue
    const die = unit.pathTo(start)?.at(-1)
    if (die !== undefined && isWanted(die, query)) return die
  }
  return undefined
}

/**
 * Whether the bytes at `offset`, taken for an entry, are a wanted one that refers to entries of its unit only. Short
 * names occur a million times in a kernel by accident; walking a unit's tree tells for certain, but takes longer.
 */
function looksWanted(unit: Unit, offset: number, query: NameQuery): boolean {
  try {
    const die = unit.dieAt(offset)
    if (!isWanted(die, query)) return false
    return REFERENCES.every(attribute => {
      if (die.form(attribute) !== C.DW_FORM_ref4) return true
      const target = die.referenceOffset(attribute)
      return target >= unit.header.headerSize && target <= unit.header.size
    })
  } catch (error) {
    if (error instanceof DwarfError) return false
    throw error
  }
}

const REFERENCES: readonly number[] = [C.DW_AT_sibling, C.DW_AT_type]

/**
 * Where an entry could begin whose name is a hit: those of its unit's abbreviations that fit the bytes before it. That
 * costs little, and few of the hits in a section pass it without being what is wanted.
 */
function* possibleStarts(
  list: UnitList,
  header: UnitHeader,
  { at, isText }: Hit,
  query: NameQuery,
  piece: Piece,
): Generator<number> {
  const offset = piece.start + at
  for (const abbreviation of wantedAbbreviations(list.abbreviations.at(header.abbreviationOffset, header), query)) {
    const name = abbreviation.attributes.indexOf(C.DW_AT_name)
    const form = abbreviation.forms[name]
    if (form !== C.DW_FORM_indirect && (form === C.DW_FORM_string) !== isText) continue
    const distance = abbreviation.offsets[name]
    if (distance < 0) {
      // Behind a value of variable size: only the tree itself tells.
      const around = list.unit(header).entryAround(offset)
      if (around !== undefined) yield around.offset
      continue
    }
    const start = offset - distance - lebLength(abbreviation.code)
    if (start >= header.offset + header.headerSize && mayBeCode(piece, start, abbreviation.code)) yield start
  }
}

/** Does an abbreviation's code, as ULEB128, stand at an offset of the section? What lies before the piece is not known. */
function mayBeCode({ bytes, start }: Piece, offset: number, code: number): boolean {
  let at = offset - start
  if (at < 0) return true
  for (let rest = code; ; rest = Math.floor(rest / 0x80)) {
    if (bytes[at++] !== (rest < 0x80 ? rest : (rest % 0x80) | 0x80)) return false
    if (rest < 0x80) return true
  }
}

const wantedCache = new WeakMap<object, Map<NameQuery, readonly Abbreviation[]>>()

function wantedAbbreviations(table: AbbreviationTable, query: NameQuery): readonly Abbreviation[] {
  let byQuery = wantedCache.get(table)
  if (byQuery === undefined) wantedCache.set(table, (byQuery = new Map()))
  let wanted = byQuery.get(query)
  if (wanted === undefined) {
    wanted = [...table.values()].filter(
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
  for (const die of unit.descendants()) if (isWanted(die, query)) yield die
}

function lebLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}
