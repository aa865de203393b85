/** What is done at every keystroke does not grow with the file, as far as it need not. */

import { describe, expect, test } from 'vitest'
import { completion } from '../../src/language/features/completion.ts'
import { hover } from '../../src/language/features/hover.ts'
import { MachineFiles } from '../../src/language/index/machine-files.ts'
import type { SourceDocument } from '../../src/language/index/source-document.ts'
import { Workspace } from '../../src/language/index/workspace.ts'
import { longNasmSource } from '../support/assembly-source.ts'

const ROUNDS = 40

/** Least time of many rounds, which other work of the machine disturbs least. */
function least(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    work()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

describe('20,000 lines', () => {
  const workspace = new Workspace(new MachineFiles())
  const source = longNasmSource(20_000)
  const started = performance.now()
  const large = workspace.open('file:///large.asm', 'nasm', source, 1)
  const opening = performance.now() - started
  /** How often a keystroke's work goes into opening the file, which reads it all. */
  const often = (work: (document: SourceDocument) => unknown): number => opening / least(() => work(large))

  test('are not read again to explain an instruction or a symbol', () => {
    expect(often(document => hover(workspace, document, 100, 9))).toBeGreaterThan(10)
    expect(often(document => hover(workspace, document, 101, 14))).toBeGreaterThan(10)
  })

  test('are not read again to complete an instruction', () => {
    expect(often(document => completion(workspace, document, 100, 10))).toBeGreaterThan(10)
  })

  test('an edit parses the lines that it changes and no others', () => {
    const before = large.lines
    const text = before.map(line => line.text)
    text[10_000] = '        nop'
    large.update(text.join('\n'), 2)
    const kept = large.lines.filter((line, i) => line === before[i])
    expect(kept).toHaveLength(before.length - 1)
  })
})
