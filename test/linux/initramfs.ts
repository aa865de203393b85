/**
 * The initramfs of the Linux tests and of the boot benchmark: a static busybox and two programs to start as init.
 * `rdinit=/scenario` runs {@link file://./guest/scenario.sh} and powers off; without it `/init` offers a shell.
 */

import { existsSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { type CpioEntry, writeCpio } from './cpio.ts'

export const BUSYBOX = '/bin/busybox'

/** What busybox's shell shows when it waits for a command of root in the root directory. */
export const SHELL_PROMPT = '/ # '

/** The last line that the scenario prints. */
export const SCENARIO_END = 'scenario: done'

/**
 * A gzipped cpio archive; throws when there is no busybox.
 * @param more entries after the usual ones
 * @param busybox a static busybox of the kernel's architecture, or of another that it runs
 */
export function buildInitramfs(more: readonly CpioEntry[] = [], busybox = BUSYBOX): Buffer {
  if (!existsSync(busybox)) throw new Error(`${busybox} is missing: install the package busybox-static`)
  const directories: CpioEntry[] = ['bin', 'dev', 'proc', 'sys', 'tmp', 'root'].map(path => ({
    kind: 'directory',
    path,
  }))
  return gzipSync(
    writeCpio([
      ...directories,
      // Linux opens /dev/console for init before init can mount anything.
      { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
      { kind: 'character-device', path: 'dev/null', major: 1, minor: 3 },
      { kind: 'file', path: 'bin/busybox', data: readFileSync(busybox), executable: true },
      { kind: 'symlink', path: 'bin/sh', target: 'busybox' },
      guestProgram('init', 'shell.sh'),
      guestProgram('scenario', 'scenario.sh'),
      ...more,
    ]),
    { level: 9 },
  )
}

function guestProgram(path: string, source: string): CpioEntry {
  return {
    kind: 'file',
    path,
    data: readFileSync(new URL(`guest/${source}`, import.meta.url)),
    executable: true,
  }
}
