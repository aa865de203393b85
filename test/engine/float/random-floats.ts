/** Random operands that favour the values at which floating point goes wrong. The same seed gives the same values. */

export class RandomFloats {
  #state: bigint

  constructor(seed: number) {
    this.#state = BigInt(seed) | 1n
  }

  /** 64 random bits (xorshift64*). */
  bits(): bigint {
    let x = this.#state
    x ^= x >> 12n
    x ^= (x << 25n) & 0xffff_ffff_ffff_ffffn
    x ^= x >> 27n
    this.#state = x
    return (x * 0x2545f4914f6cdd1dn) & 0xffff_ffff_ffff_ffffn
  }

  /** An integer from 0 up to `limit`, exclusive. */
  below(limit: number): number {
    return Number(this.bits() >> 32n) % limit
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]
  }

  /** A fraction of `width` bits: random, sparse, or of long runs. */
  fraction(width: number): bigint {
    const mask = (1n << BigInt(width)) - 1n
    const shift = BigInt(this.below(width))
    switch (this.below(6)) {
      case 0:
        return 0n
      case 1:
        return mask
      case 2:
        return (1n << shift) & mask
      case 3:
        return (mask << shift) & mask
      case 4:
        return (mask >> shift) & mask
      default:
        return this.bits() & mask
    }
  }

  /** A biased exponent of `width` bits: the ends, around one, around `near`, or anything. */
  exponent(width: number, near: number): number {
    const top = (1 << width) - 1
    const bias = top >> 1
    switch (this.below(7)) {
      case 0:
        return this.pick([0, 0, 1, 2])
      case 1:
        return this.pick([top, top - 1, top - 2])
      case 2:
        return bias + this.below(70) - 35
      case 3:
        return this.below(top + 1)
      default:
        return Math.min(top, Math.max(0, near + this.below(60) - 30))
    }
  }

  binary32(): bigint {
    const sign = BigInt(this.below(2)) << 31n
    return sign | (BigInt(this.exponent(8, this.pick([127, 127, 30, 220]))) << 23n) | this.fraction(23)
  }

  binary64(): bigint {
    const sign = BigInt(this.below(2)) << 63n
    return sign | (BigInt(this.exponent(11, this.pick([1023, 1023, 500, 1500, 897]))) << 52n) | this.fraction(52)
  }

  /** An 80-bit extended value, with its integer bit mostly as the exponent demands. */
  extended(): { low: bigint; high: number } {
    const exponent = this.exponent(15, this.pick([16383, 16383, 16383, 16257, 15361, 8192]))
    const integer = this.below(12) === 0 ? this.below(2) === 1 : exponent !== 0
    return {
      low: ((integer ? 1n : 0n) << 63n) | this.fraction(63),
      high: (this.below(2) << 15) | exponent,
    }
  }
}
