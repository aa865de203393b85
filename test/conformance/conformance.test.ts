import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nameOf } from './cells.ts'
import { Comparison, type ComparisonResult, hostCanCompare } from './comparison.ts'

/** `npm run conformance` is the long run. */
const CASES_PER_CELL = 3
const SEED = 1
/** Of all forms that differ so many are shown. */
const SHOWN = 25

describe.skipIf(!hostCanCompare)('instructions do what the processor of the host does (x86-64 Linux only)', () => {
  let comparison: Comparison
  let result: ComparisonResult

  beforeAll(() => {
    comparison = new Comparison()
    result = comparison.run({ seed: SEED, casesPerCell: CASES_PER_CELL, compiledEvery: 50 })
  }, 300_000)
  afterAll(() => comparison.release())

  test('every form leaves the same registers, flags and memory, in both tiers', () => {
    const shown = [...result.failures.values()].slice(0, SHOWN)
    expect.soft(shown.join('\n\n'), `${result.differing} cases differ (host's value first)`).toBe('')
    expect(result.compiledCases).toBeGreaterThan(1000)
  })

  test('every form is compared in every mode that it has, but for those listed with a reason', () => {
    const seen = new Set([...result.cells.keys()].map(({ form, mode }) => `${form.name} ${mode}`))
    const wanted = comparison.forms.compared.flatMap(({ name, modes }) => modes.map(mode => `${name} ${mode}`))
    expect(wanted.filter(each => !seen.has(each))).toEqual([])
    expect(seen.size).toBeGreaterThan(4000)
  })

  test('every cell has all of its cases', () => {
    const few = [...result.cells].filter(([, cases]) => cases < CASES_PER_CELL).map(([cell]) => nameOf(cell))
    expect(few).toEqual([])
  })
})
