/** A file's symbols, those of the workspace, and what can be folded. */

import {
  type DocumentSymbol,
  type FoldingRange,
  FoldingRangeKind,
  SymbolKind,
  type WorkspaceSymbol,
} from 'vscode-languageserver'
import type { SymbolDefinition } from '../index/file-symbols.ts'
import { isNasmLocal } from '../index/file-symbols.ts'
import type { SourceDocument } from '../index/source-document.ts'
import type { Workspace } from '../index/workspace.ts'
import type { BlockKind } from '../syntax/source-line.ts'
import { rangeOf } from './navigation.ts'

const MOST_SYMBOLS = 1000

const KINDS: Readonly<Record<SymbolDefinition['kind'], SymbolKind>> = {
  label: SymbolKind.Function,
  constant: SymbolKind.Constant,
  define: SymbolKind.Constant,
  macro: SymbolKind.Operator,
  structure: SymbolKind.Struct,
  section: SymbolKind.Module,
}

/** Local labels stand under their owner, which reaches to the next one. */
export function documentSymbols({ symbols, lines, dialect }: SourceDocument): DocumentSymbol[] {
  const top: DocumentSymbol[] = []
  for (const definition of symbols.definitions) {
    const { shortName, kind, line } = definition
    if (/^\d+$/.test(shortName)) continue
    const symbol: DocumentSymbol = {
      name: shortName,
      kind: KINDS[kind],
      range: { start: { line, character: 0 }, end: { line, character: lines[line].text.length } },
      selectionRange: rangeOf(definition),
      children: [],
    }
    const owner = top.at(-1)
    const local = dialect === 'nasm' ? isNasmLocal(shortName) : shortName.startsWith('.L')
    if (local && owner?.children !== undefined) owner.children.push(symbol)
    else top.push(symbol)
  }
  top.forEach((symbol, i) => {
    if (symbol.kind !== SymbolKind.Function) return
    const last = (top[i + 1]?.range.start.line ?? lines.length) - 1
    if (last > symbol.range.start.line) symbol.range.end = { line: last, character: lines[last].text.length }
  })
  return top
}

export function workspaceSymbols(workspace: Workspace, query: string): WorkspaceSymbol[] {
  const wanted = query.toLowerCase().slice(0, 200)
  const found: WorkspaceSymbol[] = []
  for (const { uri, symbols } of workspace.all())
    for (const definition of symbols.definitions) {
      const { name, kind } = definition
      if (kind === 'section' || name.includes('@') || !isSubsequence(wanted, name.toLowerCase())) continue
      found.push({ name, kind: KINDS[kind], location: { uri, range: rangeOf(definition) } })
      if (found.length === MOST_SYMBOLS) return found
    }
  return found
}

/** Editors match the letters of a query in order, not side by side. */
function isSubsequence(wanted: string, text: string): boolean {
  let at = 0
  for (const letter of text) if (letter === wanted[at]) at++
  return at >= wanted.length
}

/** Macros, repetitions, conditions, structures, comments of several lines, and the code of each label. */
export function foldingRanges(document: SourceDocument): FoldingRange[] {
  const ranges: FoldingRange[] = []
  const open: { kind: BlockKind; line: number }[] = []
  const add = (startLine: number, endLine: number, kind?: FoldingRangeKind): void => {
    if (endLine > startLine) ranges.push({ startLine, endLine, ...(kind && { kind }) })
  }
  let comment: number | undefined
  document.lines.forEach((line, number) => {
    const isComment = line.tokens.length === 0 && line.text.trim() !== ''
    if (isComment) comment ??= number
    else if (comment !== undefined) {
      add(comment, number - 1, FoldingRangeKind.Comment)
      comment = undefined
    }
    const { block } = line
    if (block === undefined) return
    if (block.edge !== 'begin') {
      const begun = open.findLastIndex(({ kind }) => kind === block.kind)
      if (begun >= 0) add(open.splice(begun)[0].line, number - 1)
    }
    if (block.edge !== 'end') open.push({ kind: block.kind, line: number })
  })
  if (comment !== undefined) add(comment, document.lines.length - 1, FoldingRangeKind.Comment)
  for (const { kind, range } of documentSymbols(document))
    if (kind === SymbolKind.Function) add(range.start.line, lastCode(document, range.end.line))
  return ranges
}

/** The last line up to `line` that is neither empty nor a comment, which belongs to what follows. */
function lastCode({ lines }: SourceDocument, line: number): number {
  let last = line
  while (last > 0 && lines[last].tokens.length === 0) last--
  return last
}
