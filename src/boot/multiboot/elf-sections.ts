/**
 * The image's own section headers, for the ELF symbols tag of Multiboot2 (3.6.7): the kernel finds its symbol and
 * string tables by them, so these are loaded too although no segment holds them.
 */

import { SHF_ALLOC, SHN_XINDEX, SHT_STRTAB, SHT_SYMTAB } from '../../symbols/elf/constants.ts'
import type { ElfFile, ElfSection } from '../../symbols/elf/elf-file.ts'
import { type BootRequest, type GuestRam, ImageError } from '../boot-target.ts'
import { readingElf } from '../elf-image.ts'
import type { Placement } from '../placement.ts'

export interface ElfSectionHeaders {
  readonly count: number
  readonly entrySize: number
  /** Index of the section name table. */
  readonly names: number
  readonly headers: Uint8Array
}

/** Linkers make three; a file with more than this means harm. */
const MAX_TABLES = 64

/** Offset of sh_addr in a section header. */
const ADDRESS_OFFSET = { 32: 12, 64: 16 } as const

/** undefined for a file without section headers. Throws ImageError for damaged ones. */
export function loadSectionHeaders(
  request: BootRequest,
  elf: ElfFile,
  ram: GuestRam,
  placement: Placement,
): ElfSectionHeaders | undefined {
  const table = readingElf(request, () => elf.sectionTable())
  if (!table || table.names >= SHN_XINDEX) return undefined
  const headers = table.bytes.slice()
  const data = new DataView(headers.buffer)
  const tables = readingElf(request, () => elf.sections).filter(isTable)
  if (tables.length > MAX_TABLES) {
    throw new ImageError(
      `${request.name}: ${tables.length} symbol and string tables; at most ${MAX_TABLES} are supported`,
    )
  }
  for (const section of tables) {
    const bytes = readingElf(request, () => elf.sectionBytes(section))
    const address = placement.allocateStructure(bytes.length, `section ${section.name}`)
    ram.write(address, bytes)
    const at = section.index * table.entrySize + ADDRESS_OFFSET[elf.bits]
    if (elf.bits === 64) data.setBigUint64(at, BigInt(address), true)
    else data.setUint32(at, address, true)
  }
  return { count: elf.sections.length, entrySize: table.entrySize, names: table.names, headers }
}

function isTable({ type, flags, size }: ElfSection): boolean {
  return (type === SHT_SYMTAB || type === SHT_STRTAB) && (flags & SHF_ALLOC) === 0 && size > 0
}
