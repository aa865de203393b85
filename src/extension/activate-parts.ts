/** The parts of the extension that are the same on a machine and in a browser. */

import type * as vscode from 'vscode'
import { provideDebugConfigurations } from './debug-configurations.ts'
import type { HostFiles } from './host-files.ts'
import { provideImport } from './import-qemu.ts'
import { tellOfLostAdapters } from './lost-adapters.ts'
import { showMachine } from './machine-container.ts'
import { showRegisterValues } from './register-values.ts'
import { showSerialConsoles } from './serial-consoles.ts'
import { guideLearners } from './walkthrough/guide.ts'

/** @param others what the surroundings have of their own */
export function activateParts(
  context: vscode.ExtensionContext,
  files: HostFiles,
  ...others: readonly vscode.Disposable[]
): void {
  context.subscriptions.push(
    ...others,
    ...provideDebugConfigurations(context, files),
    provideImport(),
    tellOfLostAdapters(),
    showSerialConsoles(),
    showMachine(context),
    showRegisterValues(),
    guideLearners(context),
  )
}
