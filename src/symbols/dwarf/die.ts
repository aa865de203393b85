/** A debugging information entry: its attributes, decoded when asked for (DWARF 5, 2.1 and 7.5). */

import type { Abbreviation } from './abbreviations.ts'
import * as C from './constants.ts'
import { type DwarfReader, stringAt } from './dwarf-reader.ts'
import { blockLength, isAddressIndex, isBlock, isStringIndex, readConstant, readIndex, skipForm } from './forms.ts'
import type { Unit } from './unit.ts'

/** An abstract origin of a specification of a ...: more links than any compiler makes. */
const MAX_ORIGINS = 8

export class Die {
  readonly unit: Unit
  /** In the unit's section: what names the entry. */
  readonly offset: number
  readonly abbreviation: Abbreviation
  /** Where the values begin, in the unit's bytes. */
  readonly values: number

  constructor(unit: Unit, offset: number, abbreviation: Abbreviation, values: number) {
    this.unit = unit
    this.offset = offset
    this.abbreviation = abbreviation
    this.values = values
  }

  get tag(): number {
    return this.abbreviation.tag
  }

  has(attribute: number): boolean {
    return this.abbreviation.attributes.includes(attribute)
  }

  /** The form of an attribute; undefined when the entry has none of that name. */
  form(attribute: number): number | undefined {
    return this.#seek(attribute)?.form
  }

  string(attribute: number): string | undefined {
    const found = this.#seek(attribute)
    if (found === undefined) return undefined
    const { form, reader } = found
    const { unit } = this
    if (form === C.DW_FORM_string) return reader.string()
    if (form === C.DW_FORM_strp) return stringAt(unit.sections.str, reader.offset(unit.offsetSize), '.debug_str')
    if (form === C.DW_FORM_line_strp) {
      return stringAt(unit.sections.lineStr, reader.offset(unit.offsetSize), '.debug_line_str')
    }
    const index = isStringIndex(form) ? readIndex(reader, form) : undefined
    // Strings of a supplementary file (dwz) are not in this one.
    return index === undefined ? undefined : unit.indexedString(index)
  }

  /** A constant; signed only when its form is. */
  constant(attribute: number): bigint | undefined {
    const found = this.#seek(attribute)
    if (found === undefined) return undefined
    if (found.form === C.DW_FORM_implicit_const) return this.abbreviation.constants?.get(found.index)
    return readConstant(found.reader, found.form)
  }

  /** A constant as a number; undefined also beyond ±2^53. */
  number(attribute: number): number | undefined {
    const value = this.constant(attribute)
    if (value === undefined) return undefined
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : undefined
  }

  flag(attribute: number): boolean {
    const found = this.#seek(attribute)
    if (found === undefined) return false
    return found.form === C.DW_FORM_flag_present || this.constant(attribute) !== 0n
  }

  address(attribute: number): bigint | undefined {
    const found = this.#seek(attribute)
    if (found === undefined) return undefined
    if (found.form === C.DW_FORM_addr) return found.reader.address(this.unit.addressSize)
    const index = isAddressIndex(found.form) ? readIndex(found.reader, found.form) : undefined
    return index === undefined ? undefined : this.unit.indexedAddress(index)
  }

  /** The bytes of an expression or block; undefined when the attribute is of another class. A view. */
  block(attribute: number): Buffer | undefined {
    const found = this.#seek(attribute)
    if (found === undefined || !isBlock(found.form)) return undefined
    return found.reader.block(blockLength(found.reader, found.form))
  }

  /** An offset into another section, and whether it is an index of the unit's table there instead. */
  listOffset(attribute: number): { offset: number; indexed: boolean } | undefined {
    const found = this.#seek(attribute)
    if (found === undefined) return undefined
    const { form, reader } = found
    if (form === C.DW_FORM_sec_offset) return { offset: reader.offset(this.unit.offsetSize), indexed: false }
    if (form === C.DW_FORM_loclistx || form === C.DW_FORM_rnglistx) return { offset: reader.uleb(), indexed: true }
    // Before DWARF 4 offsets had the forms of constants.
    if (this.unit.version < 4 && form === C.DW_FORM_data4) return { offset: reader.u32(), indexed: false }
    if (this.unit.version < 4 && form === C.DW_FORM_data8) return { offset: reader.size64(), indexed: false }
    return undefined
  }

  /** The entry that an attribute refers to, in this unit or another; undefined for one in another file. */
  reference(attribute: number): Die | undefined {
    const found = this.#seek(attribute)
    if (found === undefined) return undefined
    const { form, reader } = found
    const { unit } = this
    switch (form) {
      case C.DW_FORM_ref1:
        return unit.dieAt(unit.offset + reader.u8())
      case C.DW_FORM_ref2:
        return unit.dieAt(unit.offset + reader.u16())
      case C.DW_FORM_ref4:
        return unit.dieAt(unit.offset + reader.u32())
      case C.DW_FORM_ref8:
        return unit.dieAt(unit.offset + reader.size64())
      case C.DW_FORM_ref_udata:
        return unit.dieAt(unit.offset + reader.uleb())
      case C.DW_FORM_ref_addr: {
        const offset = unit.version < 3 ? Number(reader.address(unit.addressSize)) : reader.offset(unit.offsetSize)
        return unit.list.dieAt(offset)
      }
      case C.DW_FORM_ref_sig8:
        return unit.list.typeBySignature(reader.u64())
      default:
        return undefined
    }
  }

  /** What a DW_FORM_ref4 holds, from the unit's beginning, whether an entry is there or not. */
  referenceOffset(attribute: number): number {
    return this.#seek(attribute)?.reader.u32() ?? 0
  }

  /** This entry, then the ones it completes: what it doesn't say itself, they do (DWARF 5, 2.13 and 3.3.8). */
  *withOrigins(): Generator<Die> {
    let die: Die | undefined = this
    for (let depth = 0; die !== undefined && depth < MAX_ORIGINS; depth++) {
      yield die
      die = die.reference(C.DW_AT_abstract_origin) ?? die.reference(C.DW_AT_specification)
    }
  }

  /** The entry, of this and those it completes, that has an attribute. */
  originWith(attribute: number): Die | undefined {
    for (const die of this.withOrigins()) if (die.has(attribute)) return die
    return undefined
  }

  get name(): string | undefined {
    return this.originWith(C.DW_AT_name)?.string(C.DW_AT_name)
  }

  #seek(attribute: number): { form: number; reader: DwarfReader; index: number } | undefined {
    const { attributes, forms, offsets } = this.abbreviation
    const index = attributes.indexOf(attribute)
    if (index < 0) return undefined
    let from = index
    while (offsets[from] < 0) from--
    const reader = this.unit.readerAt(this.values + offsets[from])
    for (; from < index; from++) skipForm(reader, forms[from], this.unit)
    let form = forms[index]
    for (let depth = 0; form === C.DW_FORM_indirect; depth++) {
      if (depth === MAX_ORIGINS) reader.fail('indirect forms are nested')
      form = reader.uleb()
    }
    return { form, reader, index }
  }
}
