/** `node:crypto` of the browser's bundle: the one hash that the machine is named by, at once and not by a promise. */

import { sha256 } from '@noble/hashes/sha2.js'

export function createHash(algorithm: string): { update(bytes: Uint8Array): Hash } {
  if (algorithm !== 'sha256') throw new Error(`${algorithm} is not there in a browser`)
  return new Hash()
}

class Hash {
  readonly #hash = sha256.create()

  update(bytes: Uint8Array): this {
    this.#hash.update(bytes)
    return this
  }

  digest(): Buffer
  digest(encoding: 'hex'): string
  digest(encoding?: 'hex'): Buffer | string {
    const bytes = Buffer.from(this.#hash.digest())
    return encoding === undefined ? bytes : bytes.toString(encoding)
  }
}
