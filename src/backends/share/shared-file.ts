/** A file of a shared folder that is open. */

import fs from 'node:fs'
import { attempt } from './share-error.ts'

export class SharedFile {
  readonly #descriptor: number

  /** @param descriptor of the host; this object owns it. */
  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** Fewer bytes than asked for at the end of the file. Offsets are at most 2^53. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const read = attempt(() => fs.readSync(this.#descriptor, bytes, done, length - done, offset + done))
      if (read === 0) break
      done += read
    }
    return bytes.subarray(0, done)
  }

  /** How many bytes were written: fewer than there are only where the host's medium is full, which then throws next. */
  write(offset: number, bytes: Uint8Array): number {
    return attempt(() => fs.writeSync(this.#descriptor, bytes, 0, bytes.length, offset))
  }

  /** What was written is on the host's own medium when this returns. */
  sync(): void {
    attempt(() => fs.fsyncSync(this.#descriptor))
  }

  close(): void {
    attempt(() => fs.closeSync(this.#descriptor))
  }
}
