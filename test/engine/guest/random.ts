/** Reproducible random numbers (xorshift32): the same seed gives the same test on every machine. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 0x9e3779b9) | 0 || 1
  }

  /** 0 to 2^32 - 1. */
  word(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.word() / 2 ** 32) * limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]
  }

  chance(probability: number): boolean {
    return this.word() < probability * 2 ** 32
  }

  word64(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word())
  }

  /** A number as programs have them: small ones, powers of two and extremes more often than chance would. */
  operand(): bigint {
    switch (this.below(6)) {
      case 0:
        return BigInt(this.below(16))
      case 1:
        return 1n << BigInt(this.below(64))
      case 2:
        return BigInt.asUintN(64, -BigInt(this.below(256)))
      case 3:
        return BigInt(this.word())
      case 4:
        return BigInt.asUintN(64, (1n << BigInt(this.below(64))) - 1n)
      default:
        return this.word64()
    }
  }
}
