/** Compiles and runs the small C programs that show what the host's own processor does. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why the host can't be asked, or undefined when it can. */
export const nativeUnavailable: string | undefined =
  process.arch !== 'x64'
    ? `this host is ${process.arch}, not x64`
    : spawnSync('gcc', ['--version']).status !== 0
      ? 'gcc is not installed'
      : undefined

/** Feeds `lines` to the program made from the C file at `source` and returns its lines. */
export function runNative(source: URL, lines: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-native-'))
  try {
    const program = join(folder, 'native')
    const compiled = spawnSync('gcc', ['-O1', '-o', program, source.pathname], { encoding: 'utf8' })
    if (compiled.status !== 0) throw new Error(`gcc failed on ${source.pathname}: ${compiled.stderr}`)
    const run = spawnSync(program, { input: `${lines.join('\n')}\n`, encoding: 'utf8', maxBuffer: 1 << 28 })
    if (run.status !== 0) throw new Error(`${source.pathname} ended with ${run.status ?? run.signal}: ${run.stderr}`)
    const output = run.stdout.trimEnd().split('\n')
    if (output.length !== lines.length)
      throw new Error(`${source.pathname} answered ${output.length} of ${lines.length} lines`)
    return output
  } finally {
    rmSync(folder, { recursive: true })
  }
}
