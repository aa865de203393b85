/** What the clients on a machine and in a browser have in common. */

import * as vscode from 'vscode'
import type { BaseLanguageClient, LanguageClientOptions } from 'vscode-languageclient'
import { SETTINGS, type ServerOptions } from './options.ts'

const LANGUAGES: readonly string[] = ['nasm', 'gas']

export const ID = 'ringside.assembly'
export const NAME = 'Ringside: assembly'

export const clientOptions = (): LanguageClientOptions => ({
  documentSelector: LANGUAGES.map(language => ({ language })),
  initializationOptions: options(),
})

/** Tells the server of settings and trust whenever they change. */
export function tellOptions(client: BaseLanguageClient): vscode.Disposable {
  const tell = (): void => {
    client
      .sendNotification(SETTINGS, options())
      .catch((error: unknown) => client.error('options not sent', error, false))
  }
  return vscode.Disposable.from(
    vscode.workspace.onDidGrantWorkspaceTrust(tell),
    vscode.workspace.onDidChangeConfiguration(event => {
      if (event.affectsConfiguration('ringside.assembly')) tell()
    }),
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
