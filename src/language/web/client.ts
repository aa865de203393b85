/** The editor's side in a browser: the server is a worker, and gets the workspace's sources from here. */

import * as vscode from 'vscode'
import { LanguageClient } from 'vscode-languageclient/browser'
import { clientOptions, ID, NAME, tellOptions } from '../client-options.ts'
import { WATCHED } from '../source-names.ts'
import { HANDED, type Handover, WANTED, type Wanted } from './handover.ts'
import { SourceReader } from './source-reader.ts'

/** @param worker that runs `dist/web/language-server.js`; it ends with the client. */
export async function startWebLanguageClient(worker: Worker): Promise<vscode.Disposable> {
  const client = new LanguageClient(ID, NAME, worker, clientOptions())
  const reader = new SourceReader(message => client.warn(message, undefined, false))
  const give = (reading: Promise<Handover>): void => {
    reading
      .then(handover => client.sendNotification(HANDED, handover))
      .catch((error: unknown) => client.error('sources not handed over', error, false))
  }
  client.onNotification(WANTED, ({ uris }: Wanted) => give(reader.read(uris.map(uri => vscode.Uri.parse(uri)))))
  await client.start()

  give(reader.readAll())
  const watcher = vscode.workspace.createFileSystemWatcher(WATCHED)
  const changed = (uri: vscode.Uri): void => give(reader.read([uri]))
  return vscode.Disposable.from(
    watcher,
    watcher.onDidCreate(changed),
    watcher.onDidChange(changed),
    watcher.onDidDelete(changed),
    vscode.workspace.onDidChangeWorkspaceFolders(() => give(reader.readAll())),
    tellOptions(client),
    { dispose: () => void client.dispose().finally(() => worker.terminate()) },
  )
}
