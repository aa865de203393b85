/** One file, parsed by lines: an edit parses again only what it changed. */

import { parseGasLine } from '../syntax/gas.ts'
import { parseNasmLine } from '../syntax/nasm.ts'
import type { Dialect, SourceLine } from '../syntax/source-line.ts'
import { FileSymbols } from './file-symbols.ts'

/** More lines than this are not looked at. */
const MOST_LINES = 200_000

export class SourceDocument {
  readonly uri: string
  readonly dialect: Dialect
  #version: number
  #lines: readonly SourceLine[]
  #symbols: FileSymbols | undefined

  /** @param version of the editor's document, or 0 for a file on disk. */
  constructor(uri: string, dialect: Dialect, text: string, version: number) {
    this.uri = uri
    this.dialect = dialect
    this.#version = version
    this.#lines = this.#parse(text, [])
  }

  get version(): number {
    return this.#version
  }

  get lines(): readonly SourceLine[] {
    return this.#lines
  }

  get symbols(): FileSymbols {
    this.#symbols ??= new FileSymbols(this.#lines, this.dialect)
    return this.#symbols
  }

  update(text: string, version: number): void {
    this.#lines = this.#parse(text, this.#lines)
    this.#version = version
    this.#symbols = undefined
  }

  /** Takes equal lines at both ends from `before`. */
  #parse(text: string, before: readonly SourceLine[]): readonly SourceLine[] {
    const texts = text.split(/\r\n|\r|\n/, MOST_LINES)
    const shorter = Math.min(texts.length, before.length)
    let head = 0
    while (head < shorter && before[head].text === texts[head]) head++
    let tail = 0
    while (tail < shorter - head && before[before.length - 1 - tail].text === texts[texts.length - 1 - tail]) tail++
    const lines = before.slice(0, head)
    for (let i = head; i < texts.length; i++) {
      const open = lines[i - 1]?.commentOpen ?? false
      const same = before[before.length - (texts.length - i)]
      const openBefore = before[before.length - (texts.length - i) - 1]?.commentOpen ?? false
      // A block comment opened or closed above changes what equal lines mean.
      if (i >= texts.length - tail && open === openBefore) lines.push(same)
      else lines.push(this.dialect === 'nasm' ? parseNasmLine(texts[i]) : parseGasLine(texts[i], open))
    }
    return lines
  }
}
