/**
 * The three formats of IEEE 754 values on x86, and the one form in which arithmetic sees them.
 * SDM vol. 1, 4.2.2 and table 8-3 (encodings that only the extended format has).
 */

/** An interchange format. Exponents are those of the leading significand bit, unbiased. */
export interface FloatFormat {
  /** Significand bits, the integer bit included. */
  readonly precision: 11 | 24 | 53 | 64
  readonly minExponent: number
  readonly maxExponent: number
  readonly bias: number
}

export const BINARY16: FloatFormat = { precision: 11, minExponent: -14, maxExponent: 15, bias: 15 }
export const BINARY32: FloatFormat = { precision: 24, minExponent: -126, maxExponent: 127, bias: 127 }
export const BINARY64: FloatFormat = { precision: 53, minExponent: -1022, maxExponent: 1023, bias: 1023 }
export const EXTENDED: FloatFormat = {
  precision: 64,
  minExponent: -16382,
  maxExponent: 16383,
  bias: 16383,
}

/** An 80-bit extended value: the significand with its explicit integer bit, and sign (bit 15) with biased exponent. */
export interface Float80 {
  readonly low: bigint
  readonly high: number
}

/**
 * What an encoding means. `denormal` includes the extended format's pseudo-denormals; `unsupported` are its
 * pseudo-NaNs, pseudo-infinities and unnormals, which are invalid operands.
 */
export type FloatKind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet-nan' | 'signalling-nan' | 'unsupported'

/**
 * A value taken apart. Finite ones are exactly `significand * 2 ** exponent`; the significand of a NaN is that of the
 * extended format whatever format it came from, so that NaNs travel between formats by truncation.
 */
export interface Unpacked {
  readonly kind: FloatKind
  readonly negative: boolean
  readonly exponent: number
  readonly significand: bigint
}

const INTEGER_BIT = 1n << 63n
/** The bit of an extended significand that tells quiet from signalling NaNs. */
export const QUIET_BIT = 1n << 62n

/** QNaN floating-point indefinite: the masked response to invalid operations. */
export const DEFAULT_NAN: Unpacked = {
  kind: 'quiet-nan',
  negative: true,
  exponent: 0,
  significand: INTEGER_BIT | QUIET_BIT,
}

export const zero = (negative: boolean): Unpacked => ({ kind: 'zero', negative, exponent: 0, significand: 0n })
export const infinity = (negative: boolean): Unpacked => ({ kind: 'infinity', negative, exponent: 0, significand: 0n })
/** A finite value; one with no significand is a zero. */
export const finite = (negative: boolean, significand: bigint, exponent: number): Unpacked =>
  significand === 0n ? zero(negative) : { kind: 'normal', negative, exponent, significand }

export const isNan = (a: Unpacked): boolean => a.kind === 'quiet-nan' || a.kind === 'signalling-nan'

/** Number of bits up to the highest set one; `value` is not negative. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0
  const hex = value.toString(16)
  return hex.length * 4 + 28 - Math.clz32(Number.parseInt(hex[0], 16))
}

/** Exponent of the leading bit of a finite, nonzero value. */
export const leadingExponent = (a: Unpacked): number => a.exponent + bitLength(a.significand) - 1

function nan(negative: boolean, significand: bigint): Unpacked {
  const kind = (significand & QUIET_BIT) !== 0n ? 'quiet-nan' : 'signalling-nan'
  return { kind, negative, exponent: 0, significand }
}

function unpackInterchange(format: FloatFormat, negative: boolean, biased: number, fraction: bigint): Unpacked {
  const fractionBits = format.precision - 1
  if (biased === format.bias * 2 + 1) {
    if (fraction === 0n) return infinity(negative)
    return nan(negative, INTEGER_BIT | (fraction << BigInt(63 - fractionBits)))
  }
  if (biased === 0) {
    if (fraction === 0n) return zero(negative)
    return { kind: 'denormal', negative, exponent: format.minExponent - fractionBits, significand: fraction }
  }
  const significand = fraction | (1n << BigInt(fractionBits))
  return { kind: 'normal', negative, exponent: biased - format.bias - fractionBits, significand }
}

/** @param bits binary16, as an unsigned number */
export function unpack16(bits: number): Unpacked {
  return unpackInterchange(BINARY16, (bits & 0x8000) !== 0, (bits >> 10) & 0x1f, BigInt(bits & 0x3ff))
}

/** @param bits binary32, as an unsigned or signed 32-bit number */
export function unpack32(bits: number): Unpacked {
  return unpackInterchange(BINARY32, bits >>> 31 === 1, (bits >>> 23) & 0xff, BigInt(bits & 0x7fffff))
}

/** @param bits binary64, as an unsigned 64-bit integer */
export function unpack64(bits: bigint): Unpacked {
  const high = Number(bits >> 52n)
  return unpackInterchange(BINARY64, (high & 0x800) !== 0, high & 0x7ff, bits & 0xf_ffff_ffff_ffffn)
}

export function unpack80({ low, high }: Float80): Unpacked {
  const negative = (high & 0x8000) !== 0
  const biased = high & 0x7fff
  const integer = (low & INTEGER_BIT) !== 0n
  if (biased === 0) {
    if (low === 0n) return zero(negative)
    return { kind: 'denormal', negative, exponent: EXTENDED.minExponent - 63, significand: low }
  }
  if (!integer) return { kind: 'unsupported', negative, exponent: 0, significand: low }
  if (biased === 0x7fff) return low === INTEGER_BIT ? infinity(negative) : nan(negative, low)
  return { kind: 'normal', negative, exponent: biased - EXTENDED.bias - 63, significand: low }
}

/** Biased exponent and significand field (integer bit included) of a value that `format` holds exactly. */
function fields(format: FloatFormat, a: Unpacked): { biased: number; significand: bigint } {
  const top = format.bias * 2 + 1
  const integer = 1n << BigInt(format.precision - 1)
  switch (a.kind) {
    case 'zero':
      return { biased: 0, significand: 0n }
    case 'infinity':
      return { biased: top, significand: integer }
    case 'normal':
    case 'denormal': {
      const exponent = Math.max(leadingExponent(a), format.minExponent)
      const shift = a.exponent - (exponent - format.precision + 1)
      const significand = shift >= 0 ? a.significand << BigInt(shift) : a.significand >> BigInt(-shift)
      return { biased: (significand & integer) !== 0n ? exponent + format.bias : 0, significand }
    }
    case 'quiet-nan':
    case 'signalling-nan':
      return { biased: top, significand: a.significand >> BigInt(64 - format.precision) }
    case 'unsupported':
      throw new RangeError('an unsupported extended encoding has no value to encode')
  }
}

/** @param a a value rounded to binary16 */
export function pack16(a: Unpacked): number {
  const { biased, significand } = fields(BINARY16, a)
  return (a.negative ? 0x8000 : 0) | (biased << 10) | (Number(significand) & 0x3ff)
}

/** @param a a value rounded to binary32 */
export function pack32(a: Unpacked): number {
  const { biased, significand } = fields(BINARY32, a)
  return ((a.negative ? 1 << 31 : 0) | (biased << 23) | (Number(significand) & 0x7fffff)) >>> 0
}

/** @param a a value rounded to binary64 */
export function pack64(a: Unpacked): bigint {
  const { biased, significand } = fields(BINARY64, a)
  return (a.negative ? INTEGER_BIT : 0n) | (BigInt(biased) << 52n) | (significand & 0xf_ffff_ffff_ffffn)
}

/** @param a a value rounded to the extended format */
export function pack80(a: Unpacked): Float80 {
  const { biased, significand } = fields(EXTENDED, a)
  return { low: significand, high: (a.negative ? 0x8000 : 0) | biased }
}
