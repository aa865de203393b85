/** Random operands that often are the interesting ones. Seeded: the same seed gives the same cases everywhere. */

const CORNERS_64 = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xfffffffffffffffen,
  0xffffffffffffffffn,
]

/** Bit patterns of floats: zeros, denormals, the ends of the range, infinities, quiet and signalling NaNs. */
const FLOATS = [
  0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x3f800001, 0x4b000001,
  0x4effffff, 0xcf000000, 0x4f000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001,
]

const DOUBLES = [
  0x0000000000000000n,
  0x8000000000000000n,
  0x0000000000000001n,
  0x800fffffffffffffn,
  0x0010000000000000n,
  0x3ff0000000000000n,
  0xbff0000000000001n,
  0x4330000000000001n,
  0x41dfffffffc00000n,
  0xc1e0000000000000n,
  0x43e0000000000000n,
  0x47efffffe0000000n,
  0x3810000000000000n,
  0x36a0000000000000n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000000n,
  0xfff8000012345678n,
  0x7ff0000000000001n,
]

/** Sign and exponent, significand. */
const EXTENDEDS: readonly (readonly [number, bigint])[] = [
  [0x0000, 0n],
  [0x8000, 0n],
  [0x3fff, 0x8000000000000000n],
  [0xbfff, 0xc000000000000000n],
  [0x4000, 0x921fb54442d18469n],
  [0x0000, 1n],
  [0x0000, 0x8000000000000000n],
  [0x0001, 0x8000000000000000n],
  [0x7ffe, 0xffffffffffffffffn],
  [0x7fff, 0x8000000000000000n],
  [0xffff, 0x8000000000000000n],
  [0xffff, 0xc000000000000000n],
  [0x7fff, 0xa000000000000000n],
  [0x403e, 0x8000000000000001n],
  [0xc03d, 0xffffffffffffffffn],
  [0x3ffe, 0xffffffffffffffffn],
]

export class Random {
  #state: bigint

  constructor(seed: number) {
    this.#state = (BigInt(seed) << 1n) | 1n
  }

  /** xorshift64*. */
  bits64(): bigint {
    let state = this.#state
    state ^= state >> 12n
    state = BigInt.asUintN(64, state ^ (state << 25n))
    state ^= state >> 27n
    this.#state = state
    return BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn)
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Number((this.bits64() >> 32n) % BigInt(limit))
  }

  chance(probability: number): boolean {
    return this.below(1000) < probability * 1000
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }

  integer(): bigint {
    const kind = this.below(4)
    if (kind === 0) return this.pick(CORNERS_64)
    if (kind === 1) return this.bits64() >> BigInt(this.below(64))
    return this.bits64()
  }

  float(): number {
    if (this.chance(0.4)) return this.pick(FLOATS)
    // Exponents near each other, so that sums cancel and do not just keep the larger operand.
    if (this.chance(0.7)) return ((this.below(2) << 31) | ((112 + this.below(48)) << 23) | this.below(1 << 23)) >>> 0
    return Number(this.bits64() & 0xffffffffn)
  }

  double(): bigint {
    if (this.chance(0.4)) return this.pick(DOUBLES)
    if (!this.chance(0.7)) return this.bits64()
    const exponent = BigInt(990 + this.below(80))
    return (BigInt(this.below(2)) << 63n) | (exponent << 52n) | (this.bits64() >> 12n)
  }

  /** Eight bytes to be taken for an integer, a double or two floats. */
  lane(): bigint {
    const kind = this.below(3)
    if (kind === 0) return this.integer()
    if (kind === 1) return this.double()
    return (BigInt(this.float()) << 32n) | BigInt(this.float())
  }

  /** An 80-bit value: sign and exponent, significand. */
  extended(): readonly [number, bigint] {
    if (this.chance(0.4)) return this.pick(EXTENDEDS)
    if (this.chance(0.1)) return [this.below(0x10000), this.bits64()]
    return [(this.below(2) << 15) | (16383 - 40 + this.below(80)), this.bits64() | (1n << 63n)]
  }
}
