/** Compares two runs of the guest, given as lines: every difference, and what explains it. */

import { KNOWN_DIFFERENCES, type KnownDifference } from './known-differences.ts'
import { describeCase, descriptorCases, descriptorLines, pageLines } from './outcomes.ts'

export interface Lines {
  readonly pages: readonly string[]
  readonly descriptors: readonly string[]
}

export const linesOf = (sent: Uint8Array): Lines => ({ pages: pageLines(sent), descriptors: descriptorLines(sent) })

export interface Comparison {
  readonly cases: number
  /** Cases that each known difference explains. */
  readonly known: ReadonlyMap<KnownDifference, number>
  readonly unknown: readonly string[]
}

export function compare(recorded: Lines, engine: Lines): Comparison {
  const unknown: string[] = []
  for (const [index, line] of engine.pages.entries())
    if (line !== recorded.pages[index]) unknown.push(`recorded ${recorded.pages[index]}, engine ${line}`)
  const known = new Map(KNOWN_DIFFERENCES.map(difference => [difference, 0]))
  const theirs = descriptorCases(recorded.descriptors)
  const ours = descriptorCases(engine.descriptors)
  for (const [index, { of, outcome }] of ours.entries()) {
    const other = theirs[index].outcome
    if (JSON.stringify(outcome) === JSON.stringify(other)) continue
    const reason = KNOWN_DIFFERENCES.find(({ explains }) => explains(of, other, outcome))
    if (reason === undefined) unknown.push(`recorded ${describeCase(of, other)}, engine ${describeCase(of, outcome)}`)
    else known.set(reason, (known.get(reason) ?? 0) + 1)
  }
  const pageCases = engine.pages.reduce((sum, line) => sum + line.slice(line.indexOf(': ') + 2).split(' ').length, 0)
  return { cases: pageCases + ours.length, known, unknown }
}
