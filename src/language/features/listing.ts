/** Addresses and encoded bytes of each line, from an assembler's listing. */

import { type InlayHint, InlayHintKind } from 'vscode-languageserver'
import type { SourceDocument } from '../index/source-document.ts'
import type { Dialect } from '../syntax/source-line.ts'

export interface Encoded {
  /** Offset in the section, hexadecimal digits as the assembler writes them. */
  readonly address: string
  /** Hexadecimal digits, with `[...]` and `(...)` where NASM leaves something to the linker taken out. */
  readonly bytes: string
}

/** More bytes than this are cut off in a hint. */
const MOST_BYTES = 16

// `    34 0000001A 4889E5                  mov rbp, rsp`; lines of macros and includes have `<1>` behind the bytes.
const NASM_LINE = /^ *(\d+) ([0-9A-F]{8}) (\S+(?: \S+>)?)(?: +(<\d+>))?/
// `   3 0000 4889E5   \tmov %rsp, %rbp`, and `   3      90` for more bytes of the line.
const GAS_LINE = /^ *(\d+) ([0-9a-f]{4,16})? +((?:[0-9A-F]{2,8} )*[0-9A-F]{2,8}) *(?:\t|$)/

/** By line, from 0. */
export function parseListing(listing: string, dialect: Dialect): Map<number, Encoded> {
  const found = new Map<number, Encoded>()
  const pattern = dialect === 'nasm' ? NASM_LINE : GAS_LINE
  for (const text of listing.split('\n')) {
    const match = pattern.exec(text)
    if (match === null || match[4] !== undefined || match[3].startsWith('<')) continue
    const line = Number(match[1]) - 1
    const bytes = match[3].replace(/[^0-9A-Fa-f]/g, '')
    const before = found.get(line)
    if (before !== undefined) found.set(line, { address: before.address, bytes: before.bytes + bytes })
    else if (match[2] !== undefined && bytes !== '') found.set(line, { address: match[2].toLowerCase(), bytes })
  }
  return found
}

/** A hint behind the code of each line from `first` to `last`. */
export function inlayHints(
  document: SourceDocument,
  encoded: ReadonlyMap<number, Encoded>,
  first: number,
  last: number,
): InlayHint[] {
  const hints: InlayHint[] = []
  for (let line = Math.max(0, first); line <= last && line < document.lines.length; line++) {
    const at = encoded.get(line)
    const end = document.lines[line].tokens.at(-1)?.end
    if (at === undefined || end === undefined) continue
    const pairs = at.bytes.toLowerCase().match(/../g) ?? []
    const shown = pairs.slice(0, MOST_BYTES).join(' ') + (pairs.length > MOST_BYTES ? ' …' : '')
    hints.push({
      position: { line, character: end },
      label: `${at.address.replace(/^0+(?=.{4})/, '')}: ${shown}`,
      kind: InlayHintKind.Type,
      paddingLeft: true,
      tooltip: `Offset 0x${at.address} in its section, ${pairs.length} ${pairs.length === 1 ? 'byte' : 'bytes'}`,
    })
  }
  return hints
}
