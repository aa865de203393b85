/** A disk's medium, whatever device the guest reaches it by. */

/** Bytes. */
export const SECTOR_SIZE = 512

/** The medium can't do what was asked: the guest gets an I/O error, and the message is for people. */
export class DiskError extends Error {}

/** Sectors are counted from 0; a range outside the disk throws {@link DiskError}, as does every failure of the host. */
export interface Disk {
  /** As the user named it. */
  readonly name: string
  readonly sectors: number
  readonly readOnly: boolean
  read(sector: number, count: number): Uint8Array
  /** As {@link read}, into memory of the caller's: whole sectors. */
  readInto(sector: number, bytes: Uint8Array): void
  /** As {@link readInto}, into pieces of any lengths, one behind the other: together whole sectors. */
  readPieces(sector: number, pieces: readonly Uint8Array[]): void
  /** @param bytes whole sectors. */
  write(sector: number, bytes: Uint8Array): void
  /** @param pieces together whole sectors. */
  writePieces(sector: number, pieces: readonly Uint8Array[]): void
  /** What was written is on the host's own medium when this returns. */
  flush(): void
  /** The contents of the sectors do not matter any more; they read as zeroes. */
  discard(sector: number, count: number): void
  writeZeroes(sector: number, count: number): void
  close(): void
}
