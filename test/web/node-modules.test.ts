/** What stands in for Node's modules in a browser does what Node's does. */

import * as crypto from 'node:crypto'
import * as zlib from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { createHash } from '../../src/web/node/crypto.ts'
import { gunzipSync, inflateSync } from '../../src/web/node/zlib.ts'

const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7))

test('a hash', () => {
  expect(createHash('sha256').update(BYTES).digest('hex')).toBe(crypto.createHash('sha256').update(BYTES).digest('hex'))
  expect(() => createHash('md5')).toThrow('md5 is not there')
})

describe('decompression', () => {
  const streams = [
    { name: 'zlib', decompress: inflateSync, compressed: zlib.deflateSync(BYTES) },
    { name: 'gzip', decompress: gunzipSync, compressed: zlib.gzipSync(BYTES) },
  ]

  test.each(streams)('of $name', ({ decompress, compressed }) => {
    expect(decompress(compressed, { maxOutputLength: BYTES.length }).equals(BYTES)).toBe(true)
  })

  test.each(streams)('of $name ends where it becomes more than is wanted', ({ decompress, compressed }) => {
    expect(() => decompress(compressed, { maxOutputLength: BYTES.length - 1 })).toThrow('larger than')
  })

  test.each(streams)('of damaged $name fails', ({ decompress, compressed }) => {
    const damaged = Buffer.from(compressed)
    damaged.fill(0xff, 20, 60)
    expect(() => decompress(damaged, { maxOutputLength: BYTES.length })).toThrow()
  })
})
