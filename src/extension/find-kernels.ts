/** The kernels that lie in a workspace folder. */

import { open } from 'node:fs/promises'
import * as vscode from 'vscode'
import { ENOUGH, type KernelKind, kernelKind } from './kernel-image.ts'

export interface FoundKernel {
  readonly kind: KernelKind
  /** Relative to the folder, with `/`. */
  readonly path: string
}

/** What a kernel's file is called; which of them are one, their contents say. */
const NAMES = '**/{*.elf,*.bin,*.img,*.multiboot,kernel,kernel-*,vmlinuz*,bzImage*,*.bzImage}'
const ELSEWHERE = '**/{node_modules,.git}/**'
const MOST_FILES = 200

/** In the order of their paths. */
export async function findKernels(folder: vscode.WorkspaceFolder): Promise<FoundKernel[]> {
  const files = await vscode.workspace.findFiles(new vscode.RelativePattern(folder, NAMES), ELSEWHERE, MOST_FILES)
  const found = await Promise.all(
    files.map(async file => {
      const kind = kernelKind(await firstBytes(file.fsPath))
      return kind === undefined ? [] : [{ kind, path: vscode.workspace.asRelativePath(file, false) }]
    }),
  )
  return found.flat().sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** A file that can't be read is none that can be booted. */
async function firstBytes(path: string): Promise<Uint8Array> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return new Uint8Array()
  try {
    const { bytesRead, buffer } = await file.read(new Uint8Array(ENOUGH), 0, ENOUGH, 0)
    return buffer.subarray(0, bytesRead)
  } catch {
    return new Uint8Array()
  } finally {
    await file.close()
  }
}
