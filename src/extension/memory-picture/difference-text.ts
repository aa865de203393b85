/** Differences between two maps as the page gets them: each a line with a mark. */

import type { MappingDifference, MappingDifferences, MappingSide } from '../../protocol/mapping-differences.ts'
import { sizeText } from '../views/view-node.ts'

export interface DifferencesBody {
  /** What was compared with: `the stop at 1,234 instructions`. */
  readonly since: string
  readonly lines: readonly DifferenceLine[]
  /** What else is to be known: how many lines are missing, what was not compared. */
  readonly notes: readonly string[]
}

export interface DifferenceLine {
  /** Added, removed, changed. */
  readonly mark: '+' | '-' | '~'
  readonly start: string
  readonly end: string
  readonly size: string
  /** `added: rw-u- at 0x9000` */
  readonly text: string
}

export function differencesBody(
  { differences, omitted, upTo, uncertain }: MappingDifferences,
  since: string,
): DifferencesBody {
  return {
    since,
    lines: differences.map(differenceLine),
    notes: [
      ...(omitted === 0 ? [] : [`${omitted} more differences are not listed.`]),
      ...(upTo === undefined ? [] : [`Ranges from ${hex(upTo)} on were not compared: one of the lists ends there.`]),
      ...(uncertain ? ['Of pages that are much scattered, only the first pieces of a range were compared.'] : []),
    ],
  }
}

function differenceLine(difference: MappingDifference): DifferenceLine {
  const { kind, start, end } = difference
  return {
    mark: kind === 'added' || kind === 'moved' ? '+' : kind === 'removed' ? '-' : '~',
    start: hex(start),
    end: hex(end),
    size: sizeText(end - start),
    text: textOf(difference),
  }
}

function textOf({ kind, before, after, from }: MappingDifference): string {
  switch (kind) {
    case 'added':
      return `added: ${sideText(after)}`
    case 'removed':
      return `removed: ${sideText(before)}`
    case 'moved':
      return `moved here from ${from === undefined ? 'elsewhere' : hex(from)}: ${sideText(after)}`
    case 'rights':
      return `${before?.rights} became ${after?.rights}`
    case 'target':
      return `leads to ${target(after)}, before to ${target(before)}`
    case 'rights and target':
      return `${sideText(before)} became ${sideText(after)}`
  }
}

const sideText = (side: MappingSide | undefined): string =>
  side === undefined ? 'nothing' : `${side.rights} at ${target(side)}`

const target = (side: MappingSide | undefined): string =>
  side?.target === undefined ? 'scattered pages' : hex(side.target)

const hex = (value: bigint): string => `0x${value.toString(16)}`
