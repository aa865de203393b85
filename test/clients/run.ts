/**
 * `npm run test:clients`: the teaching kernel debugged by clients of the protocol that nobody here wrote. Exit status 1
 * when something was not as it should be, 77 when no client can be had here.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Emacs, fetchEmacs, NotFetched } from './emacs.ts'

const STATUS_SKIPPED = 77
/** Milliseconds; the scenario gives up by itself long before. */
const PATIENCE = 300_000
const root = fileURLToPath(new URL('../..', import.meta.url))

try {
  process.exitCode = debugTheTour(fetchEmacs())
} catch (error) {
  if (!(error instanceof NotFetched)) throw error
  process.stdout.write(`Emacs's dap-mode was not tried, it can't be fetched here: ${error.message}\n`)
  process.exitCode = STATUS_SKIPPED
}

function debugTheTour({ command, args, environment }: Emacs): number {
  const home = mkdtempSync(join(tmpdir(), 'ringside-emacs-'))
  const scenario = join(root, 'test/clients/emacs-dap-mode.el')
  const mine = [process.execPath, join(root, 'src/cli/main.ts'), join(root, 'guests')]
  try {
    const { stdout, stderr, error } = spawnSync(command, [...args, '-l', scenario, '--', ...mine], {
      ...{ cwd: home, env: { ...process.env, ...environment, HOME: home }, encoding: 'utf8', timeout: PATIENCE },
    })
    const seen = [...(stdout ?? '').matchAll(/^ok .*/gm)].length
    const done = /^done$/m.test(stdout ?? '')
    process.stdout.write(`Emacs's dap-mode:\n${stdout ?? ''}`)
    if (!done) process.stderr.write(`${error?.message ?? ''}\n${stderr ?? ''}\n`)
    process.stdout.write(`${seen} passed, ${done ? 0 : 1} failed\n`)
    return done ? 0 : 1
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}
