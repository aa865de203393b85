/** A set of interrupt vectors in the form of the IRR, ISR and TMR: 256 bits in eight words. */

export class InterruptSet {
  readonly words = new Int32Array(8)

  add(vector: number): void {
    this.words[vector >> 5] |= 1 << (vector & 31)
  }

  remove(vector: number): void {
    this.words[vector >> 5] &= ~(1 << (vector & 31))
  }

  has(vector: number): boolean {
    return ((this.words[vector >> 5] >> (vector & 31)) & 1) !== 0
  }

  /** Highest vector, or -1 when the set is empty. */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.words[i]
      if (word !== 0) return i * 32 + 31 - Math.clz32(word)
    }
    return -1
  }

  clear(): void {
    this.words.fill(0)
  }

  save(): number[] {
    return Array.from(this.words, word => word >>> 0)
  }

  restore(words: readonly number[]): void {
    this.words.set(words)
  }
}
