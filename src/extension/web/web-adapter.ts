/** The debug adapter beside an extension in a browser: a worker, with the session's files handed over before it starts. */

import * as vscode from 'vscode'
import type { ToWebAdapter, WebFile } from '../../protocol/web-adapter.ts'
import type { AdapterLines } from '../adapter-line/adapter-lines.ts'
import type { AdapterLink, AdapterLinkListener } from '../adapter-line/adapter-link.ts'
import { DEBUG_TYPE } from '../debug-type.ts'
import { members } from '../session-messages.ts'
import { type Mounts, withSourcePaths } from './mounts.ts'
import { packagedWorker, readPackaged } from './packaged-worker.ts'

/** Sources of which the adapter is told that they are there. */
const SOURCES = '**/*.{c,h,cc,cpp,hpp,rs,s,S,asm,nasm,inc}'
const ELSEWHERE = '**/{node_modules,.git}/**'
const MOST_SOURCES = 20_000
/** Of a kernel, its initial RAM disk or its symbols: a page has no more room. */
const LARGEST_FILE = 2 ** 30

/** The package's own sources, relative to it; the bundler puts them in. */
declare const PACKAGED_SOURCES: readonly string[]

export function provideWebAdapter(
  context: vscode.ExtensionContext,
  mounts: Mounts,
  lines: AdapterLines,
): vscode.Disposable {
  return vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
    async createDebugAdapterDescriptor(session) {
      const files = await filesOf(session.configuration, context.extensionUri, mounts)
      const worker = await packagedWorker(context.extensionUri, 'adapter.js')
      return lines.open(session, new AdapterWorker(worker, files, mounts))
    },
  })
}

class AdapterWorker implements AdapterLink {
  readonly #worker: Worker
  readonly #mounts: Mounts

  constructor(worker: Worker, files: readonly WebFile[], mounts: Mounts) {
    this.#worker = worker
    this.#mounts = mounts
    this.#post({ type: 'files', files })
  }

  listen({ message, ended }: AdapterLinkListener): void {
    this.#worker.onmessage = ({ data }: MessageEvent<unknown>) => {
      message(members(withSourcePaths(data, path => this.#mounts.uriOf(path))))
    }
    this.#worker.onerror = ({ message }) => ended(message)
  }

  send(message: object): void {
    this.#post({ type: 'message', message: members(withSourcePaths(message, text => this.#mounts.pathOf(text))) })
  }

  dispose(): void {
    this.#worker.terminate()
  }

  #post(message: ToWebAdapter): void {
    this.#worker.postMessage(message)
  }
}

/** What a configuration names, with contents; sources by name alone. */
async function filesOf(
  configuration: vscode.DebugConfiguration,
  extension: vscode.Uri,
  mounts: Mounts,
): Promise<WebFile[]> {
  const { program, initrd, symbols } = configuration
  const named = [program, initrd, ...[symbols ?? []].flat().map(file => members(file).path ?? file)]
  const paths = [...new Set(named.filter(path => typeof path === 'string'))]
  const contents = paths.map(async path => ({ path, bytes: await read(vscode.Uri.parse(mounts.uriOf(path))) }))
  const sources = await vscode.workspace.findFiles(SOURCES, ELSEWHERE, MOST_SOURCES)
  const packaged = PACKAGED_SOURCES.map(name => vscode.Uri.joinPath(extension, name))
  return [...[...sources, ...packaged].map(({ path }) => ({ path })), ...(await Promise.all(contents))]
}

/** Rejects with a message for the user. */
async function read(file: vscode.Uri): Promise<Uint8Array> {
  if (/^https?$/.test(file.scheme)) return await readPackaged(file)
  const { size } = await vscode.workspace.fs.stat(file)
  if (size > LARGEST_FILE) throw new Error(`${file.path} is too large for a browser`)
  return await vscode.workspace.fs.readFile(file)
}
