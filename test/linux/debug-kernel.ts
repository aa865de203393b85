/**
 * Debian's own `vmlinux` with debugging information, from the kernel's `-dbg` package, kept in the cache of
 * `kernel.ts` under `dbg/`. The package has 283 MB and 1.75 GB unpacked; only the one file, of 590 MB, is kept.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory, fetchKernel, findKernel } from './kernel.ts'

function pathOf(release: string): string {
  return join(cacheDirectory(), 'dbg', 'usr', 'lib', 'debug', 'boot', `vmlinux-${release}`)
}

/** Path of the `vmlinux` of the kernel in the cache; undefined when either is not there. */
export function findDebugKernel(): string | undefined {
  const kernel = findKernel()
  const path = kernel && pathOf(kernel.release)
  return path !== undefined && existsSync(path) ? path : undefined
}

/** The same, downloaded before when it is not there; throws when that fails. */
export function fetchDebugKernel(): string {
  const { release } = fetchKernel()
  const path = pathOf(release)
  if (existsSync(path)) return path
  const directory = join(cacheDirectory(), 'dbg')
  mkdirSync(directory, { recursive: true })
  const name = `linux-image-${release}-dbg`
  execFileSync('apt-get', ['download', name], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] })
  const archive = readdirSync(directory).find(file => file.startsWith(`${name}_`) && file.endsWith('.deb'))
  if (archive === undefined) throw new Error(`apt-get download ${name} left no package in ${directory}`)
  const unpacked = join(directory, 'unpacked')
  mkdirSync(unpacked, { recursive: true })
  // One of thousands of files: dpkg-deb alone would unpack them all. tar stops reading when it has it.
  const inside = `./usr/lib/debug/boot/vmlinux-${release}`
  const pipeline = 'dpkg-deb --fsys-tarfile "$0" 2>/dev/null | tar -x -C "$1" --occurrence=1 "$2"'
  execFileSync('bash', ['-c', pipeline, archive, unpacked, inside], { cwd: directory })
  mkdirSync(join(path, '..'), { recursive: true })
  renameSync(join(unpacked, inside), path)
  rmSync(unpacked, { recursive: true })
  rmSync(join(directory, archive))
  return path
}
