/**
 * The long comparison with the host's processor: `npm run conformance -- [--seed N] [--cases PER-CELL] [--only REGEXP]`.
 * Fails when a case differs, when a cell of the coverage table has fewer than 50 cases, or when there are fewer than a
 * million in all (the last two only for the whole table). Writes nothing but to the terminal.
 */

import { parseArgs } from 'node:util'
import { nameOf, PREFIXES, VENDOR_DIFFERENCES } from './cells.ts'
import { Comparison, type ComparisonResult, hostCanCompare } from './comparison.ts'
import { MODES } from './forms.ts'

const LEAST_CASES = 1_000_000
const LEAST_PER_CELL = 50
const COMPILED_EVERY = 100
const SHOWN = 40

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cases: { type: 'string', default: String(LEAST_PER_CELL) },
    only: { type: 'string', default: '' },
  },
})

if (!hostCanCompare) {
  console.error('conformance: only Linux on x86-64 can execute the cases')
  process.exit(1)
}
process.exit(run() ? 0 : 1)

function run(): boolean {
  const started = performance.now()
  const comparison = new Comparison()
  try {
    const only = new RegExp(values.only)
    const result = comparison.run(
      {
        seed: Number(values.seed),
        casesPerCell: Number(values.cases),
        compiledEvery: COMPILED_EVERY,
        onProgress: cases => process.stderr.write(`\r${cases} cases`),
      },
      comparison.cells.filter(cell => only.test(nameOf(cell))),
    )
    process.stderr.write('\n')
    report(comparison, result)
    console.log(`${((performance.now() - started) / 1000).toFixed(0)} s`)
    return accept(result)
  } finally {
    comparison.release()
  }
}

function accept({ differing, cells, cases }: ComparisonResult): boolean {
  if (differing > 0) return false
  if (values.only !== '') return true
  const few = [...cells].filter(([, count]) => count < LEAST_PER_CELL)
  for (const [cell, count] of few) console.log(`only ${count} cases: ${nameOf(cell)}`)
  if (cases < LEAST_CASES) console.log(`fewer than ${LEAST_CASES} cases`)
  return few.length === 0 && cases >= LEAST_CASES
}

function report({ forms }: Comparison, result: ComparisonResult): void {
  console.log('Forms that are not compared:')
  const byReason = Map.groupBy(forms.unproven, ({ because }) => because)
  for (const [because, list] of byReason) console.log(`  ${because}: ${list.map(({ name }) => name).join(' ')}`)
  console.log('Cells that are left out:')
  for (const { codes, prefix, operand, mode, because } of VENDOR_DIFFERENCES) {
    const what = [codes.source, operand, prefix, mode].filter(part => part !== undefined).join(' ')
    console.log(`  ${what}: ${because}`)
  }
  console.log('Cells (cases) by prefix and mode:')
  for (const mode of MODES) {
    const parts = PREFIXES.map(prefix => {
      const counts = [...result.cells].filter(([cell]) => cell.mode === mode && cell.prefix === prefix)
      return `${prefix} ${counts.length} (${counts.reduce((sum, [, count]) => sum + count, 0)})`
    })
    console.log(`  ${mode}-bit: ${parts.join(', ')}`)
  }
  const shown = [...result.failures.values()].slice(0, SHOWN)
  if (shown.length > 0) console.log(`Differences (host's value first):\n${shown.join('\n\n')}`)
  const compared = new Set([...result.cells.keys()].map(({ form }) => form.name)).size
  const least = [...result.cells.values()].reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY)
  console.log(
    `seed ${values.seed}: ${result.cases} cases (${result.compiledCases} in compiled code too), ${compared} forms, ` +
      `${result.cells.size} cells with at least ${least} cases, ${forms.unproven.length} forms not compared, ` +
      `${result.differing} cases differ`,
  )
}
