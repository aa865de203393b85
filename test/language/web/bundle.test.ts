/**
 * The language server of a browser, bundled as it is packaged and run where nothing of Node.js is to be found: all that
 * it has is what a worker has, and the files that its client hands over.
 */

import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { MessageChannel } from 'node:worker_threads'
import { build } from 'esbuild'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  createProtocolConnection,
  type Diagnostic,
  PortMessageReader,
  PortMessageWriter,
  type ProtocolConnection,
  PublishDiagnosticsNotification,
} from 'vscode-languageserver/node'
import { browserPlatform } from '../../../scripts/web-platform.ts'
import { HANDED, WANTED, type Wanted } from '../../../src/language/web/handover.ts'

const FOLDER = 'vscode-vfs://github/owner/kernel'

let script = ''
beforeAll(async () => {
  const { outputFiles } = await build({
    ...browserPlatform(fileURLToPath(new URL('../../../', import.meta.url))),
    ...{ outfile: 'language-server.js', write: false, logLevel: 'silent', format: 'iife' },
    entryPoints: ['src/language/web/main.ts'],
  })
  script = outputFiles[0].text
})

/** A client whose folder has files, which are handed over when they are asked for. */
class Client {
  readonly files = new Map<string, string>()
  readonly warnings: string[] = []
  readonly wanted: string[] = []
  readonly #channel = new MessageChannel()
  readonly #connection: ProtocolConnection
  readonly #published = new Map<string, Diagnostic[]>()
  #arrived = (): void => undefined

  constructor() {
    const { port1, port2 } = this.#channel
    runInNewContext(script, { TextDecoder, TextEncoder, setTimeout, clearTimeout, AbortController, self: port1 })
    this.#connection = createProtocolConnection(new PortMessageReader(port2), new PortMessageWriter(port2))
    this.#connection.onNotification(PublishDiagnosticsNotification.type, ({ uri, diagnostics }) => {
      this.#published.set(uri, diagnostics)
      this.#arrived()
    })
    this.#connection.onNotification(WANTED, ({ uris }: Wanted) => {
      this.wanted.push(...uris)
      void this.hand(...uris)
    })
    this.#connection.onNotification('window/logMessage', ({ message }: { message: string }) => {
      this.warnings.push(message)
    })
    this.#connection.listen()
  }

  async start(): Promise<void> {
    await this.request('initialize', {
      processId: null,
      rootUri: null,
      capabilities: { workspace: { workspaceFolders: true } },
      workspaceFolders: [{ uri: FOLDER, name: 'kernel' }],
      initializationOptions: { trusted: true, assembler: true, encodedBytes: true },
    })
    await this.notify('initialized', {})
  }

  async hand(...uris: readonly string[]): Promise<void> {
    const files = uris.map(uri => ({ uri, ...(this.files.has(uri) && { text: this.files.get(uri) }) }))
    await this.notify(HANDED, { files })
  }

  async open(uri: string, text: string): Promise<void> {
    const languageId = uri.endsWith('.S') ? 'gas' : 'nasm'
    await this.notify('textDocument/didOpen', { textDocument: { uri, languageId, version: 1, text } })
  }

  notify(method: string, params: object): Promise<void> {
    return this.#connection.sendNotification(method, params)
  }

  request(method: string, params: object): Promise<unknown> {
    return this.#connection.sendRequest(method, params)
  }

  /** The next diagnostics of a file. */
  async diagnostics(uri: string): Promise<string[]> {
    for (;;) {
      const found = this.#published.get(uri)
      if (found !== undefined) {
        this.#published.delete(uri)
        return found.map(({ message }) => (typeof message === 'string' ? message : message.value))
      }
      await new Promise<void>(resolve => {
        this.#arrived = resolve
      })
    }
  }

  close(): void {
    this.#connection.dispose()
    this.#channel.port1.close()
  }
}

describe('in a browser', () => {
  let client: Client
  const [start, macros] = [`${FOLDER}/start.asm`, `${FOLDER}/lib/macros.inc`]
  const at = { textDocument: { uri: start }, position: { line: 1, character: 3 } }

  beforeEach(async () => {
    client = new Client()
    await client.start()
    return () => client.close()
  })

  test('instructions are explained and completed', async () => {
    await client.open(start, 'begin:\n iretq\n')
    expect(JSON.stringify(await client.request('textDocument/hover', at))).toContain('pops RIP, CS, RFLAGS')
    expect(JSON.stringify(await client.request('textDocument/completion', at))).toContain('"iretq"')
  })

  test('our own checks tell what is wrong, as no assembler does', async () => {
    await client.open(start, ' jmp missing\n frobnicate eax\n')
    expect(await client.diagnostics(start)).toEqual([
      '"missing" is not defined.',
      '"frobnicate" is no instruction, directive or macro; a label needs a colon.',
    ])
  })

  test('names are found in files that were handed over', async () => {
    const other = `${FOLDER}/other.asm`
    client.files.set(other, 'global other\nother: nop\n')
    await client.hand(other)
    await client.open(start, 'extern other\n call other\n')
    const position = { line: 1, character: 7 }
    const definition = () => client.request('textDocument/definition', { ...at, position })
    expect(await definition()).toMatchObject([{ uri: other, range: { start: { line: 1 } } }])
    client.files.set(other, '\n\n\nglobal other\nother: nop\n')
    await client.hand(other)
    expect(await definition()).toMatchObject([{ uri: other, range: { start: { line: 4 } } }])
    client.files.delete(other)
    await client.hand(other)
    expect(await definition()).toEqual([])
  })

  test('an included file is asked for before anything is said to be missing', async () => {
    client.files.set(macros, '%macro stub 1\n push %1\n%endmacro\n')
    await client.open(start, '%include "lib/macros.inc"\n stub 3\n frobnicate\n')
    expect(await client.diagnostics(start)).toEqual([
      '"frobnicate" is no instruction, directive or macro; a label needs a colon.',
    ])
    expect(client.wanted).toEqual([macros])
    client.files.delete(macros)
    await client.hand(macros)
    expect(await client.diagnostics(start)).toEqual([`"lib/macros.inc" was not found in the workspace's folders.`])
  })

  test('a folder that is added is searched for what its files include, and one that is removed is not', async () => {
    const [added, include] = ['vscode-vfs://github/owner/added', 'vscode-vfs://github/owner/added/lib/macros.inc']
    client.files.set(include, '')
    await client.open(start, '%include "lib/macros.inc"\n')
    const missing = [`"lib/macros.inc" was not found in the workspace's folders.`]
    expect(await client.diagnostics(start)).toEqual(missing)
    const folder = { uri: added, name: 'added' }
    const change = (event: object) => client.notify('workspace/didChangeWorkspaceFolders', { event })
    await change({ added: [folder], removed: [] })
    expect(await client.diagnostics(start)).toEqual([])
    await change({ added: [], removed: [folder] })
    expect(await client.diagnostics(start)).toEqual(missing)
  })

  test('what finds no room is told in the log', async () => {
    const large = `${FOLDER}/large.asm`
    client.files.set(large, ' '.repeat(2 ** 24 + 1))
    await client.hand(large)
    await client.request('shutdown', {})
    expect(client.warnings).toEqual([expect.stringContaining(`1 files are left out, among them ${large}`)])
  })
})
