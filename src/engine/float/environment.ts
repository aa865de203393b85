/** The floating-point environment: rounding, masks and flags, as MXCSR and the x87 control and status words hold them. */

/** Exception bits, the same in MXCSR, the x87 status word and (as masks) the x87 control word. SDM vol. 1, 4.9.1. */
export const FLAG_INVALID = 0x01
export const FLAG_DENORMAL = 0x02
export const FLAG_ZERO_DIVIDE = 0x04
export const FLAG_OVERFLOW = 0x08
export const FLAG_UNDERFLOW = 0x10
export const FLAG_PRECISION = 0x20
/** Exceptions that are detected before the operation, on its operands: unmasked, they leave the destination unchanged. */
export const FLAGS_PRE_COMPUTATION = FLAG_INVALID | FLAG_DENORMAL | FLAG_ZERO_DIVIDE
export const FLAGS_ALL = 0x3f

/** Rounding control as encoded in MXCSR.RC and the x87 RC field. SDM vol. 1, table 4-8. */
export const Rounding = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const
export type RoundingMode = (typeof Rounding)[keyof typeof Rounding]

/** What an operation depends on beside its operands, and what it reports beside its result. */
export interface FloatEnvironment {
  rounding: RoundingMode
  /** Significand bits of results in the extended format (x87 precision control); other formats ignore it. */
  precision: 24 | 53 | 64
  /** Masked exceptions, as FLAG_ bits. */
  masks: number
  flushToZero: boolean
  denormalsAreZero: boolean
  /** Which operand's NaN survives when there are two (SDM vol. 1, table 4-7). */
  nanRule: 'sse' | 'x87'
  /** Exceptions that occurred, accumulated over operations. */
  flags: number
  /** Did the last rounding increase the magnitude? The x87 shows it in C1. */
  roundedUp: boolean
}

/** Decodes a 2-bit rounding control field. */
export function roundingMode(field: number): RoundingMode {
  switch (field & 3) {
    case 0:
      return Rounding.NEAREST
    case 1:
      return Rounding.DOWN
    case 2:
      return Rounding.UP
    default:
      return Rounding.ZERO
  }
}
