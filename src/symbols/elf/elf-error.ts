/** A file that is not the ELF it claims to be; the message names the part and what is wrong with it. */
export class ElfError extends Error {}
