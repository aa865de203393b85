/** A short run of `npm run fuzz:virtio`, and the seeds that once failed. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { VirtioNoise } from './virtio-noise.ts'
import { parseSeeds, SEEDS_FILE } from './virtio-seeds.ts'
import { VIRTIO_SUBJECTS } from './virtio-subjects.ts'

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
  for (const { device, seed, operations } of parseSeeds(readFileSync(SEEDS_FILE, 'utf8')))
    new VirtioNoise(VIRTIO_SUBJECTS[device], seed).play(operations)
})
