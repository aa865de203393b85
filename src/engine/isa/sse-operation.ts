/** Numbers by which definitions tell the software floating point (`../sse-slow-path.ts`) what to do. */

/**
 * What is done with each lane. Arithmetic and comparisons take SSE_A (first source) and SSE_B (second), the others
 * only SSE_B. Integers of 64 bits, and scalar ones of 32 bits sign-extended, are in SSE_B or SSE_RESULT as i64.
 */
export const SseKind = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  sqrt: 4,
  min: 5,
  max: 6,
  /** CMPPS and its like: a mask for each lane. */
  compare: 7,
  /** UCOMISS and COMISS: bits of RFLAGS in the first 32 bits. */
  unorderedCompare: 8,
  orderedCompare: 9,
  /** To the other of the two formats. */
  convert: 10,
  toInt32: 11,
  toInt32Truncated: 12,
  toInt64: 13,
  toInt64Truncated: 14,
  fromInt32: 15,
  fromInt64: 16,
  /** ADDSUBPS and ADDSUBPD: a difference in the even lanes, a sum in the odd ones. */
  addSubtract: 17,
  /** ROUNDPS and its like, as the immediate says. */
  roundToIntegral: 18,
  /** A * B + C; the immediate is of {@link FUSED_NEGATE_PRODUCT} and its like. */
  fusedMultiplyAdd: 19,
  /** Between binary32 and binary16, which lies in the low 16 bits of each lane; the immediate as VCVTPS2PH has it. */
  toHalf: 20,
  fromHalf: 21,
  /** Nothing is computed: exceptions that were collected are raised, or their flags set. */
  settle: 22,
} as const
export type SseKind = (typeof SseKind)[keyof typeof SseKind]

/** Bits of a lane's floating-point format: of the source, or of the destination where the source is an integer. */
export type LaneBits = 32 | 64

const WIDE = 1 << 5
const LANES_SHIFT = 6
/** Where the 8-bit immediate is added: the predicate of a comparison, how ROUNDPS and its like round. */
export const IMMEDIATE_SHIFT = 9

/** Exceptions are only collected in SSE_PENDING: another part of the instruction follows. */
export const COLLECT = 1 << 17

/** Immediates of a fused multiplication and addition. Alternating adds in the odd lanes and subtracts in the even ones. */
export const FUSED_NEGATE_PRODUCT = 1
export const FUSED_NEGATE_ADDEND = 2
export const FUSED_ALTERNATING = 4

export interface SseOperation {
  readonly kind: number
  readonly lane: LaneBits
  readonly lanes: number
  readonly immediate: number
  readonly collects: boolean
}

export function encodeOperation(kind: SseKind, lane: LaneBits, lanes: number): number {
  return kind | (lane === 64 ? WIDE : 0) | (lanes << LANES_SHIFT)
}

export function decodeOperation(operation: number): SseOperation {
  return {
    kind: operation & (WIDE - 1),
    lane: operation & WIDE ? 64 : 32,
    lanes: (operation >> LANES_SHIFT) & 7,
    immediate: (operation >> IMMEDIATE_SHIFT) & 0xff,
    collects: (operation & COLLECT) !== 0,
  }
}
