/** Files that are no documents: those of the machine that the extension runs on, or of the workspace itself. */

import { open, stat } from 'node:fs/promises'
import type { Uri } from 'vscode'

export type FileKind = 'file' | 'block device' | 'other'

export interface HostFiles {
  /** What a configuration's path names; undefined for nothing. Rejects when that can't be told. */
  kindOf(path: string): Promise<FileKind | undefined>
  /** At most so many bytes from the beginning of a file of the workspace; none of one that can't be read. */
  firstBytes(file: Uri, count: number): Promise<Uint8Array>
}

/** Of the machine. */
export const machineFiles: HostFiles = {
  async kindOf(path) {
    try {
      const status = await stat(path)
      return status.isFile() ? 'file' : status.isBlockDevice() ? 'block device' : 'other'
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  },

  async firstBytes({ fsPath }, count) {
    const file = await open(fsPath).catch(() => undefined)
    if (file === undefined) return new Uint8Array()
    try {
      const { bytesRead, buffer } = await file.read(new Uint8Array(count), 0, count, 0)
      return buffer.subarray(0, bytesRead)
    } catch {
      return new Uint8Array()
    } finally {
      await file.close()
    }
  },
}
