/**
 * What serves a disk's requests, whichever thread does it: a device submits commands and is answered, at once or
 * later, in the order in which it asked.
 */

import { type Disk, DiskError, SECTOR_SIZE } from './disk.ts'
import { checkRange } from './disk-range.ts'

export type DiskCommand =
  | {
      readonly kind: 'read'
      readonly sector: number
      readonly count: number
      /**
       * For a back end that answers within {@link DiskBackend.submit}: has `read` called with the pieces of memory that
       * the data is for. Others answer with bytes.
       */
      readonly fill?: (read: (pieces: readonly Uint8Array[]) => void) => void
    }
  /** Pieces together are whole sectors; they are the back end's only until {@link DiskBackend.submit} returns. */
  | { readonly kind: 'write'; readonly sector: number; readonly pieces: readonly Uint8Array[] }
  | { readonly kind: 'flush' }
  | { readonly kind: 'discard' | 'write-zeroes'; readonly sector: number; readonly count: number }

export type DiskAnswer =
  /**
   * `bytes` are those of a read, and may be used only until the callback returns; else there are none. A read that was
   * `filled` has its data where it belongs.
   */
  | { readonly ok: true; readonly bytes: Uint8Array; readonly filled?: true }
  | { readonly ok: false; readonly reason: string }

export interface DiskBackend {
  /** As the user named the disk. */
  readonly name: string
  readonly sectors: number
  readonly readOnly: boolean
  /**
   * Begins a command; `answer` is called once, during this call or during a later one of the VM's thread.
   * @returns false when there is no room for it now: submit it again after an answer.
   */
  submit(command: DiskCommand, answer: (answer: DiskAnswer) => void): boolean
  /** What was submitted is not answered any more, whether it is carried out or not. */
  cancel(): void
  close(): void
}

const NOTHING = new Uint8Array(0)

/**
 * Carries a command out. Never throws: what the host refuses is an answer.
 * @param room where what is read goes: as many bytes.
 */
export function execute(disk: Disk, command: DiskCommand, room: (bytes: number) => Uint8Array): DiskAnswer {
  try {
    switch (command.kind) {
      case 'read': {
        checkRange(disk, command.sector, command.count)
        if (command.fill !== undefined) {
          command.fill(pieces => disk.readPieces(command.sector, pieces))
          return { ok: true, bytes: NOTHING, filled: true }
        }
        const bytes = room(command.count * SECTOR_SIZE)
        disk.readInto(command.sector, bytes)
        return { ok: true, bytes }
      }
      case 'write':
        disk.writePieces(command.sector, command.pieces)
        break
      case 'flush':
        disk.flush()
        break
      case 'discard':
        disk.discard(command.sector, command.count)
        break
      case 'write-zeroes':
        disk.writeZeroes(command.sector, command.count)
        break
    }
    return { ok: true, bytes: NOTHING }
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    return { ok: false, reason: error.message }
  }
}

/** The VM's own thread serves the disk: every run is the same. */
export class InThreadBackend implements DiskBackend {
  readonly #disk: Disk
  /** What the last request read, and room for the next: new memory for each would have to be collected. */
  #buffer = new Uint8Array(0)

  constructor(disk: Disk) {
    this.#disk = disk
  }

  get name(): string {
    return this.#disk.name
  }

  get sectors(): number {
    return this.#disk.sectors
  }

  get readOnly(): boolean {
    return this.#disk.readOnly
  }

  submit(command: DiskCommand, answer: (answer: DiskAnswer) => void): boolean {
    answer(execute(this.#disk, command, bytes => this.#room(bytes)))
    return true
  }

  #room(bytes: number): Uint8Array {
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(bytes)
    return this.#buffer.subarray(0, bytes)
  }

  /** Nothing is ever under way. */
  cancel(): void {}

  close(): void {
    this.#disk.close()
  }
}
