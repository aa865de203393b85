/** Finding a multiboot header: a magic number at an aligned offset of the first bytes, with a checksum after it. */

export interface HeaderSearch {
  readonly magic: number
  /** Bytes between candidates. */
  readonly align: number
  /** The whole header must lie in this many first bytes. */
  readonly within: number
  /** Number of 32-bit words from the magic on that sum up to 0. */
  readonly checksumWords: number
}

/** Offset of the header, or undefined. Never throws. */
export function findHeader(image: Uint8Array, search: HeaderSearch): number | undefined {
  const data = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const end = Math.min(image.length, search.within) - search.checksumWords * 4
  for (let at = 0; at <= end; at += search.align) {
    if (data.getUint32(at, true) !== search.magic) continue
    let sum = 0
    for (let word = 0; word < search.checksumWords; word++) sum = (sum + data.getUint32(at + word * 4, true)) >>> 0
    if (sum === 0) return at
  }
  return undefined
}
