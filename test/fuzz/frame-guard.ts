/** Notices writes to frames that are not a guest's: its neighbours', free ones, and the EPT tables. */

import { FRAMES_BASE } from '../../src/engine/layout.ts'
import type { Guest } from '../engine/guest/guest.ts'

interface Range {
  readonly start: number
  readonly end: number
}

export class FrameGuard {
  readonly #memory: Uint8Array
  readonly #ranges: readonly Range[]
  readonly #copy: Uint8Array

  /** What is in the other frames now must stay. */
  constructor(guest: Guest) {
    this.#memory = guest.host.memory.u8
    this.#ranges = otherFrames(guest, this.#memory.length)
    this.#copy = this.#memory.slice(FRAMES_BASE)
  }

  /** Throws when a byte has changed. EPT rights must be as they were. */
  check(): void {
    for (const { start, end } of this.#ranges) {
      const now = Buffer.from(this.#memory.buffer, start, end - start)
      const before = this.#copy.subarray(start - FRAMES_BASE, end - FRAMES_BASE)
      if (now.equals(before)) continue
      const at = now.findIndex((byte, i) => byte !== before[i])
      throw new Error(`host memory at 0x${(start + at).toString(16)} was written, which is in no frame of the guest`)
    }
  }
}

function otherFrames(guest: Guest, size: number): Range[] {
  const own = new Set<number>()
  for (const { hpa, length } of guest.ept.ranges()) for (let at = 0; at < length; at += 4096) own.add(hpa + at)
  const ranges: Range[] = []
  let start = FRAMES_BASE
  for (let frame = FRAMES_BASE; frame <= size; frame += 4096) {
    if (frame < size && !own.has(frame)) continue
    if (frame > start) ranges.push({ start, end: frame })
    start = frame + 4096
  }
  return ranges
}
