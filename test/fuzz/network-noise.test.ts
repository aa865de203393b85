/** A short run of `npm run fuzz:network`. */

import { expect, test } from 'vitest'
import { NetworkNoise } from './network-noise.ts'

test('the network bears frames of noise, and they reach it', () => {
  const total = { answers: 0, opened: 0 }
  for (const seed of [1, 2, 3, 4]) {
    const noise = new NetworkNoise(seed)
    noise.play(2000)
    total.answers += noise.report.answers
    total.opened += noise.report.opened
  }
  expect(total.answers).toBeGreaterThan(1000)
  expect(total.opened).toBeGreaterThan(100)
})

test('the same seed plays the same', () => {
  const reports = [7, 7, 8].map(seed => {
    const noise = new NetworkNoise(seed)
    noise.play(1000)
    return noise.report
  })
  expect(reports[1]).toEqual(reports[0])
  expect(reports[2]).not.toEqual(reports[0])
})
