/** Which instructions leave the status flags of the one before them unread: what lets a compiled block skip them. */

/** Sets all six status flags whatever they were (SDM vol. 1, appendix A). */
const SETS_ALL = /^(Add|Sub|And|Or|Xor|Cmp|Test|Neg)(8|16|32|64)$/
/** Neither reads nor writes status flags, and with register operands can't fault or leave. */
const LEAVES =
  /^(Mov(8|16|32|64|Wide)|Movzx[\d.]+|Movsx[\d.]+|Movsxd\d+|Lea\d+|Not\d+|Bswap\d+|Cbw|Cwde|Cdqe|Cwd|Cdq|Cqo|Nop)$/

export interface FlagUse {
  readonly name: string
  readonly shape: string
}

/** Are the flags that an instruction sets overwritten before anything can see them? @param following in order */
export function flagsAreDead(following: Iterable<FlagUse>): boolean {
  for (const { name, shape } of following) {
    // Memory can fault or leave for an exit, and the flags are seen then; LEA's and NOP's operands are not accessed.
    const accesses = /[mgs]/.test(shape) && !name.startsWith('Lea') && name !== 'Nop'
    if (accesses) return false
    if (SETS_ALL.test(name)) return true
    if (!LEAVES.test(name)) return false
  }
  return false
}
