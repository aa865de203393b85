/**
 * The extension in a browser: what VS Code calls there. No process can be started, so that workers are the adapter and
 * the language server.
 */

import * as vscode from 'vscode'
import { activateParts } from '../activate-parts.ts'
import { AdapterLines } from '../adapter-line/adapter-lines.ts'
import { supportAssembly } from '../assembly.ts'
import { Mounts } from './mounts.ts'
import { packagedWorker } from './packaged-worker.ts'
import { provideWebAdapter } from './web-adapter.ts'
import { workspaceFiles } from './workspace-files.ts'

export function activate(context: vscode.ExtensionContext): void {
  const mounted = (uri: vscode.Uri) => ({ origin: uri.with({ path: '', query: '' }).toString(), path: uri.path })
  const mounts = new Mounts(
    () => (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => mounted(uri)),
    mounted(context.extensionUri),
  )
  const lines = new AdapterLines()
  const assembly = supportAssembly(async () => {
    const { startWebLanguageClient } = await import('../../language/web/client.ts')
    return await startWebLanguageClient(await packagedWorker(context.extensionUri, 'language-server.js'))
  })
  activateParts(context, workspaceFiles(mounts), lines, provideWebAdapter(context, mounts, lines), assembly)
}
