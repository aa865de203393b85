/** The outcomes recorded from a processor: a comment that names it, then a line for each scenario. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FILE = fileURLToPath(new URL('recorded.txt', import.meta.url))

export interface Recorded {
  /** The processor, as /proc/cpuinfo names it. */
  readonly processor: string
  readonly lines: readonly string[]
}

export function readRecorded(): Recorded {
  const [head, ...lines] = readFileSync(FILE, 'utf8').trimEnd().split('\n')
  return { processor: head.replace(/^# /, ''), lines }
}

export function writeRecorded({ processor, lines }: Recorded): void {
  writeFileSync(FILE, `# ${processor}\n${lines.join('\n')}\n`)
}

/** Maker, family, model and stepping of the host's processor. */
export function hostProcessorName(): string {
  const text = readFileSync('/proc/cpuinfo', 'utf8')
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? 'unknown'
  return `${field('vendor_id')} family ${field('cpu family')} model ${field('model')} stepping ${field('stepping')}`
}

/** Lines of `expected` that `actual` does not have in their place, with what it has there. */
export function differences(
  expected: readonly string[],
  actual: readonly string[],
): { readonly name: string; readonly expected: string; readonly actual: string }[] {
  return actual.flatMap((line, index) => {
    const other = expected[index] ?? '(none)'
    return line === other ? [] : [{ name: nameOf(line), expected: other, actual: line }]
  })
}

/** The name of a line's scenario: all up to its outcome. */
const nameOf = (line: string): string => line.replace(/: #\d.*$/, '')
