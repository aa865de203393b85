/** Debian's memtest86+, the 64-bit and the 32-bit one: a whole pass over 64 MB, on every model of the processor. */

import { describe, expect, test } from 'vitest'
import { MODEL_NAMES } from '../../src/engine/cpu-model.ts'
import { ringside } from '../support/ringside-command.ts'
import { findPackaged } from './packages.ts'

/** Seconds of wall time: 170 to 350 on a processor of its own. */
const LIMIT = 1800
/** What the status line says after a pass without an error; otherwise it is "Failed". */
const PASSED = 'Status: Pass '
/** Of a pass: the last test, and some before it; the screen shows one of them every other second. */
const LAST_TEST = '#10 [Bit fade test'
const OTHER_TESTS = ['#5  [Moving inversions', '#6  [Moving inversions', '#8  [Random number sequence']

describe.each(['memtest64', 'memtest32'] as const)('memtest86+ (%s)', name => {
  const image = findPackaged(name)
  if (image === undefined) {
    test.skip("needs Debian's package memtest86+: npm run fetch-guests")
    return
  }
  test.each(MODEL_NAMES)(
    'completes a pass on 64 MB without an error, on the model %s',
    async model => {
      const { status, stdout, stderr } = await ringside([
        ...['run', image, '--memory', '64M', '--cpu', model, '--until', PASSED, '--timeout', String(LIMIT)],
        ...['--cmdline', 'console=ttyS0,115200 nopause nobench nosm nosmp'],
      ])
      expect(stderr).toBe('')
      expect(status).toBe(0)
      expect(new Set(stdout.match(/Errors: *\d+/g)?.map(text => Number(text.slice(7))))).toEqual(new Set([0]))
      for (const title of [...OTHER_TESTS, LAST_TEST]) expect(stdout).toContain(title)
    },
    (LIMIT + 30) * 1000,
  )
})
