/** The extension in a browser: what VS Code calls there. No process can be started, so that a worker is the adapter. */

import * as vscode from 'vscode'
import { activateParts } from '../activate-parts.ts'
import { Mounts } from './mounts.ts'
import { provideWebAdapter } from './web-adapter.ts'
import { workspaceFiles } from './workspace-files.ts'

export function activate(context: vscode.ExtensionContext): void {
  const mounted = (uri: vscode.Uri) => ({ origin: uri.with({ path: '', query: '' }).toString(), path: uri.path })
  const mounts = new Mounts(
    () => (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => mounted(uri)),
    mounted(context.extensionUri),
  )
  activateParts(context, workspaceFiles(mounts), provideWebAdapter(context, mounts))
}
