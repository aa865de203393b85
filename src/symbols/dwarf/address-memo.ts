/**
 * Answers about addresses, kept: a person who steps asks the same few again and again, and they depend on the file only.
 *
 *     memo.of(address, () => this.#search(address))
 */

/** More are not kept: then all are forgotten. */
const MOST = 4096

export class AddressMemo<T> {
  readonly #answers = new Map<bigint, { readonly answer: T }>()

  of(address: bigint, search: () => T): T {
    const known = this.#answers.get(address)
    if (known !== undefined) return known.answer
    const answer = search()
    if (this.#answers.size >= MOST) this.#answers.clear()
    this.#answers.set(address, { answer })
    return answer
  }

  forget(): void {
    this.#answers.clear()
  }
}
