import { expect, test } from 'vitest'
import { gather, lengthOf, rest } from '../../../src/backends/disk/pieces.ts'

const PIECES = [Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4, 5, 6)]

test('what a host moves only a part of goes on at the byte behind it, within a piece or between two', () => {
  for (let done = 0; done <= 6; done++) {
    const behind = rest(PIECES, done)
    expect([...gather(behind, new Uint8Array(lengthOf(behind)))]).toEqual([1, 2, 3, 4, 5, 6].slice(done))
    expect(behind.every(({ length }) => length > 0)).toBe(true)
  }
})
