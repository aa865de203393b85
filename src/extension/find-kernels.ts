/** The kernels that lie in a workspace folder. */

import * as vscode from 'vscode'
import type { HostFiles } from './host-files.ts'
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
export async function findKernels(folder: vscode.WorkspaceFolder, host: HostFiles): Promise<FoundKernel[]> {
  const files = await vscode.workspace.findFiles(new vscode.RelativePattern(folder, NAMES), ELSEWHERE, MOST_FILES)
  const found = await Promise.all(
    files.map(async file => {
      const kind = kernelKind(await host.firstBytes(file, ENOUGH))
      return kind === undefined ? [] : [{ kind, path: vscode.workspace.asRelativePath(file, false) }]
    }),
  )
  return found.flat().sort((a, b) => (a.path < b.path ? -1 : 1))
}
