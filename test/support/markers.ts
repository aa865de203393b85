/** Lines of the guests' sources by the marks in their comments, such as `// #write-fault`: never by a number. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const GUESTS = fileURLToPath(new URL('../../guests/', import.meta.url))

/**
 * The line, from 1, with a comment that begins with `#marker`. Throws when there is none, or more than one.
 * @param file below `guests/`
 */
export function findMarker(file: string, marker: string): number {
  const mark = new RegExp(`(?://|;) #${marker}(?![\\w-])`)
  const lines = readFileSync(`${GUESTS}${file}`, 'utf8').split('\n')
  const found = lines.flatMap((text, index) => (mark.test(text) ? [index + 1] : []))
  if (found.length !== 1) throw new Error(`guests/${file} has ${found.length} lines marked with #${marker}`)
  return found[0]
}
