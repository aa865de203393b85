/** Guest memory as rings lie in it, for looking: nothing of it can be trusted, and nothing is written. */

import type { ChainBuffer, ChainContent } from '../../devices/virtio/virtio-device.ts'
import type { MachineView } from '../machine-view.ts'

export type GuestRam = Pick<MachineView, 'hasRam' | 'readPhysical'>

/** Read at once of a chain's content: nobody shows more. */
const LONGEST_READ = 65_536

/** The little-endian bytes of a range; undefined where it is not all RAM. */
export function viewOf(ram: GuestRam, gpa: number, length: number): DataView | undefined {
  const bytes = ram.readPhysical(gpa, length)
  return bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A chain's buffers as two runs of bytes, for the device's own description of it. */
export class MemoryChain implements ChainContent {
  readonly buffers: readonly ChainBuffer[]
  readonly #ram: GuestRam

  /** @param buffers that are RAM. */
  constructor(ram: GuestRam, buffers: readonly ChainBuffer[]) {
    this.#ram = ram
    this.buffers = buffers
  }

  get readableLength(): number {
    return this.#length(false)
  }

  get writableLength(): number {
    return this.#length(true)
  }

  read(offset: number, length: number): Uint8Array {
    return this.#read(false, offset, length)
  }

  readWritable(offset: number, length: number): Uint8Array {
    return this.#read(true, offset, length)
  }

  #length(writable: boolean): number {
    return this.buffers.reduce((sum, buffer) => (buffer.writable === writable ? sum + buffer.length : sum), 0)
  }

  #read(writable: boolean, offset: number, length: number): Uint8Array {
    const wanted = Math.max(0, Math.min(length, LONGEST_READ, this.#length(writable) - offset))
    const bytes = new Uint8Array(offset < 0 ? 0 : wanted)
    let start = 0
    let done = 0
    for (const buffer of this.buffers) {
      if (done === bytes.length) break
      if (buffer.writable !== writable) continue
      const within = offset + done - start
      start += buffer.length
      if (within >= buffer.length) continue
      const piece = this.#ram.readPhysical(buffer.gpa + within, Math.min(buffer.length - within, bytes.length - done))
      if (piece === undefined) break
      bytes.set(piece, done)
      done += piece.length
    }
    return bytes.subarray(0, done)
  }
}
