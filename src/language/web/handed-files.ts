/**
 * Files that the client has handed over, in place of a file system: sources of the workspace's folders, up to a number
 * and a size. Another file of them, which a source names, is asked for once, and kept up to date from then on.
 */

import type { WorkspaceFiles } from '../index/workspace-files.ts'
import { MOST_FILES, NOT_OURS, SOURCE_ENDINGS } from '../source-names.ts'
import { type HandedFile, MOST_CHARACTERS } from './handover.ts'

/** Of files that are asked for: sources may name any number of them. */
const MOST_WANTED = 1000

/** An address as its parts, none of them encoded: the same file may be written in several ways. */
interface Place {
  /** `scheme://authority` */
  readonly origin: string
  /** Begins with a slash. */
  readonly path: string
}

export class HandedFiles implements WorkspaceFiles {
  readonly #ask: (uris: readonly string[]) => void
  readonly #files = new Map<string, { readonly place: Place; readonly uri: string; readonly text: string }>()
  /** Asked for: whether the answer is still to come. */
  readonly #wanted = new Map<string, boolean>()
  #roots: readonly Place[] = []
  #characters = 0

  /** @param ask for files by their addresses; {@link take} has to be called for each of them. */
  constructor(ask: (uris: readonly string[]) => void) {
    this.#ask = ask
  }

  get awaited(): boolean {
    return [...this.#wanted.values()].includes(true)
  }

  /** Files of folders that are no longer there are forgotten. */
  setFolders(uris: readonly string[]): void {
    this.#roots = uris.flatMap(uri => placeOf(uri) ?? [])
    for (const [key, { place }] of this.#files) if (this.#inFolder(place) === undefined) this.#remove(key)
  }

  /** @returns addresses of those that there was no room for. */
  take(files: readonly HandedFile[]): string[] {
    return files.filter(file => !this.#take(file)).map(({ uri }) => uri)
  }

  #take({ uri, text }: HandedFile): boolean {
    const place = placeOf(uri)
    if (place === undefined) return true
    const key = keyOf(place)
    const wanted = this.#wanted.has(key)
    if (wanted) this.#wanted.set(key, false)
    this.#remove(key)
    if (text === undefined || !(wanted || this.#isSource(place))) return true
    if (this.#files.size >= MOST_FILES || this.#characters + text.length > MOST_CHARACTERS) return false
    this.#files.set(key, { place, uri, text })
    this.#characters += text.length
    return true
  }

  read(uri: string): string | undefined {
    const place = placeOf(uri)
    return place === undefined ? undefined : this.#files.get(keyOf(place))?.text
  }

  resolve(from: string, include: string): string | undefined {
    const place = placeOf(from)
    if (place === undefined || include === '' || include.includes('\0')) return undefined
    const beside = { ...place, path: place.path.slice(0, place.path.lastIndexOf('/')) }
    const candidates = include.startsWith('/')
      ? [{ ...place, path: normalized(include) }]
      : [beside, ...this.#roots].map(({ origin, path }) => ({ origin, path: normalized(`${path}/${include}`) }))
    const found = candidates.map(candidate => this.#files.get(keyOf(candidate))).find(file => file !== undefined)
    if (found === undefined) this.#want(candidates)
    return found?.uri
  }

  list(): string[] {
    return [...this.#files.values()].filter(({ place }) => this.#isSource(place)).map(({ uri }) => uri)
  }

  #isSource(place: Place): boolean {
    const parts = this.#inFolder(place)?.split('/') ?? []
    return !parts.some(part => NOT_OURS.includes(part)) && SOURCE_ENDINGS.some(ending => parts.at(-1)?.endsWith(ending))
  }

  #want(candidates: readonly Place[]): void {
    const asked = candidates.filter(candidate => {
      const key = keyOf(candidate)
      if (this.#inFolder(candidate) === undefined || this.#wanted.has(key) || this.#wanted.size >= MOST_WANTED)
        return false
      this.#wanted.set(key, true)
      return true
    })
    if (asked.length > 0) this.#ask(asked.map(uriOf))
  }

  /** The path within a folder of the workspace. */
  #inFolder({ origin, path }: Place): string | undefined {
    const folders = this.#roots.map(root => ({ ...root, path: root.path === '/' ? '/' : `${root.path}/` }))
    const folder = folders.find(root => root.origin === origin && path.startsWith(root.path))
    return folder === undefined ? undefined : path.slice(folder.path.length)
  }

  #remove(key: string): void {
    this.#characters -= this.#files.get(key)?.text.length ?? 0
    this.#files.delete(key)
  }
}

/** Undefined for an address without an authority or a path, such as that of an unsaved text, and for a damaged one. */
function placeOf(uri: string): Place | undefined {
  const match = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*)(\/[^?#]*)/i.exec(uri)
  if (match === null) return undefined
  try {
    return { origin: match[1].toLowerCase(), path: normalized(decodeURIComponent(match[2])) }
  } catch {
    return undefined
  }
}

const keyOf = ({ origin, path }: Place): string => origin + path

const uriOf = ({ origin, path }: Place): string => origin + path.split('/').map(encodeURIComponent).join('/')

/** Without `.`, `..` and empty parts; nothing lies above the root. */
function normalized(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
