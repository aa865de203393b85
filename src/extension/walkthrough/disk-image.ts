/** The disk that guests/virtqueue reads from: 32 KiB of zeros, and a word in the sector that the kernel asks for. */

export const DISK_NAME = 'walkthrough-disk.img'

const SECTOR_BYTES = 512
const SECTORS = 64
/** `SECTOR` of guests/virtqueue/kernel.c. */
const SECTOR = 2

export function diskImage(): Uint8Array {
  const image = new Uint8Array(SECTORS * SECTOR_BYTES)
  image.set(new TextEncoder().encode('RINGSIDE'), SECTOR * SECTOR_BYTES)
  return image
}
