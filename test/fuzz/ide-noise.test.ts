/** A short run of `npm run fuzz:ide`. */

import { expect, test } from 'vitest'
import { IdeNoise } from './ide-noise.ts'

test('whatever a driver does, nothing throws, the disk changes only by writes, and failures of the host are told', () => {
  const total = { commands: 0, sectorsRead: 0, sectorsWritten: 0, hostFailures: 0 }
  for (const seed of [1, 2, 3]) {
    const noise = new IdeNoise(seed)
    noise.play(20_000)
    total.commands += noise.report.commands
    total.sectorsRead += noise.report.sectorsRead
    total.sectorsWritten += noise.report.sectorsWritten
    total.hostFailures += noise.report.hostFailures
  }
  expect(Object.entries(total).filter(([, count]) => count === 0)).toEqual([])
})

test('the same seed plays the same', () => {
  const reports = [5, 5, 6].map(seed => {
    const noise = new IdeNoise(seed)
    noise.play(3000)
    return noise.report
  })
  expect(reports[1]).toEqual(reports[0])
  expect(reports[2]).not.toEqual(reports[0])
})
