/** The extension in a browser: what VS Code calls there. No process can be started, so that a worker is the adapter. */

import * as vscode from 'vscode'
import { activateParts } from '../activate-parts.ts'
import { AdapterLines } from '../adapter-line/adapter-lines.ts'
import { Mounts } from './mounts.ts'
import { provideWebAdapter } from './web-adapter.ts'
import { workspaceFiles } from './workspace-files.ts'

export function activate(context: vscode.ExtensionContext): void {
  const mounted = (uri: vscode.Uri) => ({ origin: uri.with({ path: '', query: '' }).toString(), path: uri.path })
  const mounts = new Mounts(
    () => (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => mounted(uri)),
    mounted(context.extensionUri),
  )
  const lines = new AdapterLines()
  activateParts(context, workspaceFiles(mounts), lines, provideWebAdapter(context, mounts, lines))
}
