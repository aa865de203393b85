/** Data in pieces of memory, one behind the other: a guest's buffers, as they lie in its memory. */

/** Bytes of all together. */
export function lengthOf(pieces: readonly Uint8Array[]): number {
  let length = 0
  for (const piece of pieces) length += piece.length
  return length
}

/** Copies pieces into `bytes`, which has room for all. */
export function gather(pieces: readonly Uint8Array[], bytes: Uint8Array): Uint8Array {
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** What is left of pieces when `done` bytes of them are. */
export function rest(pieces: readonly Uint8Array[], done: number): Uint8Array[] {
  let index = 0
  let left = done
  while (index < pieces.length && left >= pieces[index].length) left -= pieces[index++].length
  const behind = pieces.slice(index)
  if (left > 0) behind[0] = behind[0].subarray(left)
  return behind
}
