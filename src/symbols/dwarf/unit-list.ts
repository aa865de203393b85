/** All units of a file: found by a quick walk over their lengths, each read when it is looked into. */

import { DwarfError } from '../elf/elf-error.ts'
import type { SectionContents } from '../elf/section-contents.ts'
import type { AbbreviationTables } from './abbreviations.ts'
import * as C from './constants.ts'
import type { Die } from './die.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { Unit, type UnitHeader } from './unit.ts'
import type { UnitSections } from './unit-sections.ts'

/** Units kept in memory, in bytes of their entries. */
const KEPT_BYTES = 48 << 20

/** The longest header: a type unit's in the 64-bit format. */
const LONGEST_HEADER = 40

export class UnitList {
  readonly name: string
  readonly sections: UnitSections
  readonly abbreviations: AbbreviationTables
  readonly section: SectionContents | undefined
  readonly #types: () => UnitList
  readonly #headers: UnitHeaders | undefined
  readonly #kept = new Map<number, Unit>()
  #keptBytes = 0
  #bySignature: Map<bigint, UnitHeader> | undefined

  /** @param types the list of `.debug_types`, where signatures are looked for too. */
  constructor(
    name: '.debug_info' | '.debug_types',
    sections: UnitSections,
    abbreviations: AbbreviationTables,
    types: () => UnitList,
  ) {
    this.name = name
    this.sections = sections
    this.abbreviations = abbreviations
    this.section = sections.named(name)
    this.#headers = this.section && new UnitHeaders(this.section, name)
    this.#types = types
  }

  /** Ascending by offset, without gaps or overlaps. */
  get headers(): readonly UnitHeader[] {
    return this.#headers?.all() ?? []
  }

  /** undefined when there is none. */
  get firstHeader(): UnitHeader | undefined {
    return this.#headers?.around(0)
  }

  /** Read from the file unless it was lately. */
  unit(header: UnitHeader): Unit {
    const known = this.#kept.get(header.offset)
    if (known !== undefined) {
      this.#kept.delete(header.offset)
      this.#kept.set(header.offset, known)
      return known
    }
    if (this.section === undefined) throw new DwarfError(`${this.name}: is missing`)
    const unit = new Unit(this, header, this.section.read(header.offset, header.size))
    this.#kept.set(header.offset, unit)
    this.#keptBytes += header.size
    for (const [offset, old] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES || old === unit) break
      this.#kept.delete(offset)
      this.#keptBytes -= old.header.size
    }
    return unit
  }

  /** The unit that an offset of the section lies in. */
  headerAround(offset: number): UnitHeader | undefined {
    return this.#headers?.around(offset)
  }

  /** Throws DwarfError when no entry lies there. */
  dieAt(offset: number): Die {
    const header = this.headerAround(offset)
    if (header === undefined) throw new DwarfError(`${this.name}: no unit lies at 0x${offset.toString(16)}`)
    return this.unit(header).dieAt(offset)
  }

  /** The type of a type unit; undefined when the file has no such unit. */
  typeBySignature(signature: bigint): Die | undefined {
    return this.#ownType(signature) ?? this.#types().#ownType(signature)
  }

  #ownType(signature: bigint): Die | undefined {
    if (this.#bySignature === undefined) {
      this.#bySignature = new Map()
      for (const header of this.headers) if (header.type) this.#bySignature.set(header.type.signature, header)
    }
    const header = this.#bySignature.get(signature)
    if (header?.type === undefined) return undefined
    return this.unit(header).dieAt(header.offset + header.type.offset)
  }
}

/** The headers of a section, found from the first on as far as they are asked for: a kernel has thousands. */
class UnitHeaders {
  readonly #section: SectionContents
  readonly #name: string
  readonly #found: UnitHeader[] = []
  readonly #buffer = Buffer.alloc(LONGEST_HEADER)
  /** Where the next one begins; undefined behind the last. */
  #next: number | undefined = 0

  constructor(section: SectionContents, name: string) {
    this.#section = section
    this.#name = name
  }

  all(): readonly UnitHeader[] {
    this.#findUpTo(Number.POSITIVE_INFINITY)
    return this.#found
  }

  around(offset: number): UnitHeader | undefined {
    this.#findUpTo(offset)
    let low = 0
    let high = this.#found.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#found[middle].offset <= offset) low = middle + 1
      else high = middle
    }
    const header = this.#found[low - 1]
    return header !== undefined && offset < header.offset + header.size ? header : undefined
  }

  #findUpTo(wanted: number): void {
    while (this.#next !== undefined && this.#next <= wanted) {
      const header = this.#read(this.#next)
      if (header !== undefined) this.#found.push(header)
      this.#next = header && header.offset + header.size
    }
  }

  /** undefined at the end of the section. */
  #read(offset: number): UnitHeader | undefined {
    const rest = this.#section.size - offset
    const count = Math.min(LONGEST_HEADER, rest)
    // Padding between units is no unit (gas aligns some sections).
    if (count < 4) return undefined
    this.#section.readInto(this.#buffer.subarray(0, count), offset)
    const what = `${this.#name}: unit at 0x${offset.toString(16)}`
    const header = parseHeader(new DwarfReader(this.#buffer, what, 0, count), offset, this.#name === '.debug_types')
    if (header.size > rest) throw new DwarfError(`${what}: reaches past the section's end`)
    return header
  }
}

function parseHeader(reader: DwarfReader, offset: number, typesSection: boolean): UnitHeader {
  const { length, offsetSize } = reader.initialLength()
  const size = length + reader.at
  const version = reader.u16()
  if (version < 2 || version > 5) reader.fail(`version ${version} of DWARF is not known`)
  let unitType = typesSection ? C.DW_UT_type : C.DW_UT_compile
  let addressSize: number
  let abbreviationOffset: number
  if (version >= 5) {
    unitType = reader.u8()
    addressSize = reader.u8()
    abbreviationOffset = reader.offset(offsetSize)
  } else {
    abbreviationOffset = reader.offset(offsetSize)
    addressSize = reader.u8()
  }
  if (addressSize !== 4 && addressSize !== 8) reader.fail(`addresses of ${addressSize} bytes are not known`)
  let type: UnitHeader['type']
  if (unitType === C.DW_UT_type || unitType === C.DW_UT_split_type) {
    const signature = reader.u64()
    type = { signature, offset: reader.offset(offsetSize) }
  } else if (unitType === C.DW_UT_skeleton || unitType === C.DW_UT_split_compile) {
    reader.u64()
  }
  if (reader.at > size) reader.fail('is shorter than its header')
  const kind =
    type !== undefined
      ? 'type'
      : unitType === C.DW_UT_partial
        ? 'partial'
        : unitType === C.DW_UT_skeleton
          ? 'skeleton'
          : 'compile'
  return { offset, size, version, addressSize, offsetSize, kind, abbreviationOffset, headerSize: reader.at, type }
}
