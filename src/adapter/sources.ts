/** Source files: where those that debugging information names are on this machine. */

import { existsSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import type { SourceMapEntry } from '../protocol/launch-arguments.ts'
import { SourceMap } from '../symbols/dwarf/path-match.ts'

export class Sources {
  readonly #map: SourceMap
  readonly #known = new Map<string, string | undefined>()

  constructor(map: readonly SourceMapEntry[]) {
    this.#map = new SourceMap(Object.fromEntries(map.map(({ from, to }) => [from, to])))
  }

  /**
   * undefined when the file is not here: a client then shows disassembly.
   * @param file as debugging information names it
   * @param module the file that the information is in: relative names may count from there
   */
  locate(file: string, module: string | undefined): string | undefined {
    const key = `${module ?? ''}\0${file}`
    if (!this.#known.has(key)) this.#known.set(key, this.#candidates(file, module).find(existsSync))
    return this.#known.get(key)
  }

  source(file: string, module: string | undefined): DebugProtocol.Source | undefined {
    const path = this.locate(file, module)
    return path === undefined ? undefined : { name: basename(path), path }
  }

  /** What debugging information may call a file of this machine. */
  compiled(path: string): string {
    return this.#map.toCompiler(path)
  }

  #candidates(file: string, module: string | undefined): string[] {
    const mapped = this.#map.toLocal(file)
    if (mapped !== file) return [mapped]
    if (isAbsolute(file)) return [file]
    return [...(module === undefined ? [] : aboveOf(module).map(folder => join(folder, file))), resolve(file)]
  }
}

/** The folder of a file, and those that it is in. */
function aboveOf(file: string): string[] {
  const folders: string[] = []
  for (let folder = dirname(resolve(file)); ; folder = dirname(folder)) {
    folders.push(folder)
    if (dirname(folder) === folder) return folders
  }
}
