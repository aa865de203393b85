/** The editor's side: starts the server when the first assembly source is opened, and stops it with the extension. */

import { join } from 'node:path'
import * as vscode from 'vscode'
import { LanguageClient, TransportKind } from 'vscode-languageclient/node'
import { SETTINGS, type ServerOptions } from './options.ts'

export const LANGUAGES: readonly string[] = ['nasm', 'gas']

/** @param extensionPath where `dist/language-server.mjs` is. */
export async function startLanguageClient(extensionPath: string): Promise<vscode.Disposable> {
  const module = join(extensionPath, 'dist', 'language-server.mjs')
  const server = { module, transport: TransportKind.ipc }
  const watcher = vscode.workspace.createFileSystemWatcher('**/*.{asm,nasm,inc,mac,s,S,h}')
  const client = new LanguageClient('ringside.assembly', 'Ringside: assembly', server, {
    documentSelector: LANGUAGES.map(language => ({ language })),
    initializationOptions: options(),
    synchronize: { fileEvents: watcher },
  })
  await client.start()
  const tell = (): void => {
    client
      .sendNotification(SETTINGS, options())
      .catch((error: unknown) => client.error('options not sent', error, false))
  }
  return vscode.Disposable.from(
    watcher,
    vscode.workspace.onDidGrantWorkspaceTrust(tell),
    vscode.workspace.onDidChangeConfiguration(event => {
      if (event.affectsConfiguration('ringside.assembly')) tell()
    }),
    { dispose: () => void client.dispose() },
  )
}

function options(): ServerOptions {
  const settings = vscode.workspace.getConfiguration('ringside.assembly')
  return {
    trusted: vscode.workspace.isTrusted,
    assembler: settings.get<boolean>('checkWithAssembler', true),
    encodedBytes: settings.get<boolean>('encodedBytes', true),
  }
}
