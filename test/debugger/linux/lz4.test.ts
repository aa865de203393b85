import { expect, test } from 'vitest'
import { decompressLegacyLz4 } from '../../../src/debugger/linux/lz4.ts'

const MAGIC = [0x02, 0x21, 0x4c, 0x18]
const MOST = 2 ** 24
const block = (...bytes: number[]) => [bytes.length & 0xff, bytes.length >> 8, 0, 0, ...bytes]
const frame = (...blocks: number[][]) => Uint8Array.from([...MAGIC, ...blocks.flat()])
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1')
const codes = (characters: string) => [...Buffer.from(characters, 'latin1')]

test('literals, matches that overlap what they write, and blocks one after the other', () => {
  // 3 literals and a match of 4 + 4 bytes at distance 3; then the last 2 literals.
  const first = block(0x34, ...codes('abc'), 3, 0, 0x20, ...codes('de'))
  expect(text(decompressLegacyLz4(frame(first), MOST))).toBe('abcabcabcabde')
  const second = block(0x40, ...codes('wxyz'))
  expect(text(decompressLegacyLz4(frame(first, second), MOST))).toBe('abcabcabcabdewxyz')
})

test('lengths of more than 14 go on in bytes behind them', () => {
  const literals = 'x'.repeat(15 + 255 + 2)
  const long = block(0xf0, 255, 2, ...codes(literals))
  expect(text(decompressLegacyLz4(frame(long), MOST))).toBe(literals)
  const match = block(0x1f, ...codes('y'), 1, 0, 255, 0, 0x10, ...codes('z'))
  expect(text(decompressLegacyLz4(frame(match), MOST))).toBe(`${'y'.repeat(1 + 4 + 15 + 255)}z`)
})

test.each([
  ['another magic number', Uint8Array.of(1, 2, 3, 4)],
  ['a block that is cut off', frame(block(0x40, ...codes('wxyz'))).subarray(0, 10)],
  ['a size that is cut off', Uint8Array.from([...MAGIC, 1, 0])],
  ['literals that are not there', frame(block(0x90, 1))],
  ['a length without an end', frame(block(0xf0, 255, 255))],
  ['a match before the beginning', frame(block(0x14, 65, 9, 0, 0x10, 66))],
  ['a match at distance 0', frame(block(0x14, 65, 0, 0, 0x10, 66))],
  ['a match at the end', frame(block(0x14, 65, 1, 0))],
])('%s is no frame', (_what, bytes) => {
  expect(decompressLegacyLz4(bytes, MOST)).toBeUndefined()
})

test('more than is allowed is refused, and a bomb ends at the size of a block', () => {
  const eight = frame(block(0x40, ...codes('wxyz')), block(0x40, ...codes('wxyz')))
  expect(decompressLegacyLz4(eight, 8)).toHaveLength(8)
  expect(decompressLegacyLz4(eight, 7)).toBeUndefined()
  const bomb = [...MAGIC, 0, 0xa0, 0, 0, 0x1f, 65, 1, 0, ...new Array<number>(0xa000 - 4).fill(255)]
  expect(decompressLegacyLz4(Uint8Array.from(bomb), MOST)).toBeUndefined()
})
