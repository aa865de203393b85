/** System behaviour of ring 3 against outcomes recorded from a processor; `npm run test:silicon` records and checks them. */

import { describe, expect, it } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { Host, TIERS } from '../engine/guest/guest.ts'
import { KNOWN_DIFFERENCES } from './known-differences.ts'
import { outcomesInEngine } from './outcomes.ts'
import { differences, readRecorded } from './recorded.ts'
import { SCENARIOS } from './scenarios.ts'

describe('what a processor did', () => {
  const recorded = readRecorded()

  it('was recorded for every scenario, and each has a name of its own', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length)
    expect(recorded.lines.length).toBe(SCENARIOS.length)
    expect(recorded.lines.filter((line, index) => !line.startsWith(`${SCENARIOS[index].name}: #`))).toEqual([])
  })

  it.each(TIERS)('is what the engine does, $tier, but for known differences', ({ hotEntries }) => {
    const found = differences(recorded.lines, outcomesInEngine(new Host({ hotEntries, model: parseCpuModel('v3') })))
    const unknown = found.filter(({ name }) => !KNOWN_DIFFERENCES.some(({ scenarios }) => scenarios.test(name)))
    expect(unknown).toEqual([])
    const stale = KNOWN_DIFFERENCES.filter(({ scenarios }) => !found.some(({ name }) => scenarios.test(name)))
    expect(stale).toEqual([])
  })
})
