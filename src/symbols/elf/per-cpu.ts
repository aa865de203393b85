/** The per-CPU variables of a Linux kernel, which it links at address 0: their addresses are offsets, and mean no place. */

import { ET_REL, SHF_ALLOC } from './constants.ts'
import type { ElfFile, ElfSection } from './elf-file.ts'

/** Their section; undefined in a file that has none, or has them at addresses. */
export function perCpuOffsets(elf: ElfFile): ElfSection | undefined {
  const section = elf.type === ET_REL ? undefined : elf.section('.data..percpu')
  return section !== undefined && section.address === 0n && (section.flags & SHF_ALLOC) !== 0 ? section : undefined
}
