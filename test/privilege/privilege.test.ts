/**
 * Descriptors and page rights in rings 0 and 3, every combination, against another implementation: outcomes recorded
 * from QEMU's TCG. `node scripts/privilege.ts` records and compares.
 */

import { expect, it } from 'vitest'
import { compare, linesOf } from './compare.ts'
import { readRecorded } from './recorded.ts'
import { runInEngine } from './run.ts'

it('every access byte of a descriptor and every combination of page rights does what QEMU does, or what the manual says instead', async () => {
  const { cases, known, unknown } = compare(readRecorded(), linesOf(await runInEngine()))
  expect(unknown).toEqual([])
  expect([...known].filter(([, count]) => count === 0).map(([{ reason }]) => reason)).toEqual([])
  expect(cases).toBe(3072 + 93184)
}, 300_000)
