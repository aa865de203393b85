/**
 * What searches found, kept on disk for the next session: entries by name, line tables by file. One small file for each
 * build id, under $XDG_CACHE_HOME/ringside/symbols. Whatever is wrong with it, it is only a cache: searches repeat.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Changes with the meaning of what is stored, and with what searches find: that there is nothing is stored too. */
const VERSION = 1

export type CacheKind = 'file' | 'type' | 'variable' | 'enumerator' | 'function'

const MOST_ENTRIES = 4096
/** Offsets of one entry; what has more is searched again. */
const MOST_OFFSETS = 4096
const LARGEST_FILE = 4 << 20
const MOST_FILES = 64

export class IndexCache {
  readonly #path: string | undefined
  #entries: Map<string, readonly number[]> | undefined

  /** @param key names the file's contents for certain, such as a build id; undefined for a cache that forgets. */
  constructor(key: string | undefined, directory = defaultDirectory()) {
    const isName = key !== undefined && /^[0-9a-f-]{16,160}$/.test(key)
    this.#path = isName ? join(directory, `${key}.json`) : undefined
  }

  /** Empty: a search has found nothing. */
  get(kind: CacheKind, name: string): readonly number[] | undefined {
    return this.#load().get(`${kind} ${name}`)
  }

  set(kind: CacheKind, name: string, offsets: readonly number[]): void {
    const entries = this.#load()
    if (offsets.length > MOST_OFFSETS) return
    const [oldest] = entries.keys()
    if (entries.size >= MOST_ENTRIES && oldest !== undefined) entries.delete(oldest)
    entries.set(`${kind} ${name}`, offsets)
    this.#save(entries)
  }

  #load(): Map<string, readonly number[]> {
    this.#entries ??= this.#path === undefined ? new Map() : readEntries(this.#path)
    return this.#entries
  }

  #save(entries: ReadonlyMap<string, readonly number[]>): void {
    if (this.#path === undefined) return
    try {
      const directory = join(this.#path, '..')
      mkdirSync(directory, { recursive: true })
      const temporary = `${this.#path}.${process.pid}`
      writeFileSync(temporary, JSON.stringify({ version: VERSION, entries: Object.fromEntries(entries) }))
      renameSync(temporary, this.#path)
      forgetOldest(directory)
    } catch (error) {
      // A full or read-only disk costs time in the next session, nothing now.
      if (!isSystemError(error)) throw error
    }
  }
}

function defaultDirectory(): string {
  const cache = process.env.XDG_CACHE_HOME
  return join(cache?.startsWith('/') ? cache : join(homedir(), '.cache'), 'ringside', 'symbols')
}

function readEntries(path: string): Map<string, readonly number[]> {
  const entries = new Map<string, readonly number[]>()
  let stored: unknown
  try {
    if (statSync(path).size > LARGEST_FILE) return entries
    stored = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (isSystemError(error) || error instanceof SyntaxError) return entries
    throw error
  }
  if (!isRecord(stored) || stored.version !== VERSION || !isRecord(stored.entries)) return entries
  for (const [name, offsets] of Object.entries(stored.entries)) {
    if (!Array.isArray(offsets) || entries.size >= MOST_ENTRIES) continue
    const numbers = offsets.filter((offset): offset is number => Number.isSafeInteger(offset) && offset >= 0)
    if (numbers.length === offsets.length) entries.set(name, numbers)
  }
  return entries
}

function forgetOldest(directory: string): void {
  const names = readdirSync(directory).filter(name => name.endsWith('.json'))
  if (names.length <= MOST_FILES) return
  const aged = names
    .map(name => ({ name, time: statSync(join(directory, name)).mtimeMs }))
    .sort((a, b) => a.time - b.time)
  for (const { name } of aged.slice(0, names.length - MOST_FILES)) rmSync(join(directory, name), { force: true })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error
}
