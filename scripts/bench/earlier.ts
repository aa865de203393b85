/** Builds the bundle of an earlier commit, to be measured beside today's. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/**
 * @param commit anything that `git archive` takes
 * @param scratch directory to work in; @returns path of the bundle. Throws when there is no such commit.
 */
export function buildEarlier(commit: string, scratch: string): string {
  const tree = join(scratch, 'earlier')
  mkdirSync(tree)
  const archive = execFileSync('git', ['archive', '--format=tar', commit], { cwd: ROOT, maxBuffer: 2 ** 28 })
  execFileSync('tar', ['-x', '-C', tree], { input: archive })
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  const bundle = join(tree, 'ringside.mjs')
  execFileSync(process.execPath, [join(tree, 'scripts/build.ts'), bundle], { stdio: 'ignore' })
  return bundle
}
