/** Bits of RFLAGS (SDM vol. 1, 3.4.3). */

export const RFLAGS_CF = 1 << 0
export const RFLAGS_RESERVED_1 = 1 << 1
export const RFLAGS_PF = 1 << 2
export const RFLAGS_AF = 1 << 4
export const RFLAGS_ZF = 1 << 6
export const RFLAGS_SF = 1 << 7
export const RFLAGS_TF = 1 << 8
export const RFLAGS_IF = 1 << 9
export const RFLAGS_DF = 1 << 10
export const RFLAGS_OF = 1 << 11
export const RFLAGS_IOPL = 3 << 12
export const RFLAGS_NT = 1 << 14
export const RFLAGS_RF = 1 << 16
export const RFLAGS_VM = 1 << 17
export const RFLAGS_AC = 1 << 18
export const RFLAGS_VIF = 1 << 19
export const RFLAGS_VIP = 1 << 20
export const RFLAGS_ID = 1 << 21

/** The six status flags, which the engine keeps lazily. */
export const RFLAGS_ARITHMETIC = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF

/** Every bit that can change; the others are fixed. */
export const RFLAGS_KNOWN = 0x3f7fd5
