/** The editor's side: starts the server when the first assembly source is opened, and stops it with the extension. */

import { join } from 'node:path'
import * as vscode from 'vscode'
import { LanguageClient, TransportKind } from 'vscode-languageclient/node'
import { clientOptions, ID, NAME, tellOptions } from './client-options.ts'
import { WATCHED } from './source-names.ts'

/** @param extensionPath where `dist/language-server.mjs` is. */
export async function startLanguageClient(extensionPath: string): Promise<vscode.Disposable> {
  const module = join(extensionPath, 'dist', 'language-server.mjs')
  const server = { module, transport: TransportKind.ipc }
  const watcher = vscode.workspace.createFileSystemWatcher(WATCHED)
  const client = new LanguageClient(ID, NAME, server, { ...clientOptions(), synchronize: { fileEvents: watcher } })
  await client.start()
  return vscode.Disposable.from(watcher, tellOptions(client), { dispose: () => void client.dispose() })
}
