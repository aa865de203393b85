/**
 * Emacs with dap-mode, as Debian packages them: a client that nobody here wrote. What this machine lacks of it is
 * unpacked into the cache, where it works too; nothing is installed.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { cacheDirectory } from '../linux/kernel.ts'

/** Something can't be had on this machine; the message says what, and why. */
export class NotFetched extends Error {}

export interface Emacs {
  readonly command: string
  /** Begin with these. */
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

const PACKAGES = ['emacs-nox', 'elpa-dap-mode']
const SOURCES = 'usr/share/emacs/site-lisp/elpa-src'

/** Throws {@link NotFetched}. */
export function fetchEmacs(): Emacs {
  const root = join(cacheDirectory(), 'clients', 'emacs')
  if (!existsSync(root)) unpackMissing(root)
  const packages = [join('/', SOURCES), join(root, SOURCES)].flatMap(subfolders)
  const args = ['-Q', '--batch', ...packages.flatMap(folder => ['-L', folder])]
  const binary = join(root, 'usr/bin/emacs-nox')
  if (!existsSync(binary)) return { command: 'emacs', args, environment: {} }
  return { command: binary, ...elsewhere(root, args) }
}

/** An Emacs that is not where it was built for is told where its parts are. */
function elsewhere(root: string, args: readonly string[]): Pick<Emacs, 'args' | 'environment'> {
  const [share] = subfolders(join(root, 'usr/share/emacs')).filter(folder => existsSync(join(folder, 'lisp')))
  const [libexec] = subfolders(join(root, 'usr/libexec/emacs')).flatMap(subfolders)
  if (share === undefined || libexec === undefined) throw new NotFetched(`Emacs in ${root} is not complete: remove it`)
  const lisp = readdirSync(join(share, 'lisp'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isDirectory() && entry.name !== 'obsolete' && entry.name !== 'term')
    .map(entry => join(entry.parentPath, entry.name))
  return {
    args: [`--dump-file=${join(libexec, 'emacs.pdmp')}`, ...args],
    environment: {
      EMACSLOADPATH: [join(share, 'lisp'), ...lisp].join(delimiter),
      EMACSDATA: join(share, 'etc'),
      EMACSDOC: join(share, 'etc'),
      LD_LIBRARY_PATH: join(root, 'usr/lib/x86_64-linux-gnu'),
    },
  }
}

/** What apt would install is unpacked. */
function unpackMissing(root: string): void {
  const plan = run('apt-get', ['install', '--simulate', '--no-install-recommends', ...PACKAGES])
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(match => match[1])
  const scratch = `${root}.download`
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(join(scratch, 'all'), { recursive: true })
  try {
    if (missing.length > 0) run('apt-get', ['download', ...missing], scratch)
    for (const archive of readdirSync(scratch).filter(name => name.endsWith('.deb')))
      run('dpkg-deb', ['-x', archive, 'all'], scratch)
    renameSync(join(scratch, 'all'), root)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function run(command: string, args: readonly string[], cwd?: string): string {
  try {
    return execFileSync(command, [...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new NotFetched(`${command} ${args[0]}: ${said.trim().split('\n').at(-1)}`)
  }
}

function subfolders(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => join(folder, entry.name))
}
