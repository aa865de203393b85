/** Files of a workspace that lies anywhere: what VS Code reads for us. */

import * as vscode from 'vscode'
import type { HostFiles } from '../host-files.ts'
import type { Mounts } from './mounts.ts'

/** A kernel is smaller; a larger file is not read to see whether it is one. */
const LARGEST_KERNEL = 2 ** 26

export function workspaceFiles(mounts: Mounts): HostFiles {
  return {
    async kindOf(path) {
      try {
        const { type } = await vscode.workspace.fs.stat(vscode.Uri.parse(mounts.uriOf(path)))
        return (type & vscode.FileType.File) === 0 ? 'other' : 'file'
      } catch (error) {
        // What comes with the extension may lie at a server that tells no status.
        if (mounts.isPackaged(path)) return 'file'
        if (error instanceof vscode.FileSystemError && error.code === 'FileNotFound') return undefined
        throw error
      }
    },

    async firstBytes(file, count) {
      try {
        const { size } = await vscode.workspace.fs.stat(file)
        if (size > LARGEST_KERNEL) return new Uint8Array()
        return (await vscode.workspace.fs.readFile(file)).subarray(0, count)
      } catch {
        return new Uint8Array()
      }
    },
  }
}
