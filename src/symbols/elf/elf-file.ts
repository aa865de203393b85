/**
 * An ELF32 or ELF64 file, read lazily: the constructor looks at the file header only, everything else is read and
 * checked when it is asked for (and of a file on disk only that is read), so that a file whose debugging part is broken still loads, and the other way round.
 * All of it throws {@link ElfError}.
 */

import { BoundedReader } from './bounded-reader.ts'
import {
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  NT_GNU_BUILD_ID,
  PN_XNUM,
  PT_NOTE,
  SHN_XINDEX,
  SHT_DYNSYM,
  SHT_NOBITS,
  SHT_NOTE,
  SHT_SYMTAB,
} from './constants.ts'
import { ElfError } from './elf-error.ts'
import { FileSource } from './file-source.ts'
import { type ElfNote, parseNotes } from './notes.ts'
import { type ElfSymbol, parseSymbols } from './symbols.ts'

/** A program header. File offsets and sizes are in bytes. */
export interface ElfSegment {
  readonly index: number
  readonly type: number
  readonly flags: number
  readonly offset: number
  readonly virtual: bigint
  readonly physical: bigint
  readonly fileSize: number
  readonly memorySize: number
  readonly align: number
}

export interface ElfSection {
  readonly index: number
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly address: bigint
  readonly offset: number
  readonly size: number
  readonly link: number
  readonly info: number
  readonly align: number
  readonly entrySize: number
}

type UnnamedSection = Omit<ElfSection, 'name'> & { readonly nameOffset: number }

/** Offsets of the fields that differ between the classes (gABI, figures 4-3, 4-8 and 5-1). */
const LAYOUTS = {
  32: { header: 52, segment: 32, section: 40 },
  64: { header: 64, segment: 56, section: 64 },
} as const

export class ElfFile {
  readonly bits: 32 | 64
  readonly type: number
  readonly machine: number
  readonly entry: bigint
  readonly source: FileSource
  readonly #programHeaders: { offset: number; entrySize: number; count: number }
  readonly #sectionHeaders: { offset: number; entrySize: number; count: number; names: number }
  #segments: readonly ElfSegment[] | undefined
  #sections: readonly ElfSection[] | undefined

  constructor(file: Uint8Array | FileSource) {
    this.source = file instanceof FileSource ? file : FileSource.of(file)
    const start = this.source.read(0, Math.min(this.source.size, LAYOUTS[64].header), 'ELF header')
    const reader = new BoundedReader(start)
    if (!ElfFile.hasMagic(start)) throw new ElfError('not an ELF file: it does not begin with 7F "ELF"')
    const elfClass = reader.u8(4, 'ELF header')
    if (elfClass !== ELFCLASS32 && elfClass !== ELFCLASS64) {
      throw new ElfError(`ELF header: class ${elfClass} is neither 32-bit nor 64-bit`)
    }
    if (reader.u8(5, 'ELF header') !== ELFDATA2LSB) throw new ElfError('ELF header: the file is not little-endian')
    this.bits = elfClass === ELFCLASS32 ? 32 : 64
    this.source.check(0, LAYOUTS[this.bits].header, 'ELF header')
    this.type = reader.u16(16, 'ELF header')
    this.machine = reader.u16(18, 'ELF header')
    const wide = this.bits === 64
    this.entry = wide ? reader.u64(24, 'entry point') : BigInt(reader.u32(24, 'entry point'))
    const counts = wide ? 54 : 42
    this.#programHeaders = {
      offset: wide ? reader.size64(32, 'program header offset') : reader.u32(28, 'program header offset'),
      entrySize: reader.u16(counts, 'ELF header'),
      count: reader.u16(counts + 2, 'ELF header'),
    }
    this.#sectionHeaders = {
      offset: wide ? reader.size64(40, 'section header offset') : reader.u32(32, 'section header offset'),
      entrySize: reader.u16(counts + 4, 'ELF header'),
      count: reader.u16(counts + 6, 'ELF header'),
      names: reader.u16(counts + 8, 'ELF header'),
    }
  }

  static hasMagic(bytes: Uint8Array): boolean {
    return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  }

  /** The program headers. */
  get segments(): readonly ElfSegment[] {
    this.#segments ??= this.#readSegments()
    return this.#segments
  }

  get sections(): readonly ElfSection[] {
    this.#sections ??= this.#readSections()
    return this.#sections
  }

  section(name: string): ElfSection | undefined {
    return this.sections.find(section => section.name === name)
  }

  /** The section headers as the file has them; undefined when it has none. */
  sectionTable(): { bytes: Uint8Array; entrySize: number; names: number } | undefined {
    const { offset, entrySize, names } = this.#sectionHeaders
    const count = this.sections.length
    if (count === 0) return undefined
    return { bytes: this.source.read(offset, count * entrySize, 'table of section headers'), entrySize, names }
  }

  /** What the file holds of a section, compressed or not; empty for one without contents, such as `.bss`. */
  sectionBytes(section: ElfSection): Uint8Array {
    if (section.type === SHT_NOBITS) return new Uint8Array(0)
    return this.source.read(section.offset, section.size, `section ${section.index} (${section.name})`)
  }

  /** What the file holds of a segment. */
  segmentBytes(segment: ElfSegment): Uint8Array {
    return this.source.read(segment.offset, segment.fileSize, `program header ${segment.index}`)
  }

  /** The symbols of `.symtab`, or of `.dynsym` where the file is stripped of the former. */
  symbols(): readonly ElfSymbol[] {
    const table =
      this.sections.find(section => section.type === SHT_SYMTAB) ??
      this.sections.find(section => section.type === SHT_DYNSYM)
    if (!table) return []
    const strings = this.sections[table.link]
    if (!strings)
      throw new ElfError(`section ${table.index} (${table.name}): its string table ${table.link} does not exist`)
    return parseSymbols(this.sectionBytes(table), this.sectionBytes(strings), this.bits)
  }

  /** Notes of the note segments, or of the note sections where there are no such segments. */
  *notes(): Generator<ElfNote> {
    let found = false
    for (const segment of this.segments) {
      if (segment.type !== PT_NOTE) continue
      found = true
      yield* parseNotes(this.segmentBytes(segment), segment.align, `note segment ${segment.index}`)
    }
    if (found) return
    for (const section of this.sections) {
      if (section.type === SHT_NOTE)
        yield* parseNotes(this.sectionBytes(section), section.align, `section ${section.name}`)
    }
  }

  note(name: string, type: number): ElfNote | undefined {
    for (const note of this.notes()) if (note.name === name && note.type === type) return note
    return undefined
  }

  /** The build id in hexadecimal, which ties a program to its debugging information. */
  get buildId(): string | undefined {
    const note = this.note('GNU', NT_GNU_BUILD_ID)
    return note && Array.from(note.description, byte => byte.toString(16).padStart(2, '0')).join('')
  }

  #readSegments(): readonly ElfSegment[] {
    const { offset, entrySize } = this.#programHeaders
    let { count } = this.#programHeaders
    if (count === PN_XNUM) count = this.#firstSectionHeader().info
    if (count === 0) return []
    if (entrySize < LAYOUTS[this.bits].segment) {
      throw new ElfError(`ELF header: program headers of ${entrySize} bytes are too small`)
    }
    const reader = new BoundedReader(this.source.read(offset, count * entrySize, `table of ${count} program headers`))
    return Array.from({ length: count }, (_, index) => this.#segment(reader, index, index * entrySize))
  }

  #segment(reader: BoundedReader, index: number, at: number): ElfSegment {
    const what = `program header ${index}`
    const type = reader.u32(at, what)
    if (this.bits === 32) {
      return {
        index,
        type,
        offset: reader.u32(at + 4, what),
        virtual: BigInt(reader.u32(at + 8, what)),
        physical: BigInt(reader.u32(at + 12, what)),
        fileSize: reader.u32(at + 16, what),
        memorySize: reader.u32(at + 20, what),
        flags: reader.u32(at + 24, what),
        align: reader.u32(at + 28, what),
      }
    }
    return {
      index,
      type,
      flags: reader.u32(at + 4, what),
      offset: reader.size64(at + 8, what),
      virtual: reader.u64(at + 16, what),
      physical: reader.u64(at + 24, what),
      fileSize: reader.size64(at + 32, what),
      memorySize: reader.size64(at + 40, what),
      align: reader.size64(at + 48, what),
    }
  }

  #readSections(): readonly ElfSection[] {
    const { offset, entrySize } = this.#sectionHeaders
    if (offset === 0) return []
    const first = this.#firstSectionHeader()
    const count = this.#sectionHeaders.count || first.size
    const names = this.#sectionHeaders.names === SHN_XINDEX ? first.link : this.#sectionHeaders.names
    const reader = new BoundedReader(this.source.read(offset, count * entrySize, `table of ${count} section headers`))
    const unnamed = Array.from({ length: count }, (_, index) => this.#sectionHeader(reader, index, index * entrySize))
    const table = unnamed[names]
    if (names === 0 || !table) return unnamed.map(section => ({ ...section, name: '' }))
    const strings = this.source.read(table.offset, table.size, 'section name table')
    return unnamed.map(section => ({
      ...section,
      name: BoundedReader.string(strings, section.nameOffset, `name of section ${section.index}`),
    }))
  }

  #firstSectionHeader(): UnnamedSection {
    const { offset, entrySize } = this.#sectionHeaders
    if (entrySize < LAYOUTS[this.bits].section) {
      throw new ElfError(`ELF header: section headers of ${entrySize} bytes are too small`)
    }
    return this.#sectionHeader(new BoundedReader(this.source.read(offset, entrySize, 'section header 0')), 0, 0)
  }

  #sectionHeader(reader: BoundedReader, index: number, at: number): UnnamedSection {
    const what = `section header ${index}`
    const common = { index, nameOffset: reader.u32(at, what), type: reader.u32(at + 4, what) }
    if (this.bits === 32) {
      return {
        ...common,
        flags: reader.u32(at + 8, what),
        address: BigInt(reader.u32(at + 12, what)),
        offset: reader.u32(at + 16, what),
        size: reader.u32(at + 20, what),
        link: reader.u32(at + 24, what),
        info: reader.u32(at + 28, what),
        align: reader.u32(at + 32, what),
        entrySize: reader.u32(at + 36, what),
      }
    }
    return {
      ...common,
      flags: reader.size64(at + 8, what),
      address: reader.u64(at + 16, what),
      offset: reader.size64(at + 24, what),
      size: reader.size64(at + 32, what),
      link: reader.u32(at + 40, what),
      info: reader.u32(at + 44, what),
      align: reader.size64(at + 48, what),
      entrySize: reader.size64(at + 56, what),
    }
  }
}
