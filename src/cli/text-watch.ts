/** Watches a stream of bytes for a text (Knuth, Morris and Pratt: each byte is looked at once). */

export class TextWatch {
  readonly #text: Uint8Array
  /** For each length matched so far: the longest shorter match that is still possible. */
  readonly #fallback: Uint32Array
  #matched = 0

  /** @param text not empty; compared as UTF-8. */
  constructor(text: string) {
    this.#text = new TextEncoder().encode(text)
    this.#fallback = new Uint32Array(this.#text.length + 1)
    for (let i = 1, length = 0; i < this.#text.length; i++) {
      while (length > 0 && this.#text[i] !== this.#text[length]) length = this.#fallback[length]
      if (this.#text[i] === this.#text[length]) length++
      this.#fallback[i + 1] = length
    }
  }

  /** True when this byte completes the text. */
  push(byte: number): boolean {
    while (this.#matched > 0 && byte !== this.#text[this.#matched]) this.#matched = this.#fallback[this.#matched]
    if (byte === this.#text[this.#matched]) this.#matched++
    if (this.#matched < this.#text.length) return false
    this.#matched = this.#fallback[this.#matched]
    return true
  }
}
