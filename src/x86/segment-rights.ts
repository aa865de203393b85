/** Access rights of a segment cache in the format of the VMCS (SDM vol. 3, 25.4.1, table 25-2). */

export const RIGHTS_TYPE = 0xf
/** Type bit: code segment (with S). */
export const RIGHTS_CODE = 1 << 3
/** Data: expand-down; code: conforming. */
export const RIGHTS_EXPAND_DOWN = 1 << 2
export const RIGHTS_CONFORMING = 1 << 2
/** Data: writable; code: readable. */
export const RIGHTS_WRITABLE = 1 << 1
export const RIGHTS_READABLE = 1 << 1
export const RIGHTS_ACCESSED = 1 << 0
/** Clear in system descriptors. */
export const RIGHTS_S = 1 << 4
export const RIGHTS_DPL_SHIFT = 5
export const RIGHTS_P = 1 << 7
export const RIGHTS_AVL = 1 << 12
export const RIGHTS_L = 1 << 13
/** D of a code segment, B of a stack segment. */
export const RIGHTS_DB = 1 << 14
export const RIGHTS_G = 1 << 15
/** The segment was loaded with a null selector, or never. */
export const RIGHTS_UNUSABLE = 1 << 16

export const rightsDpl = (rights: number): number => (rights >> RIGHTS_DPL_SHIFT) & 3
