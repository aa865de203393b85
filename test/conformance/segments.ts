/**
 * Segments that cases run with, the same on the host and in the engine: Linux's of user mode, and an LDT with code and
 * data segments of every kind that modify_ldt makes (SDM vol. 3, 3.4.5).
 */

import type { SegmentRegister } from '../../src/engine/processor.ts'
import { WINDOW_OFFSET, WINDOW_PAGE, WINDOW_SIZE } from './record.ts'

/** Selectors of Linux on x86-64 (arch/x86/include/asm/segment.h). */
export const USER_CODE_32 = 0x23
export const USER_DATA = 0x2b
export const USER_CODE_64 = 0x33

/** Type of a descriptor: bit 3 code; data: bit 1 writable, bit 2 expand-down; code: bit 1 readable. Bit 0, accessed, is set. */
const READ_ONLY = 1
const WRITABLE = 3
const EXPAND_DOWN = 7
const EXECUTE_ONLY = 9
const READABLE = 11

export interface LdtSegment {
  readonly type: number
  readonly base: number
  /** As in the descriptor: of bytes, or of pages. */
  readonly limit: number
  readonly big: boolean
  readonly pages?: true
  readonly absent?: true
}

const WINDOW_END = WINDOW_OFFSET + WINDOW_SIZE - 1
/** Behind the code page, which lies 32 KiB above the window's: the same segment holds both. */
const CODE_LIMIT = 0x8fff

export const LDT: readonly LdtSegment[] = [
  { type: READABLE, base: WINDOW_PAGE, limit: CODE_LIMIT, big: true },
  { type: READABLE, base: WINDOW_PAGE, limit: CODE_LIMIT, big: false },
  { type: EXECUTE_ONLY, base: WINDOW_PAGE, limit: CODE_LIMIT, big: true },
  { type: EXECUTE_ONLY, base: WINDOW_PAGE, limit: CODE_LIMIT, big: false },
  { type: WRITABLE, base: WINDOW_PAGE, limit: WINDOW_END, big: true },
  { type: WRITABLE, base: WINDOW_PAGE, limit: WINDOW_END, big: false },
  { type: WRITABLE, base: WINDOW_PAGE, limit: 0, big: true, pages: true },
  { type: EXPAND_DOWN, base: WINDOW_PAGE, limit: WINDOW_OFFSET - 1, big: true },
  { type: EXPAND_DOWN, base: WINDOW_PAGE, limit: WINDOW_OFFSET - 1, big: false },
  { type: READ_ONLY, base: WINDOW_PAGE, limit: WINDOW_END, big: true },
  { type: WRITABLE, base: WINDOW_PAGE + 0x123, limit: 0xfffff, big: true, pages: true },
  { type: WRITABLE, base: WINDOW_PAGE, limit: WINDOW_END, big: true, absent: true },
]

const selectorOf = (index: number): number => index * 8 + 7

export const LDT_CODE_32: readonly number[] = [0, 2].map(selectorOf)
export const LDT_CODE_16: readonly number[] = [1, 3].map(selectorOf)
/** Data segments with the window in reach of 16-bit offsets, writable. */
export const LDT_DATA: readonly number[] = [4, 5, 6, 7, 8].map(selectorOf)
export const LDT_READ_ONLY = selectorOf(9)
/** A base that is not aligned, and a limit of 4 GiB. */
export const LDT_BASED = selectorOf(10)

/** Selectors that an instruction may be given to load: null, Linux's, all of the LDT, and one beyond its limit. */
export const SELECTORS: readonly number[] = [
  ...[0, 1, 3, USER_CODE_32, USER_DATA, USER_CODE_64, 0x10, 0x18],
  ...LDT.map((_, index) => selectorOf(index)),
  selectorOf(LDT.length),
]

/** The eight bytes of a descriptor of DPL 3. */
export function descriptorOf({ type, base, limit, big, pages, absent }: LdtSegment): bigint {
  const rights = type | 0x70 | (absent ? 0 : 0x80)
  const high =
    (base & 0xff000000) |
    ((base >>> 16) & 0xff) |
    (rights << 8) |
    (limit & 0xf0000) |
    (big ? 1 << 22 : 0) |
    (pages ? 1 << 23 : 0)
  return (BigInt(high >>> 0) << 32n) | BigInt((((base & 0xffff) << 16) | (limit & 0xffff)) >>> 0)
}

/** Linux's GDT as far as user mode may see it (arch/x86/kernel/cpu/common.c, gdt_page); the index is the selector's. */
export const GDT: readonly bigint[] = [
  ...[0n, 0x00cf9b000000ffffn, 0x00af9b000000ffffn, 0x00cf93000000ffffn],
  ...[0x00cffb000000ffffn, 0x00cff3000000ffffn, 0x00affb000000ffffn],
]

/** `struct user_desc` of <asm/ldt.h>: entry, base, limit, flags. */
export function userDescriptor(index: number): Uint32Array {
  const { type, base, limit, big, pages, absent } = LDT[index]
  const code = (type & 8) !== 0
  const contents = code ? 2 : (type & 4) !== 0 ? 1 : 0
  const flags =
    (big ? 1 : 0) | (contents << 1) | ((type & 2) === 0 ? 1 << 3 : 0) | (pages ? 1 << 4 : 0) | (absent ? 1 << 5 : 0)
  return Uint32Array.of(index, base, limit, flags)
}

const NULL: SegmentRegister = { selector: 0, base: 0n, limit: 0xffffffff, rights: 0x10000 }

const known = new Map<number, SegmentRegister>()

/** What a segment register holds after `selector` was loaded: one of those that a case begins with. */
export function segmentOf(selector: number): SegmentRegister {
  let segment = known.get(selector)
  if (segment === undefined) {
    segment = selector < 4 ? NULL : unpack(selector)
    known.set(selector, segment)
  }
  return segment
}

function unpack(selector: number): SegmentRegister {
  const descriptor = (selector & 4) !== 0 ? descriptorOf(LDT[selector >> 3]) : GDT[selector >> 3]
  const [low, high] = [Number(descriptor & 0xffffffffn), Number(descriptor >> 32n)]
  const base = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0
  const limit = (low & 0xffff) | (high & 0xf0000)
  const pages = (high & (1 << 23)) !== 0
  return {
    selector,
    base: BigInt(base),
    limit: (pages ? (limit << 12) | 0xfff : limit) >>> 0,
    rights: (high >>> 8) & 0xf0ff,
  }
}

/** Linear address of offset 0 of the segment that `selector` names, in 32-bit code. */
export function baseOf(selector: number): number {
  return Number(segmentOf(selector).base)
}
