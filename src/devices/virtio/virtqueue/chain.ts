/** A chain of buffers that a driver has posted: what a device reads and writes. */

import type { Json } from '../../../util/json.ts'
import type { SavedState } from '../../saved-state.ts'
import type { Chain, ChainBuffer } from '../virtio-device.ts'
import type { QueueMemory } from './queue-memory.ts'

/** Buffers of one direction, one after the other. */
class Run {
  readonly #memory: QueueMemory
  readonly #buffers: readonly ChainBuffer[]
  /** Offset in the run at which each buffer begins. */
  readonly #starts: readonly number[]
  readonly length: number

  constructor(memory: QueueMemory, buffers: readonly ChainBuffer[]) {
    const starts: number[] = []
    let length = 0
    for (const buffer of buffers) {
      starts.push(length)
      length += buffer.length
    }
    this.#memory = memory
    this.#buffers = buffers
    this.#starts = starts
    this.length = length
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(this.#clip(offset, length))
    this.readInto(offset, bytes)
    return bytes
  }

  /** The bytes themselves: see {@link Chain.view}. */
  view(offset: number, length: number): Uint8Array[] {
    const pieces: Uint8Array[] = []
    this.#pieces(offset, this.#clip(offset, length), (gpa, size) => this.#memory.pieces(gpa, size, pieces))
    return pieces
  }

  fill<T>(offset: number, length: number, use: (pieces: readonly Uint8Array[]) => T): T {
    const wanted = this.#clip(offset, length)
    const pieces: Uint8Array[] = []
    this.#pieces(offset, wanted, (gpa, size) => this.#memory.piecesToWrite(gpa, size, pieces))
    try {
      return use(pieces)
    } finally {
      this.#pieces(offset, wanted, (gpa, size) => this.#memory.written(gpa, size))
    }
  }

  readInto(offset: number, bytes: Uint8Array): number {
    const wanted = this.#clip(offset, bytes.length)
    this.#pieces(offset, wanted, (gpa, size, done) => this.#memory.readInto(gpa, bytes.subarray(done, done + size)))
    return wanted
  }

  write(offset: number, bytes: Uint8Array): number {
    const wanted = this.#clip(offset, bytes.length)
    this.#pieces(offset, wanted, (gpa, size, done) => this.#memory.write(gpa, bytes.subarray(done, done + size)))
    return wanted
  }

  #clip(offset: number, length: number): number {
    return Math.max(0, Math.min(length, this.length - offset))
  }

  #pieces(offset: number, length: number, act: (gpa: number, size: number, done: number) => void): void {
    let index = this.#bufferAt(offset)
    for (let done = 0; done < length; index++) {
      const { gpa, length: size } = this.#buffers[index]
      const within = offset + done - this.#starts[index]
      const piece = Math.min(size - within, length - done)
      if (piece > 0) act(gpa + within, piece, done)
      done += piece
    }
  }

  /** Index of the last buffer that begins at or before `offset`. */
  #bufferAt(offset: number): number {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle] <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Its buffers have been checked: they lie in RAM, and readable ones come first. */
export class DescriptorChain implements Chain {
  readonly id: number
  readonly buffers: readonly ChainBuffer[]
  /** Descriptors of the ring that it takes, an indirect table counting as one: what a packed ring skips. */
  readonly slots: number
  readonly #readable: Run
  readonly #writable: Run

  constructor(memory: QueueMemory, id: number, slots: number, buffers: readonly ChainBuffer[]) {
    this.id = id
    this.slots = slots
    this.buffers = buffers
    this.#readable = new Run(
      memory,
      buffers.filter(buffer => !buffer.writable),
    )
    this.#writable = new Run(
      memory,
      buffers.filter(buffer => buffer.writable),
    )
  }

  static restore(memory: QueueMemory, saved: SavedState): DescriptorChain {
    const buffers = saved.parts('buffers').map(buffer => ({
      gpa: buffer.number('gpa'),
      length: buffer.number('length'),
      writable: buffer.boolean('writable'),
    }))
    for (const { gpa, length } of buffers)
      if (length !== 0 && !memory.contains(gpa, length))
        throw new Error('saved state of a virtqueue: a buffer is not in RAM; the snapshot is damaged')
    return new DescriptorChain(memory, saved.number('id'), saved.number('slots'), buffers)
  }

  get readableLength(): number {
    return this.#readable.length
  }

  get writableLength(): number {
    return this.#writable.length
  }

  read(offset: number, length: number): Uint8Array {
    return this.#readable.read(offset, length)
  }

  readInto(offset: number, bytes: Uint8Array): number {
    return this.#readable.readInto(offset, bytes)
  }

  readWritable(offset: number, length: number): Uint8Array {
    return this.#writable.read(offset, length)
  }

  write(offset: number, bytes: Uint8Array): number {
    return this.#writable.write(offset, bytes)
  }

  view(offset: number, length: number): readonly Uint8Array[] {
    return this.#readable.view(offset, length)
  }

  fill<T>(offset: number, length: number, use: (pieces: readonly Uint8Array[]) => T): T {
    return this.#writable.fill(offset, length, use)
  }

  save(): Json {
    return { id: this.id, slots: this.slots, buffers: this.buffers.map(buffer => ({ ...buffer })) }
  }
}
