/** Block mode: what decoding depends on, as a small number that is part of a block's identity. */

export const MODE_CODE_16 = 0
export const MODE_CODE_32 = 1
export const MODE_CODE_64 = 2
export const MODE_CODE_SIZE = 3
/** DS, ES and SS are flat: base 0, limit 4 GiB, writable; their operands need no check. The stack pointer is ESP. */
export const MODE_FLAT_DATA = 4
/** CS has a base or a limit: every transfer is looked up, so that the limit is checked. */
export const MODE_LIMITED_CODE = 8
/** Number of distinct modes. */
export const MODES = 16
