/** Which files the extension is made of. */

import { globSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param patterns `files` of package.json
 * @returns paths relative to `root`, with `/`, in order. Throws when a pattern finds nothing: it names what must ship.
 */
export function packageFiles(root: string, patterns: readonly string[]): string[] {
  const found = patterns.flatMap(pattern => {
    const files = globSync(pattern, { cwd: root }).filter(file => statSync(join(root, file)).isFile())
    if (files.length === 0) throw new Error(`package.json: "files" names ${pattern}, which is not there`)
    return files.map(file => file.replaceAll('\\', '/'))
  })
  return [...new Set(found)].sort()
}
