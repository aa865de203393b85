/** The extension: what VS Code calls when it starts, and the parts that it gets in return. */

import type * as vscode from 'vscode'
import { supportAssembly } from './assembly.ts'
import { provideDebugAdapter } from './debug-adapter.ts'
import { provideDebugConfigurations } from './debug-configurations.ts'
import { provideImport } from './import-qemu.ts'
import { showMachine } from './machine-container.ts'
import { showRegisterValues } from './register-values.ts'
import { showSerialConsoles } from './serial-consoles.ts'
import { guideLearners } from './walkthrough/guide.ts'

export function activate(context: vscode.ExtensionContext): void {
  context.subscriptions.push(
    provideDebugAdapter(context),
    ...provideDebugConfigurations(context),
    provideImport(),
    showSerialConsoles(),
    showMachine(context),
    supportAssembly(context),
    showRegisterValues(),
    guideLearners(context),
  )
}
