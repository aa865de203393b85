/** A unit of `.debug_info` or `.debug_types`: its header, and the tree of entries in it (DWARF 5, 3.1 and 7.5.1). */

import { DwarfError } from '../elf/elf-error.ts'
import type { AbbreviationTable } from './abbreviations.ts'
import * as C from './constants.ts'
import { Die } from './die.ts'
import { DwarfReader, stringAt } from './dwarf-reader.ts'
import { skipForm, type UnitFormat } from './forms.ts'
import type { UnitList } from './unit-list.ts'
import type { UnitSections } from './unit-sections.ts'

/** Deeper than any program nests blocks and types; bounds recursion over a hostile tree. */
export const MAX_DEPTH = 256

export interface UnitHeader extends UnitFormat {
  /** Of the unit in its section. */
  readonly offset: number
  /** Of the unit with its header, in bytes. */
  readonly size: number
  readonly kind: 'compile' | 'type' | 'partial' | 'skeleton'
  readonly abbreviationOffset: number
  /** Bytes of the header. */
  readonly headerSize: number
  /** Of a type unit: its signature, and where in the unit the type is. */
  readonly type: { readonly signature: bigint; readonly offset: number } | undefined
}

export class Unit implements UnitFormat {
  readonly list: UnitList
  readonly sections: UnitSections
  readonly header: UnitHeader
  readonly version: number
  readonly addressSize: number
  readonly offsetSize: 4 | 8
  /** In the section. */
  readonly offset: number
  readonly bytes: Buffer
  readonly what: string
  readonly #abbreviations: AbbreviationTable
  #root: Die | undefined
  #topLevel: Uint32Array | undefined

  constructor(list: UnitList, header: UnitHeader, bytes: Buffer) {
    this.list = list
    this.sections = list.sections
    this.header = header
    this.version = header.version
    this.addressSize = header.addressSize
    this.offsetSize = header.offsetSize
    this.offset = header.offset
    this.bytes = bytes
    this.what = `${list.name}: unit at 0x${header.offset.toString(16)}`
    this.#abbreviations = list.abbreviations.at(header.abbreviationOffset, header)
  }

  get end(): number {
    return this.offset + this.header.size
  }

  get root(): Die {
    this.#root ??= this.dieAt(this.offset + this.header.headerSize)
    return this.#root
  }

  get abbreviations(): AbbreviationTable {
    return this.#abbreviations
  }

  readerAt(at: number): DwarfReader {
    return new DwarfReader(this.bytes, this.what, at)
  }

  /** The entry at an offset of the section, which must be where one begins. Throws DwarfError for one that can't be. */
  dieAt(offset: number): Die {
    if (offset < this.offset + this.header.headerSize || offset >= this.end) {
      throw new DwarfError(`${this.what}: no entry of it lies at 0x${offset.toString(16)}`)
    }
    const die = this.#parse(offset - this.offset)
    if (die === undefined) throw new DwarfError(`${this.what}: no entry begins at 0x${offset.toString(16)}`)
    return die
  }

  *children(parent: Die): Generator<Die> {
    if (!parent.abbreviation.hasChildren) return
    let at = this.#endOfValues(parent)
    // A unit's last list of children may end with the unit instead of a null entry.
    while (at < this.bytes.length) {
      const die = this.#parse(at)
      if (die === undefined) return
      yield die
      at = this.#endOfTree(die)
    }
  }

  /** All entries below the root, each before its children. @param opens are the children of an entry looked at? */
  *descendants(opens: (die: Die) => boolean = () => true): Generator<Die> {
    const open = [this.children(this.root)]
    while (open.length > 0) {
      const next = open[open.length - 1].next()
      if (next.done) {
        open.pop()
        continue
      }
      const die = next.value
      yield die
      if (die.abbreviation.hasChildren && open.length < MAX_DEPTH && opens(die)) open.push(this.children(die))
    }
  }

  /** The entries from below the root down to the one at `offset`, last; undefined when none begins there. */
  pathTo(offset: number): Die[] | undefined {
    const path: Die[] = []
    let parent = this.root
    if (offset === parent.offset) return path
    while (path.length < MAX_DEPTH) {
      const child = this.#childAround(parent, offset)
      if (child === undefined) return undefined
      path.push(child)
      if (child.offset === offset) return path
      parent = child
    }
    return undefined
  }

  /** The innermost entry that begins at or before an offset of the section and whose parent's tree contains it. */
  entryAround(offset: number): Die | undefined {
    let found: Die | undefined
    let parent = this.root
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const child = this.#childAround(parent, offset)
      if (child === undefined) break
      found = child
      parent = child
    }
    return found
  }

  /** The names of the namespaces, modules and types around an entry, outermost first. */
  namespacesOf(die: Die): string[] {
    const path = this.pathTo(die.offset) ?? []
    return path.slice(0, -1).flatMap(outer => (NAMING_TAGS.has(outer.tag) ? [outer.name ?? '(anonymous)'] : []))
  }

  indexedString(index: number): string {
    const base = this.root.listOffset(C.DW_AT_str_offsets_base)?.offset ?? this.offsetSize * 2
    const at = base + index * this.offsetSize
    const offsets = this.sections.strOffsets
    if (at + this.offsetSize > offsets.length) throw new DwarfError(`${this.what}: string ${index} does not exist`)
    const offset = new DwarfReader(offsets, '.debug_str_offsets', at).offset(this.offsetSize)
    return stringAt(this.sections.str, offset, '.debug_str')
  }

  indexedAddress(index: number): bigint {
    const base = this.root.listOffset(C.DW_AT_addr_base)?.offset ?? 8
    const at = base + index * this.addressSize
    const addresses = this.sections.addresses
    if (at + this.addressSize > addresses.length) throw new DwarfError(`${this.what}: address ${index} does not exist`)
    return new DwarfReader(addresses, '.debug_addr', at).address(this.addressSize)
  }

  get language(): 'c' | 'c++' | 'rust' | 'assembly' | 'other' {
    switch (this.root.number(C.DW_AT_language)) {
      case C.DW_LANG_C:
      case C.DW_LANG_C89:
      case C.DW_LANG_C99:
      case C.DW_LANG_C11:
        return 'c'
      case C.DW_LANG_C_plus_plus:
      case C.DW_LANG_C_plus_plus_03:
      case C.DW_LANG_C_plus_plus_11:
      case C.DW_LANG_C_plus_plus_14:
        return 'c++'
      case C.DW_LANG_Rust:
        return 'rust'
      case C.DW_LANG_Mips_Assembler:
        return 'assembly'
      default:
        return 'other'
    }
  }

  /** Undefined for the null entry that ends a list of children. */
  #parse(at: number): Die | undefined {
    const reader = this.readerAt(at)
    const code = reader.uleb()
    if (code === 0) return undefined
    const abbreviation = this.#abbreviations.get(code)
    if (abbreviation === undefined) {
      throw new DwarfError(`${this.what}: abbreviation ${code} at 0x${(this.offset + at).toString(16)} does not exist`)
    }
    return new Die(this, this.offset + at, abbreviation, reader.at)
  }

  #endOfValues(die: Die): number {
    const { offsets, forms } = die.abbreviation
    const size = offsets[forms.length]
    if (size >= 0) return die.values + size
    let from = forms.length
    while (offsets[from] < 0) from--
    const reader = this.readerAt(die.values + offsets[from])
    for (; from < forms.length; from++) skipForm(reader, forms[from], this)
    return reader.at
  }

  /** Where the entry after `die` and everything in it begins, in the unit's bytes. */
  #endOfTree(die: Die): number {
    let at = this.#endOfValues(die)
    if (!die.abbreviation.hasChildren) return at
    const sibling = this.#sibling(die, at)
    if (sibling !== undefined) return sibling
    for (let depth = 1; depth > 0 && at < this.bytes.length; ) {
      const next = this.#parse(at)
      if (next === undefined) {
        depth--
        at++
        continue
      }
      at = this.#endOfValues(next)
      if (!next.abbreviation.hasChildren) continue
      const end = this.#sibling(next, at)
      if (end === undefined) depth++
      else at = end
    }
    return at
  }

  /** What DW_AT_sibling says, as long as it leads forward and stays inside. */
  #sibling(die: Die, endOfValues: number): number | undefined {
    const { sibling, forms, offsets } = die.abbreviation
    if (sibling < 0 || offsets[sibling] < 0 || forms[sibling] !== C.DW_FORM_ref4) return undefined
    const at = this.readerAt(die.values + offsets[sibling]).u32()
    if (at < endOfValues || at > this.bytes.length) {
      throw new DwarfError(`${this.what}: the sibling of 0x${die.offset.toString(16)} lies outside or before it`)
    }
    return at
  }

  /** The last child that begins at or before an offset. */
  #childAround(parent: Die, offset: number): Die | undefined {
    if (parent === this.#root) return this.#topLevelAround(offset)
    let last: Die | undefined
    for (const child of this.children(parent)) {
      if (child.offset > offset) break
      last = child
    }
    return last
  }

  /** A unit has thousands of entries at its top: their offsets are kept. */
  #topLevelAround(offset: number): Die | undefined {
    this.#topLevel ??= Uint32Array.from(this.children(this.root), die => die.offset - this.offset)
    const wanted = offset - this.offset
    let low = 0
    let high = this.#topLevel.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#topLevel[middle] <= wanted) low = middle + 1
      else high = middle
    }
    return low === 0 ? undefined : this.#parse(this.#topLevel[low - 1])
  }
}

const NAMING_TAGS: ReadonlySet<number> = new Set([
  C.DW_TAG_namespace,
  C.DW_TAG_module,
  C.DW_TAG_structure_type,
  C.DW_TAG_union_type,
  C.DW_TAG_class_type,
  C.DW_TAG_enumeration_type,
])
