/**
 * A decoded instruction: 32 bytes in linear memory that a handler of the interpreter reads its operands from.
 * A block is a header of the same size followed by its instructions' records. "Address" means an address in
 * {@link STATE_BASE}'s page, so that a handler loads a register with one indirection.
 */

export const RECORD_SIZE = 32

/** u16: handler number. */
export const HANDLER = 0
/** u8: bytes of the instruction. */
export const LENGTH = 2
/** u8: operand size (bits 0-1: 0 16, 1 32, 2 64), address size (bits 2-3), repeat prefix (bits 4-5), memory operand (bit 6), {@link USES_STACK}. */
export const ATTRIBUTES = 3
export const HAS_MEMORY = 1 << 6
/** The instruction has implicit operands on the stack. */
export const USES_STACK = 1 << 7
/** u16: offset of the instruction from the block's first byte. */
export const RIP_OFFSET = 4
/** u8: position in the block, from 0. */
export const SLOT = 6
/** u8: log2 of the index scale. */
export const SCALE = 7
/** u16 each: addresses of register operands. The fourth, which only instructions without an immediate have, lies in its place. */
export const OPERAND = [8, 10, 12, 28] as const
/** u16: addresses of the base and index register of the memory operand, and of its segment cache. */
export const BASE = 14
export const INDEX = 16
export const SEGMENT = 18
/** u8: how the linear address is made, {@link AddressKind}. */
export const ADDRESS_KIND = 20
/** u8: bytes that the memory operand's segment check covers. */
export const ACCESS_SIZE = 21
/** u16: number of the assist that executes the instruction. */
export const ASSIST = 22
/** i32: displacement. */
export const DISPLACEMENT = 24
/** i32: immediate; a branch's target relative to the block's first byte. */
export const IMMEDIATE = 28
/** i64: a 64-bit immediate, absolute address or far pointer instead of displacement and immediate. */
export const WIDE = 24
/** i32 each: block that a direct branch within the page goes to, taken and not taken; 0 when not known. */
export const LINK_TAKEN = 8
export const LINK_NEXT = 12

/** Header fields. i32: instructions in the block. */
export const BLOCK_COUNT = 0
/** i32, all ones or 0: may a direct branch within the page remember the block? */
export const BLOCK_LINKABLE = 4
/** u32: HPA of the page that the block's one instruction crosses into; 0 for none. */
export const BLOCK_SECOND = 8
/** i32: entries until the block is worth compiling; never reaches 0 in a block that starts below. */
export const BLOCK_HEAT = 12
/** i32: table entry of the region that the block was compiled into, its index there, and the handler number that its first record had before; all 0 while the interpreter runs it. */
export const BLOCK_REGION = 16
export const BLOCK_REGION_INDEX = 20
export const BLOCK_FIRST_HANDLER = 24
/** u16 each: bytes of guest code, and the mode that they were decoded in (`mode.ts`). */
export const BLOCK_BYTES = 28
export const BLOCK_MODE = 30

/** How a memory operand's linear address is made from base + index * scale + displacement. */
export const AddressKind = {
  /** 64-bit mode, no segment. */
  plain64: 0,
  /** 64-bit mode, FS or GS. */
  based64: 1,
  /** 64-bit mode with 32-bit addresses, segment base added (zero but for FS and GS). */
  narrow64: 2,
  /** Outside 64-bit mode, segment known to be flat. */
  flat32: 3,
  flat16: 4,
  /** Outside 64-bit mode, limit and rights to be checked. */
  checked32: 5,
  checked16: 6,
} as const

/** In {@link ADDRESS_KIND}: no memory operand, but a far pointer in {@link WIDE}. */
export const FAR_POINTER = 255
