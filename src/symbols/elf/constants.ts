/** Constants of the ELF format (System V gABI, chapters 4 and 5; x86 psABIs), by the names given there. */

export const ELFCLASS32 = 1
export const ELFCLASS64 = 2
export const ELFDATA2LSB = 1

export const ET_REL = 1
export const ET_EXEC = 2
export const ET_DYN = 3
export const ET_CORE = 4

export const EM_386 = 3
export const EM_IAMCU = 6
export const EM_X86_64 = 62

export const PT_LOAD = 1
export const PT_INTERP = 3
export const PT_NOTE = 4
export const PF_X = 1

/** Escape values: the real number stands in section header 0. */
export const PN_XNUM = 0xffff
export const SHN_XINDEX = 0xffff
export const SHN_UNDEF = 0
/** The symbol's value is no address. */
export const SHN_ABS = 0xfff1

export const SHT_SYMTAB = 2
export const SHT_STRTAB = 3
export const SHT_NOTE = 7
export const SHT_NOBITS = 8
export const SHT_DYNSYM = 11
export const SHF_ALLOC = 2
export const SHF_TLS = 0x400

export const STT_NOTYPE = 0
export const STT_OBJECT = 1
export const STT_FUNC = 2
export const STT_SECTION = 3
export const STT_FILE = 4
export const STB_LOCAL = 0
export const STB_GLOBAL = 1
export const STB_WEAK = 2

export const NT_GNU_BUILD_ID = 3
/** Xen's public header elfnote.h: 32-bit physical entry point of a PVH guest. */
export const XEN_ELFNOTE_PHYS32_ENTRY = 18
