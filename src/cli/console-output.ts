/** Bytes of the guest on their way to standard output: gathered during a slice, written between slices, in order. */

import type { Writable } from 'node:stream'

export class ConsoleOutput {
  readonly #stream: Writable
  #buffer = new Uint8Array(4096)
  #used = 0
  #broken = false

  constructor(stream: Writable) {
    this.#stream = stream
    // Whoever read our output has gone: there is nobody left to run for.
    stream.on('error', () => {
      this.#broken = true
    })
  }

  /** True when nobody reads the output any more. */
  get broken(): boolean {
    return this.#broken
  }

  push(byte: number): void {
    if (this.#used === this.#buffer.length) {
      const larger = new Uint8Array(this.#buffer.length * 2)
      larger.set(this.#buffer)
      this.#buffer = larger
    }
    this.#buffer[this.#used++] = byte
  }

  /** Resolves when the operating system has taken everything. */
  flush(): Promise<void> {
    if (this.#used === 0 || this.#broken) {
      this.#used = 0
      return Promise.resolve()
    }
    const bytes = this.#buffer.slice(0, this.#used)
    this.#used = 0
    return new Promise(resolve => {
      this.#stream.write(bytes, () => resolve())
    })
  }
}
