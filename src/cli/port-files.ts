/** Files that the ports of a guest's virtio console write to. */

import { closeSync, openSync, writeSync } from 'node:fs'
import { FileError } from '../machine/configuration.ts'

export class PortFiles {
  readonly #path: string
  /** By port; opened when the first byte comes. */
  readonly #files = new Map<string, number>()

  /** @param path of the console's own file; a further port's has its name behind a dot. */
  constructor(path: string) {
    this.#path = path
  }

  /** Throws {@link FileError}. */
  write(port: string, bytes: Uint8Array): void {
    const path = port === '' ? this.#path : `${this.#path}.${port}`
    try {
      const file = this.#files.get(port) ?? openSync(path, 'w')
      this.#files.set(port, file)
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
    } catch (error) {
      throw new FileError(`"${path}" can't be written: ${error instanceof Error ? error.message : error}`)
    }
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file)
    this.#files.clear()
  }
}
