/** The sections that units refer to, read when first needed. */

import type { ElfSections, SectionContents } from '../elf/section-contents.ts'

export class UnitSections {
  readonly #sections: ElfSections

  constructor(sections: ElfSections) {
    this.#sections = sections
  }

  named(name: string): SectionContents | undefined {
    return this.#sections.named(name)
  }

  get abbreviations(): Buffer {
    return this.#sections.bytes('.debug_abbrev')
  }

  get str(): Buffer {
    return this.#sections.bytes('.debug_str')
  }

  get lineStr(): Buffer {
    return this.#sections.bytes('.debug_line_str')
  }

  get strOffsets(): Buffer {
    return this.#sections.bytes('.debug_str_offsets')
  }

  get addresses(): Buffer {
    return this.#sections.bytes('.debug_addr')
  }

  get rangeLists(): Buffer {
    return this.#sections.bytes('.debug_rnglists')
  }

  get ranges(): Buffer {
    return this.#sections.bytes('.debug_ranges')
  }

  get locationLists(): Buffer {
    return this.#sections.bytes('.debug_loclists')
  }

  get locations(): Buffer {
    return this.#sections.bytes('.debug_loc')
  }

  get aranges(): Buffer {
    return this.#sections.bytes('.debug_aranges')
  }
}
