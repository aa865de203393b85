/** A client of the language server in the same process, speaking JSON-RPC over streams. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pathToFileURL } from 'node:url'
import {
  createConnection,
  createProtocolConnection,
  type Diagnostic,
  PublishDiagnosticsNotification,
} from 'vscode-languageserver/node'
import { assemble } from '../../src/language/features/assembler.ts'
import { MachineFiles } from '../../src/language/index/machine-files.ts'
import { serve } from '../../src/language/server.ts'

interface Position {
  readonly line: number
  readonly character: number
}

/** Starts a server over a workspace folder with `files`; a bar in the text of `open` is where the cursor is. */
export async function languageClient(files: Readonly<Record<string, string>>, options: object = {}) {
  const base = mkdtempSync(join(tmpdir(), 'ringside-language-'))
  const folder = join(base, 'folder')
  const uri = (name: string): string => pathToFileURL(join(folder, name)).href
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const [toServer, toClient] = [new PassThrough(), new PassThrough()]
  serve(createConnection(toServer, toClient), { files: new MachineFiles(), assemble })
  const connection = createProtocolConnection(toClient, toServer)
  const published = new Map<string, Diagnostic[]>()
  let wake = (): void => undefined
  connection.onNotification(PublishDiagnosticsNotification.type, ({ uri, diagnostics }) => {
    published.set(uri, diagnostics)
    wake()
  })
  connection.listen()
  await connection.sendRequest('initialize', {
    processId: null,
    rootUri: null,
    capabilities: {},
    workspaceFolders: [{ uri: pathToFileURL(folder).href, name: 'folder' }],
    initializationOptions: options,
  })
  await connection.sendNotification('initialized', {})
  return {
    uri,
    /** Opens a file as the editor has it; returns where the bar was. */
    async open(name: string, marked: string): Promise<Position> {
      const before = marked.split('|')[0].split('\n')
      const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 }
      const textDocument = {
        uri: uri(name),
        languageId: /\.[sS]$/.test(name) ? 'gas' : 'nasm',
        version: 1,
        text: marked.replace('|', ''),
      }
      await connection.sendNotification('textDocument/didOpen', { textDocument })
      return position
    },
    notify: (method: string, params: object) => connection.sendNotification(method, params),
    request: (method: string, name: string, position: Position, more: object = {}): Promise<unknown> =>
      connection.sendRequest(method, { textDocument: { uri: uri(name) }, position, ...more }),
    send: (method: string, params: object): Promise<unknown> => connection.sendRequest(method, params),
    /** The next diagnostics of a file. */
    async diagnostics(name: string): Promise<Diagnostic[]> {
      for (;;) {
        const found = published.get(uri(name))
        if (found !== undefined) return found
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await connection.sendRequest('shutdown')
      connection.dispose()
      rmSync(base, { recursive: true, force: true })
    },
  }
}
