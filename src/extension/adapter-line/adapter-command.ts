/** The command line of the debug adapter. */

import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

/** The settings `ringside.adapter.*`; an empty text means the extension's own choice. */
export interface AdapterSettings {
  /** A `ringside.mjs` in place of the one that the extension carries. */
  readonly path: string
  /** A Node.js in place of the editor's. */
  readonly node: string
}

export interface Installation {
  readonly extensionPath: string
  /** What runs the extension: Node.js, or Electron, which can be one. */
  readonly execPath: string
}

export interface AdapterCommand {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** Throws an error that names the setting whose file is not there. */
export function checkSettings({ path, node }: AdapterSettings): void {
  if (path !== '' && !existsSync(path)) throw new Error(missing('path', path))
  // A name without a path is looked for where programs are.
  if (isAbsolute(node) && !existsSync(node)) throw new Error(missing('node', node))
}

const missing = (name: keyof AdapterSettings, path: string): string =>
  `the setting "ringside.adapter.${name}" names ${path}, which is not there`

export function adapterCommand(settings: AdapterSettings, { extensionPath, execPath }: Installation): AdapterCommand {
  const program = settings.path === '' ? join(extensionPath, 'dist', 'ringside.mjs') : settings.path
  const command = settings.node === '' ? execPath : settings.node
  // VS Code's own executable is Node.js when this is set; others do not know it.
  return { command, args: [program, 'dap'], env: { ELECTRON_RUN_AS_NODE: '1' } }
}
