/** Language support for assembly, started with the first source that is opened: nothing of it is loaded before. */

import * as vscode from 'vscode'

const LANGUAGES: readonly string[] = ['nasm', 'gas']

export function supportAssembly(context: vscode.ExtensionContext): vscode.Disposable {
  let client: Promise<vscode.Disposable> | undefined
  const startFor = ({ languageId }: vscode.TextDocument): void => {
    if (client !== undefined || !LANGUAGES.includes(languageId)) return
    client = import('../language/client.ts').then(({ startLanguageClient }) =>
      startLanguageClient(context.extensionPath),
    )
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
