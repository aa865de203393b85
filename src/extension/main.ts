/** The extension on a machine: what VS Code calls when it starts. */

import type * as vscode from 'vscode'
import { activateParts } from './activate-parts.ts'
import { AdapterLines } from './adapter-line/adapter-lines.ts'
import { provideDebugAdapter } from './adapter-line/debug-adapter.ts'
import { supportAssembly } from './assembly.ts'
import { machineFiles } from './host-files.ts'

export function activate(context: vscode.ExtensionContext): void {
  const lines = new AdapterLines()
  const assembly = supportAssembly(async () => {
    const { startLanguageClient } = await import('../language/client.ts')
    return await startLanguageClient(context.extensionPath)
  })
  activateParts(context, machineFiles, lines, provideDebugAdapter(context, lines), assembly)
}
