/** Data that came before what precedes them, until the gap is closed; bounded. */

import { sequenceDistance } from '../frame/tcp.ts'

/** Pieces and bytes; the sender sends again what does not fit. */
const MOST_PIECES = 128
const MOST_BYTES = 512 * 1024

interface Piece {
  readonly sequence: number
  readonly data: Uint8Array
}

export class EarlySegments {
  /** By sequence number. */
  #pieces: Piece[] = []
  #bytes = 0

  get size(): number {
    return this.#pieces.length
  }

  add(sequence: number, data: Uint8Array): void {
    if (this.#pieces.length >= MOST_PIECES || this.#bytes + data.length > MOST_BYTES) return
    const at = this.#pieces.findIndex(piece => sequenceDistance(sequence, piece.sequence) <= 0)
    const next = this.#pieces[at]
    if (next?.sequence === sequence && next.data.length >= data.length) return
    this.#pieces.splice(at < 0 ? this.#pieces.length : at, 0, { sequence, data })
    this.#bytes += data.length
  }

  /** The next bytes from `sequence` on; undefined while they are missing. What lies before is forgotten. */
  take(sequence: number): Uint8Array | undefined {
    for (;;) {
      const first = this.#pieces[0]
      if (first === undefined) return undefined
      const known = sequenceDistance(sequence, first.sequence)
      if (known < 0) return undefined
      this.#pieces.shift()
      this.#bytes -= first.data.length
      if (known < first.data.length) return first.data.subarray(known)
    }
  }

  clear(): void {
    this.#pieces = []
    this.#bytes = 0
  }
}
