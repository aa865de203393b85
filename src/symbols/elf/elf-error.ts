/** A file that is not the ELF it claims to be; the message names the part and what is wrong with it. */
export class ElfError extends Error {}

/** Debugging information that contradicts itself, or its file; the message names the section and what is wrong. */
export class DwarfError extends ElfError {}
