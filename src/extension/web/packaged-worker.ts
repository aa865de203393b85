/** A worker of a script that comes with the extension. */

import * as vscode from 'vscode'

/** @param name in `dist/web/`. Rejects with a message for the user when the script can't be read. */
export async function packagedWorker(extension: vscode.Uri, name: string): Promise<Worker> {
  const script = await readPackaged(vscode.Uri.joinPath(extension, 'dist', 'web', name))
  // A worker's script must be of the page's own origin: its bytes are, wherever the extension came from.
  const url = URL.createObjectURL(new Blob([script.slice()], { type: 'text/javascript' }))
  const worker = new Worker(url)
  // By then it has been loaded.
  worker.addEventListener('message', () => URL.revokeObjectURL(url), { once: true })
  return worker
}

/** A file of the package, which may lie at a web server that VS Code has no file system for. */
export async function readPackaged(file: vscode.Uri): Promise<Uint8Array> {
  if (!/^https?$/.test(file.scheme)) return await vscode.workspace.fs.readFile(file)
  const answer = await fetch(file.toString(true))
  if (!answer.ok) throw new Error(`${file.path} can't be read: ${answer.status} ${answer.statusText}`)
  return new Uint8Array(await answer.arrayBuffer())
}
