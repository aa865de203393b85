/**
 * Kernels that others built, as Debian packages them: fetched with apt into the cache of the Linux tests, outside the
 * tree. Those of i386 need its package index, which apt keeps in the cache too: the machine's own configuration stays
 * as it is.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cacheDirectory } from '../linux/kernel.ts'

type Architecture = 'amd64' | 'i386'

interface PackagedFile {
  /** A metapackage is followed to the package of the kernel that it depends on. */
  readonly package: string
  readonly architecture: Architecture
  /** Folder within the package, and the file's name there. */
  readonly folder: string
  readonly name: RegExp
}

const PACKAGED = {
  /** Both are bzImages, which read their command line. */
  memtest64: { package: 'memtest86+', architecture: 'amd64', folder: 'boot', name: /^memtest86\+x64\.bin$/ },
  memtest32: { package: 'memtest86+', architecture: 'amd64', folder: 'boot', name: /^memtest86\+ia32\.bin$/ },
  amd64: { package: 'linux-image-amd64', architecture: 'amd64', folder: 'boot', name: /^vmlinuz-.*-amd64$/ },
  /** The modules of the same package, in a folder by release. */
  'amd64-modules': { package: 'linux-image-amd64', architecture: 'amd64', folder: 'lib/modules', name: /^\d.*-amd64$/ },
  '686-pae': { package: 'linux-image-686-pae', architecture: 'i386', folder: 'boot', name: /^vmlinuz-.*-686-pae$/ },
  /** With the two levels of 32-bit paging. */
  '686': { package: 'linux-image-686', architecture: 'i386', folder: 'boot', name: /^vmlinuz-.*-686$/ },
  /** A static busybox of i386: programs for its kernels, and 32-bit programs for the others. */
  busybox32: { package: 'busybox-static', architecture: 'i386', folder: 'bin', name: /^busybox$/ },
} as const satisfies Readonly<Record<string, PackagedFile>>

export type PackagedName = keyof typeof PACKAGED
export const PACKAGED_NAMES = Object.keys(PACKAGED).filter(isPackagedName)

function isPackagedName(name: string): name is PackagedName {
  return Object.hasOwn(PACKAGED, name)
}

/** The file in the cache, the newest of several; undefined when there is none. */
export function findPackaged(name: PackagedName): string | undefined {
  const { folder, name: pattern } = PACKAGED[name]
  const directory = join(unpackedTo(PACKAGED[name]), folder)
  if (!existsSync(directory)) return undefined
  const newest = readdirSync(directory)
    .filter(file => pattern.test(file))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
  return newest === undefined ? undefined : join(directory, newest)
}

/** The file in the cache, its package downloaded before when there is none; throws when that fails. */
export function fetchPackaged(name: PackagedName): string {
  const found = findPackaged(name)
  if (found !== undefined) return found
  const wanted: PackagedFile = PACKAGED[name]
  const apt = wanted.architecture === 'i386' ? aptForI386() : []
  download(kernelBehind(wanted.package, apt), wanted.folder, unpackedTo(wanted), apt)
  const file = findPackaged(name)
  if (file === undefined) throw new Error(`the package ${wanted.package} has no ${wanted.folder}/${wanted.name.source}`)
  return file
}

function unpackedTo({ package: name, architecture }: PackagedFile): string {
  return join(cacheDirectory(), 'packages', `${name}-${architecture}`)
}

/** Leaves one folder of a package in a directory. */
function download(name: string, folder: string, directory: string, apt: readonly string[]): void {
  const scratch = `${directory}.download`
  mkdirSync(scratch, { recursive: true })
  try {
    run('apt-get', [...apt, 'download', name], scratch)
    const archive = readdirSync(scratch).find(file => file.endsWith('.deb'))
    if (archive === undefined) throw new Error(`apt-get download ${name} left no package`)
    run('dpkg-deb', ['-x', archive, 'all'], scratch)
    // The modules of a kernel are a hundred times its size.
    mkdirSync(dirname(join(directory, folder)), { recursive: true })
    renameSync(join(scratch, 'all', folder), join(directory, folder))
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** `linux-image-6.1.0-50-686` for `linux-image-686`; other packages are what they are called. */
function kernelBehind(name: string, apt: readonly string[]): string {
  const description = run('apt-cache', [...apt, 'depends', '--no-recommends', '--no-suggests', name])
  return /Depends: (linux-image-\d[^\s]+)/.exec(description)?.[1] ?? name
}

let indexed = false

/** Options for apt to have an index of i386 in the cache, beside the machine's sources and keys. */
function aptForI386(): string[] {
  const state = join(cacheDirectory(), 'apt-i386')
  const options = {
    'APT::Architecture': 'i386',
    'APT::Architectures': 'i386',
    'Dir::State': state,
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': join(state, 'status'),
    'Dir::Cache': join(state, 'cache'),
  }
  const apt = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  if (indexed) return apt
  indexed = true
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(state, 'cache', 'archives', 'partial'), { recursive: true })
  writeFileSync(join(state, 'status'), '')
  try {
    run('apt-get', [...apt, 'update', '-qq'])
  } catch (error) {
    // One archive of several may lack an index of i386; what the others offer is enough, and a download tells.
    console.error(`not every index of i386 could be read: ${error instanceof Error ? error.message : error}`)
  }
  return apt
}

function run(command: string, args: readonly string[], directory = cacheDirectory()): string {
  return execFileSync(command, args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
