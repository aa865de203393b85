/** The files of a session in a browser: they lie in memory, where the adapter's `node:fs` finds them. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { WebFile } from '../protocol/web-adapter.ts'

/** Throws what the file system says of a path that can't be one. */
export function keepFiles(files: readonly WebFile[]): void {
  for (const { path, bytes } of files) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes ?? new Uint8Array())
  }
}
