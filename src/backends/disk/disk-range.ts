/** Checks that every disk makes before it touches its medium. */

import { type Disk, DiskError, SECTOR_SIZE } from './disk.ts'
import { lengthOf } from './pieces.ts'

/** Bytes that one request moves at most: whoever asks for more splits it. */
export const MAXIMUM_REQUEST_BYTES = 16 * 2 ** 20
export const MAXIMUM_REQUEST_SECTORS = MAXIMUM_REQUEST_BYTES / SECTOR_SIZE

/** Throws {@link DiskError} unless these sectors are the disk's, and not too many for one request. */
export function checkRange(disk: Disk, sector: number, count: number): void {
  if (!Number.isSafeInteger(sector) || !Number.isSafeInteger(count) || sector < 0 || count < 0)
    throw new DiskError(`disk "${disk.name}": ${count} sectors from sector ${sector} are no range of sectors`)
  if (sector + count > disk.sectors)
    throw new DiskError(
      `disk "${disk.name}": ${count} sectors from sector ${sector} end beyond the disk, which has ${disk.sectors}`,
    )
  if (count > MAXIMUM_REQUEST_SECTORS)
    throw new DiskError(
      `disk "${disk.name}": ${count} sectors at once; at most ${MAXIMUM_REQUEST_SECTORS} are possible`,
    )
}

/** As {@link checkRange}, for what changes the disk. */
export function checkWrite(disk: Disk, sector: number, count: number): void {
  if (disk.readOnly) throw new DiskError(`disk "${disk.name}" is read-only`)
  checkRange(disk, sector, count)
}

/** Sectors in all `pieces` together; throws {@link DiskError} when they are not whole. */
export function sectorsOf(disk: Disk, pieces: readonly Uint8Array[]): number {
  const bytes = lengthOf(pieces)
  if (bytes % SECTOR_SIZE !== 0)
    throw new DiskError(`disk "${disk.name}": ${bytes} bytes are no whole sectors of ${SECTOR_SIZE}`)
  return bytes / SECTOR_SIZE
}
