/** Language support for assembly, started with the first source that is opened: nothing of it is loaded before. */

import * as vscode from 'vscode'

const LANGUAGES: readonly string[] = ['nasm', 'gas']

/** @param start loads and starts the client. */
export function supportAssembly(start: () => Promise<vscode.Disposable>): vscode.Disposable {
  let client: Promise<vscode.Disposable> | undefined
  const startFor = ({ languageId }: vscode.TextDocument): void => {
    if (client !== undefined || !LANGUAGES.includes(languageId)) return
    client = start()
    client.catch((error: unknown) =>
      vscode.window.showErrorMessage(
        `Ringside's language server did not start: ${error instanceof Error ? error.message : String(error)}`,
      ),
    )
  }
  const opened = vscode.workspace.onDidOpenTextDocument(startFor)
  vscode.workspace.textDocuments.forEach(startFor)
  return vscode.Disposable.from(opened, {
    dispose: () => {
      // A client that never started was reported when it failed.
      client?.then(
        started => started.dispose(),
        () => undefined,
      )
    },
  })
}
