/** Sources of a workspace that lies anywhere, read through VS Code. */

import * as vscode from 'vscode'
import { LARGEST_FILE, MOST_FILES, NOT_OURS, SOURCE_ENDINGS } from '../source-names.ts'
import { type HandedFile, type Handover, MOST_CHARACTERS } from './handover.ts'

const SOURCES = `**/*.{${SOURCE_ENDINGS.map(ending => ending.slice(1)).join()}}`
const ELSEWHERE = `**/{${NOT_OURS.join()}}/**`
/** Read at once: each may be a request to a distant server. */
const AT_ONCE = 16

export class SourceReader {
  readonly #warn: (message: string) => void
  /** The last reading of each file: what an earlier one finds later is of no use. */
  readonly #readings = new Map<string, symbol>()

  /** @param warn is told what is left out. */
  constructor(warn: (message: string) => void) {
    this.#warn = warn
  }

  /** Every source of the workspace's folders, as far as the server has room for them. */
  async readAll(): Promise<Handover> {
    // One more than there is room for, so that the server says that something is left out.
    const found = await vscode.workspace.findFiles(SOURCES, ELSEWHERE, MOST_FILES + 1)
    return await this.read(found)
  }

  /** Files that are gone, can't be read or find no room are among those handed over, without text. */
  async read(uris: readonly vscode.Uri[]): Promise<Handover> {
    const files: HandedFile[] = []
    let characters = 0
    for (let i = 0; i < uris.length; i += AT_ONCE) {
      const room = characters <= MOST_CHARACTERS
      const next = uris.slice(i, i + AT_ONCE)
      const read = next.map(uri => (room ? this.#read(uri) : absent(uri)))
      for (const file of await Promise.all(read)) {
        if (file === undefined) continue
        files.push(file)
        characters += file.text?.length ?? 0
      }
    }
    return { files }
  }

  /** @returns undefined when a later reading of the file has begun. */
  async #read(uri: vscode.Uri): Promise<HandedFile | undefined> {
    const name = uri.toString()
    const reading = Symbol()
    this.#readings.set(name, reading)
    const text = await this.#text(uri)
    if (this.#readings.get(name) !== reading) return undefined
    this.#readings.delete(name)
    return text === undefined ? absent(uri) : { uri: name, text }
  }

  async #text(uri: vscode.Uri): Promise<string | undefined> {
    if (vscode.workspace.getWorkspaceFolder(uri) === undefined) return undefined
    try {
      const { type, size } = await vscode.workspace.fs.stat(uri)
      // A link might lead out of the workspace.
      if (type !== vscode.FileType.File) return undefined
      if (size > LARGEST_FILE) {
        this.#warn(`${uri.toString()} is left out: it has more than ${LARGEST_FILE} bytes`)
        return undefined
      }
      return new TextDecoder().decode(await vscode.workspace.fs.readFile(uri))
    } catch {
      // It is gone, or nobody can read it: for the server it is not there.
      return undefined
    }
  }
}

const absent = (uri: vscode.Uri): HandedFile => ({ uri: uri.toString() })
