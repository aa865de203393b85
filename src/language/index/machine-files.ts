/** Files of folders on this machine: what a source names leads nowhere else, not by `..`, not by a link. */

import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, realpathSync } from 'node:fs'
import { dirname, extname, isAbsolute, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { LARGEST_FILE, MOST_FILES, NOT_OURS, SOURCE_ENDINGS } from '../source-names.ts'
import type { WorkspaceFiles } from './workspace-files.ts'

const MOST_ENTRIES = 20_000
const DEEPEST = 12

export class MachineFiles implements WorkspaceFiles {
  /** They are read at once. */
  readonly awaited = false
  #roots: readonly string[] = []

  setFolders(uris: readonly string[]): void {
    this.#roots = uris.map(pathOf).flatMap(path => (path === undefined ? [] : (real(path) ?? [])))
  }

  read(uri: string): string | undefined {
    const path = pathOf(uri)
    const target = path === undefined ? undefined : this.#inside(path)
    return target === undefined ? undefined : readBounded(target)
  }

  resolve(from: string, include: string): string | undefined {
    const path = pathOf(from)
    if (path === undefined || include === '' || include.includes('\0')) return undefined
    const candidates = isAbsolute(include)
      ? [include]
      : [dirname(path), ...this.#roots].map(directory => join(directory, include))
    const found = candidates.find(candidate => {
      const target = this.#inside(candidate)
      return target !== undefined && isFile(target)
    })
    return found === undefined ? undefined : pathToFileURL(found).href
  }

  list(): string[] {
    const found: string[] = []
    const bounds = { entries: MOST_ENTRIES }
    for (const root of this.#roots) walk(root, 0, bounds, found)
    return found.map(path => pathToFileURL(path).href)
  }

  /** Where a path really leads, when that is in a folder of the workspace. */
  #inside(path: string): string | undefined {
    const target = real(path)
    if (target === undefined) return undefined
    const within = this.#roots.some(
      root => target === root || target.startsWith(root.endsWith(sep) ? root : root + sep),
    )
    return within ? target : undefined
  }
}

/** Path of a `file:` URI; undefined for other schemes. */
export function pathOf(uri: string): string | undefined {
  try {
    return uri.startsWith('file:') ? fileURLToPath(uri) : undefined
  } catch {
    // A URI with a host, or with an escaped slash, is no path here.
    return undefined
  }
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function isFile(path: string): boolean {
  return readWith(path, () => true) ?? false
}

function readBounded(path: string): string | undefined {
  return readWith(path, (file, size) => {
    const bytes = Buffer.alloc(size)
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, size, 0))
  })
}

/** Undefined for what is no ordinary file of bearable size: a device or a pipe might never end. */
function readWith<T>(path: string, use: (file: number, size: number) => T): T | undefined {
  let file: number | undefined
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const stat = fstatSync(file)
    return stat.isFile() && stat.size <= LARGEST_FILE ? use(file, stat.size) : undefined
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function walk(directory: string, depth: number, bounds: { entries: number }, found: string[]): void {
  if (depth > DEEPEST) return
  let entries: { name: string; isFile(): boolean; isDirectory(): boolean }[]
  try {
    entries = readdirSync(directory, { withFileTypes: true })
  } catch {
    return
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (bounds.entries-- <= 0 || found.length >= MOST_FILES) return
    const path = join(directory, entry.name)
    if (entry.isFile() && SOURCE_ENDINGS.includes(extname(entry.name))) found.push(path)
    else if (entry.isDirectory() && !NOT_OURS.includes(entry.name)) walk(path, depth + 1, bounds, found)
  }
}
