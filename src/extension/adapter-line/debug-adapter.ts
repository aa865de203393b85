/** Starts the adapter that the extension carries, as a process of its own: a guest that keeps it busy can't hold up the editor. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from '../debug-type.ts'
import { adapterCommand, checkSettings } from './adapter-command.ts'
import type { AdapterLines } from './adapter-lines.ts'
import { AdapterProcess } from './adapter-process.ts'

export function provideDebugAdapter(context: vscode.ExtensionContext, lines: AdapterLines): vscode.Disposable {
  return vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
    createDebugAdapterDescriptor(session) {
      const configuration = vscode.workspace.getConfiguration('ringside.adapter', session.workspaceFolder)
      const settings = { path: configuration.get<string>('path', ''), node: configuration.get<string>('node', '') }
      // VS Code shows the error, and starts nothing.
      checkSettings(settings)
      const command = adapterCommand(settings, {
        extensionPath: context.extensionPath,
        execPath: process.execPath,
      })
      return lines.open(session, new AdapterProcess(command))
    },
  })
}
