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

/** Ends of the range of bytes and 16-bit integers; half-precision zeros, denormals, ends of the range, infinities, NaNs. */
const WORDS = [
  0x0000, 0x8000, 0x7fff, 0xffff, 0x00ff, 0xff00, 0x8080, 0x7f7f, 0x0001, 0x83ff, 0x0400, 0x3c00, 0xbc01, 0x7bff,
  0xfc00, 0x7e00, 0x7c01, 0xfd55,
]

/** Lanes from which registers and memory are filled: making each anew would take longer than executing the case. */
const POOL_LANES = 8192

export class Random {
  /** State of sfc32 (Chris Doty-Humphrey, PractRand): 96 bits and a counter. */
  #a: number
  #b: number
  #c = 1
  #counter = 1

  constructor(seed: number, stream = 0) {
    this.#a = seed | 0
    this.#b = stream | 0
    for (let i = 0; i < 12; i++) this.bits32()
  }

  /** 0 to 2^32 - 1. */
  bits32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  bits64(): bigint {
    return (BigInt(this.bits32()) << 32n) | BigInt(this.bits32())
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return this.bits32() % limit
  }

  chance(probability: number): boolean {
    return this.bits32() < probability * 2 ** 32
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
    return this.bits32()
  }

  double(): bigint {
    if (this.chance(0.4)) return this.pick(DOUBLES)
    if (!this.chance(0.7)) return this.bits64()
    const exponent = BigInt(990 + this.below(80))
    return (BigInt(this.below(2)) << 63n) | (exponent << 52n) | (this.bits64() >> 12n)
  }

  /** Half-precision floats and 16-bit integers, four of them. */
  #words(): bigint {
    let lane = 0n
    for (let i = 0; i < 4; i++) lane = (lane << 16n) | BigInt(this.chance(0.5) ? this.pick(WORDS) : this.below(0x10000))
    return lane
  }

  /** Eight bytes to be taken for integers, a double, floats or half-precision floats. */
  lane(): bigint {
    const kind = this.below(7)
    if (kind < 2) return this.integer()
    if (kind < 4) return this.double()
    if (kind === 4) return this.#words()
    return (BigInt(this.float()) << 32n) | BigInt(this.float())
  }

  /** An 80-bit value: sign and exponent, significand. */
  extended(): readonly [number, bigint] {
    if (this.chance(0.4)) return this.pick(EXTENDEDS)
    if (this.chance(0.1)) return [this.below(0x10000), this.bits64()]
    return [(this.below(2) << 15) | (16383 - 40 + this.below(80)), this.bits64() | (1n << 63n)]
  }
}

/** Lanes made once, from which slices at random places are taken. */
export class LanePool {
  readonly #lanes: Uint8Array
  readonly #extended: Uint8Array

  constructor(seed: number) {
    const random = new Random(seed, -1)
    const lanes = new BigUint64Array(POOL_LANES)
    for (let i = 0; i < POOL_LANES; i++) lanes[i] = random.lane()
    this.#lanes = new Uint8Array(lanes.buffer)
    this.#extended = new Uint8Array(POOL_LANES * 16)
    const view = new DataView(this.#extended.buffer)
    for (let i = 0; i < POOL_LANES; i++) {
      const [exponent, significand] = random.extended()
      view.setBigUint64(i * 16, significand, true)
      view.setUint16(i * 16 + 8, exponent, true)
    }
  }

  /** `bytes` bytes of lanes, beginning with a whole one. */
  lanes(random: Random, bytes: number): Uint8Array {
    const at = random.below(POOL_LANES - bytes / 8) * 8
    return this.#lanes.subarray(at, at + bytes)
  }

  /** Eight 80-bit values, 16 bytes each. */
  x87Registers(random: Random): Uint8Array {
    const at = random.below(POOL_LANES - 8) * 16
    return this.#extended.subarray(at, at + 128)
  }
}
