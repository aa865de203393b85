/** The parts of the extension that are the same on a machine and in a browser. */

import type * as vscode from 'vscode'
import type { AdapterLines } from './adapter-line/adapter-lines.ts'
import { provideDebugConfigurations } from './debug-configurations.ts'
import type { HostFiles } from './host-files.ts'
import { provideImport } from './import-qemu.ts'
import { showMachine } from './machine-container.ts'
import { showRegisterValues } from './register-values.ts'
import { showSerialConsoles } from './serial-consoles.ts'
import { guideLearners } from './walkthrough/guide.ts'

/** @param others what the surroundings have of their own */
export function activateParts(
  context: vscode.ExtensionContext,
  files: HostFiles,
  lines: AdapterLines,
  ...others: readonly vscode.Disposable[]
): void {
  context.subscriptions.push(
    lines,
    ...others,
    ...provideDebugConfigurations(context, files),
    provideImport(),
    showSerialConsoles(lines),
    showMachine(context, lines),
    showRegisterValues(),
    guideLearners(context, lines),
  )
}
