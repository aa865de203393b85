/**
 * A file of the host whose bytes are the disk's sectors. It never grows, shrinks, or changes where the guest did not
 * write. Every access is synchronous: it is over, or has failed, when the method returns.
 */

import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readvSync,
  type Stats,
  statSync,
  writevSync,
} from 'node:fs'
import { type Disk, DiskError, SECTOR_SIZE } from './disk.ts'
import { DiskLock } from './disk-lock.ts'
import { checkRange, checkWrite, sectorsOf } from './disk-range.ts'
import { rest } from './pieces.ts'

/** Pieces of memory that Linux moves by one call (IOV_MAX). */
const MOST_PIECES = 1024
/** Bytes of zeroes written, and looked for, at once. */
const ZEROES = new Uint8Array(64 * 1024)

export interface RawDiskOptions {
  readonly readOnly?: boolean
  /** The file belongs to a machine of this process already, which has it locked. */
  readonly locked?: boolean
}

export class RawDisk implements Disk {
  readonly name: string
  readonly readOnly: boolean
  readonly sectors: number
  readonly #lock: DiskLock | undefined
  #file: number | undefined

  /** Throws {@link DiskError} with what is wrong with the file. */
  constructor(path: string, options: RawDiskOptions = {}) {
    this.name = path
    this.readOnly = options.readOnly ?? false
    const stats = this.#check()
    this.#lock = this.readOnly || options.locked ? undefined : DiskLock.take(path, stats)
    try {
      this.#file = this.#on('be opened', () => openSync(path, this.readOnly ? constants.O_RDONLY : constants.O_RDWR))
      // What was opened counts, not what the name meant before.
      this.sectors = this.#sectorsOf(fstatSync(this.#file))
    } catch (error) {
      this.close()
      throw error
    }
  }

  read(sector: number, count: number): Uint8Array {
    checkRange(this, sector, count)
    const bytes = new Uint8Array(count * SECTOR_SIZE)
    this.readInto(sector, bytes)
    return bytes
  }

  readInto(sector: number, bytes: Uint8Array): void {
    this.readPieces(sector, [bytes])
  }

  readPieces(sector: number, pieces: readonly Uint8Array[]): void {
    checkRange(this, sector, sectorsOf(this, pieces))
    const file = this.#open()
    this.#move(sector * SECTOR_SIZE, pieces, (batch, at) => {
      const length = this.#on('be read', () => readvSync(file, batch, at))
      if (length === 0) throw new DiskError(`disk "${this.name}" has become shorter than it was: it ends at byte ${at}`)
      return length
    })
  }

  write(sector: number, bytes: Uint8Array): void {
    this.writePieces(sector, [bytes])
  }

  writePieces(sector: number, pieces: readonly Uint8Array[]): void {
    checkWrite(this, sector, sectorsOf(this, pieces))
    this.#write(sector * SECTOR_SIZE, pieces)
  }

  flush(): void {
    if (this.readOnly) return
    const file = this.#open()
    this.#on('be flushed', () => fdatasyncSync(file))
  }

  /** Node.js can't punch holes, so that this is {@link writeZeroes}. */
  discard(sector: number, count: number): void {
    this.writeZeroes(sector, count)
  }

  /** What is zero already is not written, so that a hole in the file stays one. */
  writeZeroes(sector: number, count: number): void {
    checkWrite(this, sector, count)
    for (let done = 0; done < count; ) {
      const sectors = Math.min(count - done, ZEROES.length / SECTOR_SIZE)
      const zeroes = ZEROES.subarray(0, sectors * SECTOR_SIZE)
      const present = this.read(sector + done, sectors)
      if (Buffer.compare(present, zeroes) !== 0) this.#write((sector + done) * SECTOR_SIZE, [zeroes])
      done += sectors
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
    this.#lock?.release()
  }

  /** A write that the host cuts short is continued: either all of it happens, or the host says what is wrong. */
  #write(position: number, pieces: readonly Uint8Array[]): void {
    const file = this.#open()
    this.#move(position, pieces, (batch, at) => {
      const length = this.#on('be written', () => writevSync(file, batch, at))
      if (length === 0) throw new DiskError(`disk "${this.name}" can't be written: the host takes no more bytes`)
      return length
    })
  }

  /** Has all pieces moved, from a byte of the file on. @param move moves some of a batch; returns how many bytes. */
  #move(position: number, pieces: readonly Uint8Array[], move: (batch: Uint8Array[], at: number) => number): void {
    let at = position
    for (let first = 0; first < pieces.length; first += MOST_PIECES) {
      let batch = pieces.slice(first, first + MOST_PIECES).filter(({ length }) => length > 0)
      while (batch.length > 0) {
        const moved = move(batch, at)
        at += moved
        batch = rest(batch, moved)
      }
    }
  }

  #open(): number {
    if (this.#file === undefined) throw new DiskError(`disk "${this.name}" is closed`)
    return this.#file
  }

  /** Before it is opened: opening a FIFO would wait for its other end. */
  #check(): Stats {
    const stats = this.#on('be opened', () => statSync(this.name))
    this.#sectorsOf(stats)
    return stats
  }

  #sectorsOf(stats: Stats): number {
    if (stats.isDirectory()) throw new DiskError(`disk "${this.name}" is a directory; name a file with a disk image`)
    if (!stats.isFile())
      throw new DiskError(`disk "${this.name}" is no regular file; copy the device into an image file, and use that`)
    if (stats.size === 0)
      throw new DiskError(`disk "${this.name}" is empty; give it a size, for example by truncate -s 64M`)
    if (stats.size % SECTOR_SIZE !== 0)
      throw new DiskError(
        `disk "${this.name}": ${stats.size} bytes is not a multiple of the ${SECTOR_SIZE}-byte sector`,
      )
    return stats.size / SECTOR_SIZE
  }

  #on<T>(what: string, action: () => T): T {
    try {
      return action()
    } catch (error) {
      throw new DiskError(`disk "${this.name}" can't ${what}: ${reasonOf(error)}`, { cause: error })
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EACCES' || code === 'EPERM')
    return 'permission denied; a disk with "readonly" needs to be readable only'
  if (code === 'EROFS') return 'its file system is read-only; add "readonly" to the disk'
  if (code === 'ENOSPC') return 'no space is left on the host'
  return error.message
}
