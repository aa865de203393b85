/**
 * LZ4 as a bzImage has it: the "legacy" frame (lz4_Frame_format.md, Legacy frame: the magic number, then blocks with
 * their sizes in front), each block by itself (lz4_Block_format.md). Node has no decompressor for it.
 */

const LEGACY_MAGIC = 0x184c2102
/** What a block of a legacy frame holds decompressed, at most. */
const LARGEST_BLOCK = 8 * 2 ** 20
const SHORTEST_MATCH = 4
/** A length that does not fit into its half of the token goes on in bytes behind it. */
const LENGTH_GOES_ON = 15

export const isLegacyLz4 = (bytes: Uint8Array): boolean => bytes.length >= 4 && wordAt(bytes, 0) === LEGACY_MAGIC

/** undefined when `bytes` is no complete frame, or holds more than `most` bytes. */
export function decompressLegacyLz4(bytes: Uint8Array, most: number): Uint8Array | undefined {
  if (!isLegacyLz4(bytes)) return undefined
  const blocks: Uint8Array[] = []
  let total = 0
  for (let at = 4; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined
    const size = wordAt(bytes, at)
    at += 4
    const block = at + size <= bytes.length ? decompressBlock(bytes.subarray(at, at + size)) : undefined
    if (block === undefined) return undefined
    total += block.length
    if (total > most) return undefined
    blocks.push(block)
    at += size
  }
  return Buffer.concat(blocks)
}

/** Sequences of literals and a match, which repeats what has been written before; the last has no match. */
function decompressBlock(block: Uint8Array): Uint8Array | undefined {
  const out = new Uint8Array(LARGEST_BLOCK)
  let written = 0
  let at = 0
  const length = (half: number): number => {
    let sum = half
    for (let more = half === LENGTH_GOES_ON; more; at++) {
      sum += block[at] ?? Number.POSITIVE_INFINITY
      more = block[at] === 0xff
    }
    return sum
  }
  while (at < block.length) {
    const token = block[at++]
    const literals = length(token >> 4)
    if (at + literals > block.length || written + literals > out.length) return undefined
    out.set(block.subarray(at, at + literals), written)
    at += literals
    written += literals
    if (at === block.length) return out.subarray(0, written)
    if (at + 2 > block.length) return undefined
    const distance = block[at] | (block[at + 1] << 8)
    at += 2
    const match = length(token & 15) + SHORTEST_MATCH
    if (distance === 0 || distance > written || written + match > out.length) return undefined
    // It may overlap what it writes: one byte after the other.
    if (distance >= match) out.copyWithin(written, written - distance, written - distance + match)
    else for (let i = 0; i < match; i++) out[written + i] = out[written + i - distance]
    written += match
  }
  return undefined
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
