/**
 * Where a file's bytes come from: memory, or a file on disk of which ranges are read when they are asked for, because
 * a kernel's debugging information is larger than what anybody wants to know of it.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { ElfError } from './elf-error.ts'

export class FileSource {
  /** Bytes. */
  readonly size: number
  /** Changes when the file does, as far as the file system tells; empty for bytes in memory. */
  readonly fingerprint: string
  readonly #bytes: Uint8Array | undefined
  #descriptor: number | undefined

  private constructor(
    size: number,
    fingerprint: string,
    bytes: Uint8Array | undefined,
    descriptor: number | undefined,
  ) {
    this.size = size
    this.fingerprint = fingerprint
    this.#bytes = bytes
    this.#descriptor = descriptor
  }

  static of(bytes: Uint8Array): FileSource {
    return new FileSource(bytes.length, '', bytes, undefined)
  }

  /** Throws Node's error when there is no such file, ElfError for one that is no regular file. */
  static open(path: string): FileSource {
    const descriptor = openSync(path, 'r')
    const status = fstatSync(descriptor)
    if (!status.isFile()) {
      closeSync(descriptor)
      throw new ElfError(`${path} is not a regular file`)
    }
    return new FileSource(status.size, `${status.size}-${status.mtimeMs}-${status.ino}`, undefined, descriptor)
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  /** Throws unless [offset, offset + length) lies in the file. `what` begins the message. */
  check(offset: number, length: number, what: string): void {
    if (offset >= 0 && length >= 0 && offset + length <= this.size) return
    throw new ElfError(
      `${what}: ${length} bytes at offset 0x${offset.toString(16)} lie outside the file of ${this.size} bytes`,
    )
  }

  /** A view of bytes in memory, otherwise a copy. */
  read(offset: number, length: number, what: string): Uint8Array {
    this.check(offset, length, what)
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + length)
    // All of it is about to be written: zeros first would double the time.
    const buffer = Buffer.allocUnsafeSlow(length)
    this.readInto(buffer, offset, what)
    return buffer
  }

  /** Fills `buffer`. */
  readInto(buffer: Uint8Array, offset: number, what: string): void {
    this.check(offset, buffer.length, what)
    if (this.#bytes !== undefined) {
      buffer.set(this.#bytes.subarray(offset, offset + buffer.length))
      return
    }
    if (this.#descriptor === undefined) throw new ElfError(`${what}: the file has been closed`)
    for (let done = 0; done < buffer.length; ) {
      const count = readSync(this.#descriptor, buffer, done, buffer.length - done, offset + done)
      if (count === 0) throw new ElfError(`${what}: the file has become shorter while it was open`)
      done += count
    }
  }
}
