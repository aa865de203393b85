/** A short run of `npm run fuzz:virtio`, and the seeds that once failed. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { VirtioNoise } from './virtio-noise.ts'
import { parseSeeds, SEEDS_FILE } from './virtio-seeds.ts'
import { VIRTIO_SUBJECTS } from './virtio-subjects.ts'
import { VIRTIO_TRANSPORTS } from './virtio-transports.ts'

const OPERATIONS = 2000
const SEEDS = [1, 2, 3, 4, 5]

describe.each(Object.keys(VIRTIO_SUBJECTS))('the device %s', name => {
  test('bears drivers of noise, and they reach it', () => {
    let used = 0
    let broken = 0
    for (const seed of SEEDS) {
      const noise = new VirtioNoise(VIRTIO_SUBJECTS[name], seed)
      noise.play(OPERATIONS)
      used += noise.report.used
      broken += noise.report.broken
    }
    expect(used).toBeGreaterThan(0)
    expect(broken).toBeGreaterThan(0)
  })
})

test.each(VIRTIO_TRANSPORTS)('over %s, too, drivers of noise are borne, and they reach the device', transport => {
  const total = { kicks: 0, used: 0, broken: 0, resets: 0 }
  for (const seed of SEEDS) {
    const noise = new VirtioNoise(VIRTIO_SUBJECTS.block, seed, transport)
    noise.play(OPERATIONS)
    total.kicks += noise.report.kicks
    total.used += noise.report.used
    total.broken += noise.report.broken
    total.resets += noise.report.resets
  }
  expect(Object.entries(total).filter(([, count]) => count === 0)).toEqual([])
})

test('the same seed plays the same', () => {
  const reports = [7, 7, 8].map(seed => {
    const noise = new VirtioNoise(VIRTIO_SUBJECTS.echo, seed)
    noise.play(500)
    return { ...noise.report, memory: noise.bench.memory.bytes.reduce((sum, byte, i) => (sum + byte * i) % 65521, 0) }
  })
  expect(reports[1]).toEqual(reports[0])
  expect(reports[2]).not.toEqual(reports[0])
})

test('seeds that once failed do not any more', () => {
  for (const { device, transport, seed, operations } of parseSeeds(readFileSync(SEEDS_FILE, 'utf8')))
    new VirtioNoise(VIRTIO_SUBJECTS[device], seed, transport).play(operations)
})
