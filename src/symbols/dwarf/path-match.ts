/**
 * Paths of source files: the compiler's, often of another machine, and the user's. They are the same file when their
 * ends match; a source map says what a build directory is called here.
 */

/** `name` relative to `directory`, with `.` and `..` resolved. Not a path of this machine: always with `/`. */
export function joinPath(directory: string, name: string): string {
  if (name.startsWith('/') || directory === '') return normalizePath(name)
  return normalizePath(`${directory}/${name}`)
}

export function normalizePath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..' && parts.length > 0 && parts[parts.length - 1] !== '..') parts.pop()
    else if (part !== '..' || !path.startsWith('/')) parts.push(part)
  }
  return (path.startsWith('/') ? '/' : '') + parts.join('/')
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** How many last parts two normalized paths share. */
export function commonEnd(a: string, b: string): number {
  const left = a.split('/')
  const right = b.split('/')
  let count = 0
  while (
    count < left.length &&
    count < right.length &&
    left[left.length - 1 - count] === right[right.length - 1 - count]
  ) {
    count++
  }
  return count
}

/**
 * Of the files that a compiler knew those that a user means by `wanted`: the ones whose ends agree most, in the file's
 * name at least. A relative path has to agree completely when any file does.
 */
export function matchingPaths(wanted: string, known: Iterable<string>): ReadonlySet<string> {
  const path = normalizePath(wanted.replaceAll('\\', '/'))
  let best = new Set<string>()
  let bestCount = 1
  for (const candidate of known) {
    const count = commonEnd(path, candidate)
    if (count < bestCount) continue
    if (count > bestCount) best = new Set()
    bestCount = count
    best.add(candidate)
  }
  return best
}

/** Directories by their names at compile time and here. */
export class SourceMap {
  readonly #pairs: readonly { readonly from: string; readonly to: string }[]

  /** From the compiler's directory to the one on this machine; the longest that fits counts. */
  constructor(pairs: Readonly<Record<string, string>> = {}) {
    this.#pairs = Object.entries(pairs)
      .map(([from, to]) => ({ from: withoutSlash(from), to: withoutSlash(to) }))
      .sort((a, b) => b.from.length - a.from.length)
  }

  /** The path here of a file that the compiler knew as `path`. */
  toLocal(path: string): string {
    for (const { from, to } of this.#pairs) if (isInside(path, from)) return to + path.slice(from.length)
    return path
  }

  /** The compiler's path of a file here. */
  toCompiler(path: string): string {
    let best: { readonly from: string; readonly to: string } | undefined
    for (const pair of this.#pairs) {
      if (isInside(path, pair.to) && pair.to.length > (best?.to.length ?? -1)) best = pair
    }
    return best === undefined ? path : best.from + path.slice(best.to.length)
  }
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, '')
}
