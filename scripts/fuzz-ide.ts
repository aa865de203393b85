/**
 * `npm run fuzz:ide`: drivers of noise (test/fuzz/ide-noise.ts) against the IDE function, a million operations unless
 * told otherwise. A seed that fails is named; `--seed` plays it again.
 */

import { parseArgs } from 'node:util'
import { IdeNoise } from '../test/fuzz/ide-noise.ts'

/** Before a new machine. */
const OPERATIONS_EACH = 10_000
/** So many failures need no more examples. */
const MOST_FAILURES = 5

const { values } = parseArgs({
  options: { operations: { type: 'string', default: '1e6' }, seed: { type: 'string', default: '1' } },
})
const [operations, first] = [values.operations, values.seed].map(Number)
if (![operations, first].every(n => Number.isInteger(n) && n > 0)) {
  console.error('usage: npm run fuzz:ide -- [--operations N] [--seed FIRST]')
  process.exit(64)
}

const started = performance.now()
const total = { operations: 0, commands: 0, sectorsRead: 0, sectorsWritten: 0, hostFailures: 0 }
let failures = 0
let seed = first
for (; total.operations < operations && failures < MOST_FAILURES; seed++) {
  const noise = new IdeNoise(seed)
  try {
    noise.play(Math.min(OPERATIONS_EACH, operations - total.operations))
  } catch (error) {
    failures++
    process.exitCode = 1
    console.error(`seed ${seed}, operation ${noise.report.operations}:`, error)
  }
  total.operations += noise.report.operations
  total.commands += noise.report.commands
  total.sectorsRead += noise.report.sectorsRead
  total.sectorsWritten += noise.report.sectorsWritten
  total.hostFailures += noise.report.hostFailures
}
const seconds = ((performance.now() - started) / 1000).toFixed(0)
console.log(
  `ide: seeds ${first} to ${seed - 1}, ${total.operations} operations, ${total.commands} commands, ` +
    `${total.sectorsRead} sectors read, ${total.sectorsWritten} written, ${total.hostFailures} failures of the host, ` +
    `${failures} failures, ${seconds} s`,
)
