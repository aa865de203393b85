/** What a scenario finds, the same on the processor of the host and in the engine: memory, segments, registers. */

/** The scenarios' code: readable and executable. */
export const IMAGE = 0x2000_0000
export const IMAGE_BYTES = 0x20_000
/** Two writable pages without execution, in front of a hole. */
export const DATA = 0x2010_0000
export const DATA_BYTES = 0x2000
export const READ_ONLY = 0x2011_0000
/** A writable page of NOPs that can be executed, in front of a hole. */
export const NOPS = 0x2013_0000
/** A page without any right. */
export const FORBIDDEN = 0x2014_0000
/** One writable page between holes; the stack pointer starts in its middle. */
export const STACK = 0x2015_0000
export const STACK_POINTER = STACK + 0x800
export const PAGE = 0x1000

/** Bytes that the writable pages hold before each scenario. */
export const FILL = 0xa5
export const NOP = 0x90

/** Selectors of Linux's GDT. */
export const KERNEL_CODE_32 = 0x08
export const KERNEL_CODE = 0x10
export const KERNEL_DATA = 0x18
export const USER_CODE_32 = 0x23
export const USER_DATA = 0x2b
export const USER_CODE = 0x33
export const TASK = 0x40
export const LOCAL_TABLE = 0x50
export const GDT_LIMIT = 0x7f

/** Initial value of a general register, in encoding order; the stack pointer is {@link STACK_POINTER}. */
export const initialRegister = (index: number): number => (index === 4 ? STACK_POINTER : 0x0101_0101 * (index + 1))
export const INITIAL_FLAGS = 0x202

/** An entry of the LDT as modify_ldt(2) takes it: always a code or data segment of ring 3. */
export interface LocalSegment {
  readonly base: number
  /** In units of the granularity. */
  readonly limit: number
  readonly kind: 'data' | 'expand-down' | 'code' | 'conforming code'
  /** Data that can't be written, or code that can't be read. */
  readonly restricted?: boolean
  readonly absent?: boolean
  /** D or B: 32-bit. */
  readonly big?: boolean
  /** Limit in pages. */
  readonly pages?: boolean
}

const FLAT = { base: 0, limit: 0xfffff, big: true, pages: true } as const

/** By name; entry i + 1 of the LDT, for entry 0 stays empty. */
export const SEGMENTS = {
  data: { ...FLAT, kind: 'data' },
  readOnly: { ...FLAT, kind: 'data', restricted: true },
  absentData: { ...FLAT, kind: 'data', absent: true },
  bytes: { base: DATA, limit: 0x7fe, kind: 'data', big: true },
  onePage: { base: DATA, limit: 0, kind: 'data', big: true, pages: true },
  down32: { base: DATA - 0x1000, limit: 0xfff, kind: 'expand-down', big: true },
  down16: { base: DATA - 0x1000, limit: 0xfff, kind: 'expand-down' },
  downPages: { base: DATA - 0x1000, limit: 0, kind: 'expand-down', big: true, pages: true },
  downReadOnly: { base: DATA - 0x1000, limit: 0xfff, kind: 'expand-down', big: true, restricted: true },
  absentDown: { base: DATA, limit: 0xfff, kind: 'expand-down', big: true, absent: true },
  code: { ...FLAT, kind: 'code' },
  executeOnly: { ...FLAT, kind: 'code', restricted: true },
  absentCode: { ...FLAT, kind: 'code', absent: true },
  absentConforming: { ...FLAT, kind: 'conforming code', absent: true },
  shortCode: { base: NOPS, limit: 0x7f, kind: 'code', big: true },
  code16: { base: IMAGE, limit: 0xffff, kind: 'code' },
  stack16: { base: STACK, limit: 0xfff, kind: 'data' },
  stack32: { base: STACK, limit: 0xfff, kind: 'data', big: true },
  data16: { base: DATA, limit: 0x7ff, kind: 'data' },
} as const satisfies Readonly<Record<string, LocalSegment>>
export type SegmentName = keyof typeof SEGMENTS

export const SEGMENT_NAMES = Object.keys(SEGMENTS) as readonly SegmentName[]

/** Selector of a segment of the LDT. */
export const selector = (name: SegmentName, rpl = 3): number => (SEGMENT_NAMES.indexOf(name) + 1) * 8 + 4 + rpl
/** The first entry behind the LDT's limit. */
export const LDT_ENTRIES = SEGMENT_NAMES.length + 1
