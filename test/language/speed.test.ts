/** What is done at every keystroke does not grow with the file, as far as it need not. */

import { describe, expect, test } from 'vitest'
import { completion } from '../../src/language/features/completion.ts'
import { hover } from '../../src/language/features/hover.ts'
import type { SourceDocument } from '../../src/language/index/source-document.ts'
import { Workspace } from '../../src/language/index/workspace.ts'
import { WorkspaceFiles } from '../../src/language/index/workspace-files.ts'
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

describe('20,000 lines beside 200', () => {
  const workspace = new Workspace(new WorkspaceFiles())
  const open = (lines: number): SourceDocument =>
    workspace.open(`file:///${lines}.asm`, 'nasm', longNasmSource(lines), 1)
  const small = open(200)
  const large = open(20_000)
  const ratio = (work: (document: SourceDocument) => unknown): number =>
    least(() => work(large)) /
    Math.max(
      least(() => work(small)),
      0.02,
    )

  test('an instruction and a symbol are explained in little more time', () => {
    expect(ratio(document => hover(workspace, document, 100, 9))).toBeLessThan(60)
    expect(ratio(document => hover(workspace, document, 101, 14))).toBeLessThan(60)
  })

  test('instructions are completed in little more time', () => {
    expect(ratio(document => completion(workspace, document, 100, 10))).toBeLessThan(60)
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
