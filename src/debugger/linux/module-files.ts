/** Files of Linux kernel modules on this machine: named one by one, or all in a directory such as `/lib/modules/...`. */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { FileError } from '../../machine/configuration.ts'

/** `dummy.ko`, and `dummy.ko.debug` as some distributions call those with debugging information. */
const MODULE = /\.ko(\.debug)?$/
/** A kernel has some thousands. */
const MOST_MODULES = 50_000
const DEEPEST = 16

/** Throws `FileError` for a path that is not there. Directories are searched with all below them, links not followed. */
export function findModuleFiles(paths: readonly string[]): string[] {
  const files: string[] = []
  for (const path of paths) {
    try {
      if (statSync(path).isDirectory()) search(path, DEEPEST, files)
      else files.push(path)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new FileError(`module symbols "${path}" can't be read: ${reason}`, { cause: error })
    }
  }
  return files
}

function search(directory: string, depth: number, files: string[]): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (files.length >= MOST_MODULES) return
    const path = join(directory, entry.name)
    if (entry.isDirectory() && depth > 0) search(path, depth - 1, files)
    else if (entry.isFile() && MODULE.test(entry.name)) files.push(path)
  }
}
