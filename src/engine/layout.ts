/** Where the engine keeps its own structures in host memory, below the frames for guests. */

/** TLB arrays: direct-mapped, 16 bytes an entry: i64 tag (page | ASID), i32 addend, i32 unused. */
export const TLB_ENTRIES = 4096
export const TLB_ENTRY_SIZE = 16
export const TLB_READ = 0x10000
export const TLB_WRITE = TLB_READ + TLB_ENTRIES * TLB_ENTRY_SIZE
export const TLB_FETCH = TLB_WRITE + TLB_ENTRIES * TLB_ENTRY_SIZE

/** Jump cache: direct-mapped from RIP to a decoded block, 16 bytes an entry: i64 RIP, i32 fetch context, i32 block. */
export const JUMP_CACHE_ENTRIES = 8192
export const JUMP_CACHE_ENTRY_SIZE = 16
export const JUMP_CACHE = TLB_FETCH + TLB_ENTRIES * TLB_ENTRY_SIZE

/** Decoded records (`decoder/record.ts`), allocated upwards and dropped all together when full. */
export const CODE_BASE = 0x100000
export const CODE_SIZE = 96 * 1024 * 1024

/** First frame that a hypervisor may hand out. */
export const FRAMES_BASE = CODE_BASE + CODE_SIZE

if (JUMP_CACHE + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_SIZE > CODE_BASE) throw new RangeError('engine layout overlaps')
