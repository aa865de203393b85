/** The debugging information of one file: its units, and the indexes that the questions share. Addresses are the file's. */

import { ElfError } from '../elf/elf-error.ts'
import type { ElfSections } from '../elf/section-contents.ts'
import { SymbolIndex } from '../elf/symbol-index.ts'
import { AbbreviationTables } from './abbreviations.ts'
import * as C from './constants.ts'
import type { SourceLocation } from './debug-info.ts'
import type { Die } from './die.ts'
import { type FunctionChain, FunctionIndex } from './functions.ts'
import type { IndexCache } from './index-cache.ts'
import { LineIndex } from './line-index.ts'
import { Slide } from './slide.ts'
import { UnitAddresses } from './unit-addresses.ts'
import { UnitList } from './unit-list.ts'
import { UnitSections } from './unit-sections.ts'

export class DwarfProgram {
  readonly sections: ElfSections
  readonly symbols: SymbolIndex
  readonly slide: Slide
  readonly cache: IndexCache
  readonly #unitSections: UnitSections
  readonly #functions = new FunctionIndex()
  #abbreviations: AbbreviationTables | undefined
  #units: UnitList | undefined
  #typeUnits: UnitList | undefined
  #lines: LineIndex | undefined
  #addresses: UnitAddresses | undefined
  #isCut: boolean | undefined

  constructor(sections: ElfSections, cache: IndexCache) {
    this.sections = sections
    this.symbols = new SymbolIndex(sections, () => this.isCut)
    this.slide = new Slide(sections.elf)
    this.cache = cache
    this.#unitSections = new UnitSections(sections)
  }

  /**
   * Is it an ELF32 file of code with 64-bit addresses, of which the container has the low halves? Then those are
   * sign-extended: code lies in the lowest or the highest 2 GiB (System V ABI for x86-64, 3.5.1: small and kernel model).
   */
  get isCut(): boolean {
    this.#isCut ??= this.sections.elf.bits === 32 && this.#hasWideAddresses()
    return this.#isCut
  }

  #hasWideAddresses(): boolean {
    try {
      return this.units.firstHeader?.addressSize === 8
    } catch (error) {
      // A damaged part is for those to report who need it.
      if (error instanceof ElfError) return false
      throw error
    }
  }

  get units(): UnitList {
    this.#units ??= this.#list('.debug_info')
    return this.#units
  }

  /** Of DWARF 4; version 5 has its type units among the others. */
  get typeUnits(): UnitList {
    this.#typeUnits ??= this.#list('.debug_types')
    return this.#typeUnits
  }

  get lines(): LineIndex {
    this.#lines ??= new LineIndex(this.units)
    return this.#lines
  }

  /** The function that an address lies in; undefined where the file has no debugging information. */
  chainAt(address: bigint): FunctionChain | undefined {
    this.#addresses ??= new UnitAddresses(this.units)
    const header = this.#addresses.unitAt(address)
    return header && this.#functions.chainAt(this.units.unit(header), address)
  }

  unitAt(address: bigint) {
    this.#addresses ??= new UnitAddresses(this.units)
    const header = this.#addresses.unitAt(address)
    return header && this.units.unit(header)
  }

  /** Where an entry was written in the source. */
  declaredAt(die: Die): SourceLocation | undefined {
    const origin = die.originWith(C.DW_AT_decl_line)
    if (origin === undefined) return undefined
    const file = origin.originWith(C.DW_AT_decl_file)
    const number = file?.number(C.DW_AT_decl_file)
    const path = file === undefined || number === undefined ? undefined : this.lines.path(file.unit, number)
    if (path === undefined) return undefined
    return { file: path, line: origin.number(C.DW_AT_decl_line) ?? 0, column: origin.number(C.DW_AT_decl_column) ?? 0 }
  }

  #list(name: '.debug_info' | '.debug_types'): UnitList {
    this.#abbreviations ??= new AbbreviationTables(this.#unitSections.abbreviations)
    return new UnitList(name, this.#unitSections, this.#abbreviations, () => this.typeUnits)
  }
}
