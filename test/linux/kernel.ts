/**
 * Debian's stock kernel, kept in a cache outside the tree: `$RINGSIDE_CACHE`, or `~/.cache/ringside`.
 * The cache holds the package as `apt-get download` leaves it and what `dpkg-deb` unpacks from it under `k/`.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The metapackage that depends on the current kernel, and the series that the tests are written for. */
const METAPACKAGE = 'linux-image-cloud-amd64'
const IMAGE = /^vmlinuz-6\.1\..*-cloud-amd64$/

export interface DebianKernel {
  /** Such as `6.1.0-56-cloud-amd64`. */
  readonly release: string
  /** The bzImage. */
  readonly image: string
  /** Addresses of the kernel's symbols before relocation: lines of `address type name`. */
  readonly systemMap: string
  /** Directory of the modules by subsystem, such as `drivers/net/`. */
  readonly modules: string
}

export function cacheDirectory(): string {
  return process.env.RINGSIDE_CACHE ?? join(homedir(), '.cache', 'ringside')
}

/** The newest kernel in the cache, or undefined when there is none. */
export function findKernel(): DebianKernel | undefined {
  const boot = join(cacheDirectory(), 'k', 'boot')
  if (!existsSync(boot)) return undefined
  const newest = readdirSync(boot)
    .filter(name => IMAGE.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
  if (newest === undefined) return undefined
  const release = newest.slice('vmlinuz-'.length)
  return {
    release,
    image: join(boot, newest),
    systemMap: join(boot, `System.map-${release}`),
    modules: join(cacheDirectory(), 'k', 'lib', 'modules', release, 'kernel'),
  }
}

/** The kernel in the cache, downloaded before when there is none; throws when that fails. */
export function fetchKernel(): DebianKernel {
  const found = findKernel()
  if (found !== undefined) return found
  const cache = cacheDirectory()
  mkdirSync(cache, { recursive: true })
  const name = kernelPackage()
  execFileSync('apt-get', ['download', name], { cwd: cache, stdio: ['ignore', 'ignore', 'inherit'] })
  const archive = readdirSync(cache).find(file => file.startsWith(`${name}_`) && file.endsWith('.deb'))
  if (archive === undefined) throw new Error(`apt-get download ${name} left no package in ${cache}`)
  execFileSync('dpkg-deb', ['-x', archive, 'k'], { cwd: cache, stdio: ['ignore', 'ignore', 'inherit'] })
  const kernel = findKernel()
  if (kernel === undefined)
    throw new Error(`${archive} holds no boot/vmlinuz-6.1.*: these tests expect Debian 12's kernel`)
  return kernel
}

/** The package with the image, which the metapackage names in its dependencies. */
function kernelPackage(): string {
  const description = execFileSync('apt-cache', ['depends', '--no-recommends', '--no-suggests', METAPACKAGE], {
    encoding: 'utf8',
  })
  const name = /Depends: (linux-image-6\.1\.[^\s]+-cloud-amd64)/.exec(description)?.[1]
  if (name === undefined) {
    throw new Error(
      `apt knows no ${METAPACKAGE} of the 6.1 series: run apt-get update, or put the kernel into the cache`,
    )
  }
  return name
}
