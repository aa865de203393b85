/**
 * A stream of pseudo-random bytes that is the same in every run: xoshiro128** (Blackman and Vigna, 2018), seeded by
 * SplitMix32. For what a guest takes for randomness; not for secrets.
 */

export type RandomState = readonly [number, number, number, number]

export class RandomStream {
  #a = 0
  #b = 0
  #c = 0
  #d = 0

  /** @param seed 32 bits. */
  constructor(seed: number) {
    let state = seed | 0
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.state = [next(), next(), next(), next()]
  }

  get state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0]
  }

  set state([a, b, c, d]: RandomState) {
    // Four zeroes would give nothing but zeroes for ever.
    const dead = (a | b | c | d) === 0
    this.#a = dead ? 1 : a | 0
    this.#b = b | 0
    this.#c = c | 0
    this.#d = d | 0
  }

  /** 32 bits, unsigned. */
  next(): number {
    const product = Math.imul(this.#b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }

  /** Four bytes of every number, lowest first; the rest of the last one is dropped. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i += 4) {
      const value = this.next()
      for (let j = 0; j < 4 && i + j < length; j++) bytes[i + j] = value >>> (8 * j)
    }
    return bytes
  }
}
