/** `node:zlib` of the browser's bundle: what compressed sections and kernels need. There is no zstd. */

import { Gunzip, Unzlib, zlibSync } from 'fflate'

interface Options {
  readonly maxOutputLength?: number
}

export const constants = { Z_BEST_SPEED: 1 }

export const inflateSync = (bytes: Uint8Array, options?: Options): Buffer => decompress(Unzlib, bytes, options)

export const gunzipSync = (bytes: Uint8Array, options?: Options): Buffer => decompress(Gunzip, bytes, options)

export const deflateSync = (bytes: Uint8Array): Buffer => Buffer.from(zlibSync(bytes, { level: 1 }))

/** Node's own would be a function; what asks for it looks first. */
export const zstdDecompressSync = undefined

/** Piece by piece, so that a small input can't become more than is wanted. */
const PIECE = 65_536

function decompress(Stream: typeof Gunzip | typeof Unzlib, bytes: Uint8Array, options: Options = {}): Buffer {
  const { maxOutputLength = Number.POSITIVE_INFINITY } = options
  const parts: Uint8Array[] = []
  let length = 0
  const stream = new Stream(part => {
    length += part.length
    if (length > maxOutputLength) throw new RangeError(`it is larger than ${maxOutputLength} bytes`)
    parts.push(part)
  })
  for (let at = 0; at < bytes.length; at += PIECE)
    stream.push(bytes.subarray(at, at + PIECE), at + PIECE >= bytes.length)
  return Buffer.concat(parts)
}
