/** `npm run bench:language`: how long the language server takes for a long file, in milliseconds. */

import { completion } from '../../src/language/features/completion.ts'
import { hover } from '../../src/language/features/hover.ts'
import { MachineFiles } from '../../src/language/index/machine-files.ts'
import { Workspace } from '../../src/language/index/workspace.ts'
import { longNasmSource } from '../../test/support/assembly-source.ts'

const LINES = 20_000
const ROUNDS = 20

const source = longNasmSource(LINES)
const workspace = new Workspace(new MachineFiles())
const times = new Map<string, number[]>()

function measure<T>(name: string, work: () => T): T {
  const start = performance.now()
  const result = work()
  times.set(name, [...(times.get(name) ?? []), performance.now() - start])
  return result
}

const document = measure('open', () => workspace.open('file:///long.asm', 'nasm', source, 1))
const changed = source.replace('call label_7\n', 'call label_70\n')
for (let round = 0; round < ROUNDS; round++) {
  measure('edit one line', () => document.update(round % 2 === 0 ? changed : source, round + 2))
  measure('completion after an edit', () => completion(workspace, document, 10_000, 11))
  measure('completion', () => completion(workspace, document, 10_000, 11))
  measure('hover', () => hover(workspace, document, 10_000, 9))
}

process.stdout.write(`${LINES} lines, ${ROUNDS} rounds; milliseconds\n`)
for (const [name, all] of times) {
  const sorted = all.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]
  process.stdout.write(
    `${name.padEnd(26)} first ${all[0].toFixed(1)}, median ${median.toFixed(1)}, most ${sorted.at(-1)?.toFixed(1)}\n`,
  )
}
