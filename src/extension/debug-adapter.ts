/** Starts the adapter that the extension carries, as a process of its own: a guest that keeps it busy can't hold up the editor. */

import * as vscode from 'vscode'
import { adapterCommand, checkSettings } from './adapter-command.ts'
import { DEBUG_TYPE } from './debug-type.ts'

export function provideDebugAdapter(context: vscode.ExtensionContext): vscode.Disposable {
  return vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
    createDebugAdapterDescriptor(session) {
      const configuration = vscode.workspace.getConfiguration('ringside.adapter', session.workspaceFolder)
      const settings = { path: configuration.get<string>('path', ''), node: configuration.get<string>('node', '') }
      // VS Code shows the error, and starts nothing.
      checkSettings(settings)
      const { command, args, env } = adapterCommand(settings, {
        extensionPath: context.extensionPath,
        execPath: process.execPath,
      })
      return new vscode.DebugAdapterExecutable(command, [...args], { env: { ...env } })
    },
  })
}
