/**
 * Makes docs/system-rules.md: every rule of system behaviour with its source and the test file that shows it, as the
 * tests under test/rules declare them. `--check` fails instead of writing when the table is not current.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AREAS } from '../test/rules/rule.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TABLE = fileURLToPath(new URL('../docs/system-rules.md', import.meta.url))
/** Fewer would not cover what the processor promises. */
const LEAST = 300

interface Rule {
  readonly area: string
  readonly source: string
  readonly text: string
  readonly file: string
}

function collect(): Rule[] {
  const output = execFileSync(
    process.execPath,
    [
      fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url)),
      'list',
      '--json',
      '--no-staticParse',
      'test/rules',
    ],
    { cwd: ROOT, encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const listed: readonly { readonly name: string; readonly file: string }[] = JSON.parse(output)
  // Files come in the order in which they were read; rules of a file in the order of their declarations.
  const inOrder = listed.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))
  return inOrder.flatMap(({ name, file }) => {
    const [head, source, ...text] = name.split(' | ')
    const area = head.split(' > ').at(-1)
    if (area === undefined || source === undefined || text.length === 0) return []
    return [{ area, source, text: text.join(' | '), file: relative(ROOT, file).replaceAll('\\', '/') }]
  })
}

function table(rules: readonly Rule[]): string {
  const lines = [
    '# Rules of system behaviour',
    '',
    'Each rule is shown by a test that runs a guest. The table is made from the tests by `npm run rules`; `npm test`',
    'fails when it is not current, or when a rule is there twice.',
    '',
    `${rules.length} rules.`,
  ]
  for (const area of AREAS) {
    const here = rules.filter(rule => rule.area === area)
    if (here.length === 0) continue
    lines.push('', `## ${area[0].toUpperCase()}${area.slice(1)}`, '', '| Rule | Source | Test |', '|---|---|---|')
    for (const { text, source, file } of here)
      lines.push(`| ${text.replaceAll('|', '\\|')} | ${source} | \`${file}\` |`)
  }
  return `${lines.join('\n')}\n`
}

const rules = collect()
const areas: readonly string[] = AREAS
for (const { area, text } of rules)
  if (!areas.includes(area))
    throw new Error(`"${text}" is in the area "${area}", which test/rules/rule.ts does not list`)
const texts = new Set<string>()
for (const { area, text } of rules) {
  if (texts.has(`${area}: ${text}`)) throw new Error(`the rule "${text}" (${area}) is there twice`)
  texts.add(`${area}: ${text}`)
}
const made = table(rules)
if (process.argv.includes('--check')) {
  if (readFileSync(TABLE, 'utf8') !== made)
    throw new Error('docs/system-rules.md is not what the tests declare: run `npm run rules` and commit it')
  if (rules.length < LEAST) throw new Error(`${rules.length} rules, fewer than ${LEAST}`)
} else writeFileSync(TABLE, made)
process.stdout.write(`${rules.length} rules\n`)
