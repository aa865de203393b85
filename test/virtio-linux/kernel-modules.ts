/** Modules of a Debian kernel, each with what it depends on: the package has no modules.dep. */

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

export interface KernelModule {
  /** As `lsmod` shows it: with underscores. */
  readonly name: string
  readonly path: string
}

export class KernelModules {
  readonly #paths = new Map<string, string>()

  /** @param directory of one release: `lib/modules/6.1.0-56-amd64`. */
  constructor(directory: string) {
    for (const entry of readdirSync(join(directory, 'kernel'), { recursive: true, encoding: 'utf8' }))
      if (entry.endsWith('.ko')) this.#paths.set(nameOf(entry), join(directory, 'kernel', entry))
  }

  /** The modules and all that they need, in an order in which they can be loaded. */
  withDependencies(names: readonly string[]): KernelModule[] {
    const ordered = new Map<string, KernelModule>()
    const add = (name: string): void => {
      if (ordered.has(name)) return
      const path = this.#paths.get(name)
      if (path === undefined) throw new Error(`the kernel's package has no module ${name}`)
      for (const needed of dependencies(path)) add(needed)
      ordered.set(name, { name, path })
    }
    for (const name of names) add(nameOf(name))
    return [...ordered.values()]
  }
}

function nameOf(path: string): string {
  return basename(path, '.ko').replaceAll('-', '_')
}

/** The `depends=` line of the section `.modinfo`: zero-terminated texts. */
function dependencies(path: string): string[] {
  const content = readFileSync(path, 'latin1')
  const listed = /\0depends=([^\0]*)\0/.exec(content)?.[1] ?? ''
  return listed === '' ? [] : listed.split(',').map(nameOf)
}
