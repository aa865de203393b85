/** A disk in memory, for tests and measurements: what is written to it is gone with it. */

import { type Disk, DiskError, SECTOR_SIZE } from './disk.ts'
import { checkRange, checkWrite, sectorsOf } from './disk-range.ts'

export class MemoryDisk implements Disk {
  readonly name: string
  readonly readOnly: boolean
  readonly bytes: Uint8Array
  /** How often {@link flush} was called. */
  flushes = 0

  /** @param bytes the contents, used in place; whole sectors. */
  constructor(bytes: Uint8Array, options: { readonly name?: string; readonly readOnly?: boolean } = {}) {
    this.name = options.name ?? 'memory'
    this.readOnly = options.readOnly ?? false
    this.bytes = bytes
    if (bytes.length === 0 || bytes.length % SECTOR_SIZE !== 0)
      throw new DiskError(
        `disk "${this.name}": ${bytes.length} bytes is not a multiple of the ${SECTOR_SIZE}-byte sector`,
      )
  }

  get sectors(): number {
    return this.bytes.length / SECTOR_SIZE
  }

  read(sector: number, count: number): Uint8Array {
    checkRange(this, sector, count)
    return this.bytes.slice(sector * SECTOR_SIZE, (sector + count) * SECTOR_SIZE)
  }

  readInto(sector: number, bytes: Uint8Array): void {
    this.readPieces(sector, [bytes])
  }

  readPieces(sector: number, pieces: readonly Uint8Array[]): void {
    checkRange(this, sector, sectorsOf(this, pieces))
    let at = sector * SECTOR_SIZE
    for (const piece of pieces) {
      piece.set(this.bytes.subarray(at, at + piece.length))
      at += piece.length
    }
  }

  write(sector: number, bytes: Uint8Array): void {
    this.writePieces(sector, [bytes])
  }

  writePieces(sector: number, pieces: readonly Uint8Array[]): void {
    checkWrite(this, sector, sectorsOf(this, pieces))
    let at = sector * SECTOR_SIZE
    for (const piece of pieces) {
      this.bytes.set(piece, at)
      at += piece.length
    }
  }

  flush(): void {
    this.flushes++
  }

  discard(sector: number, count: number): void {
    this.writeZeroes(sector, count)
  }

  writeZeroes(sector: number, count: number): void {
    checkWrite(this, sector, count)
    this.bytes.fill(0, sector * SECTOR_SIZE, (sector + count) * SECTOR_SIZE)
  }

  close(): void {}
}
