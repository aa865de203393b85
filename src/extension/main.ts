/** The extension on a machine: what VS Code calls when it starts. */

import type * as vscode from 'vscode'
import { activateParts } from './activate-parts.ts'
import { supportAssembly } from './assembly.ts'
import { provideDebugAdapter } from './debug-adapter.ts'
import { machineFiles } from './host-files.ts'

export function activate(context: vscode.ExtensionContext): void {
  activateParts(context, machineFiles, provideDebugAdapter(context), supportAssembly(context))
}
