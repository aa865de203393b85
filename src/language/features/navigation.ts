/** From a name to where it is defined and used. */

import { type DocumentHighlight, DocumentHighlightKind, type Location, type Range } from 'vscode-languageserver'
import type { SourceDocument } from '../index/source-document.ts'
import { type Located, symbolAt, type Workspace } from '../index/workspace.ts'
import type { Span } from '../syntax/source-line.ts'

export const rangeOf = ({ line, start, end }: Span & { readonly line: number }): Range => ({
  start: { line, character: start },
  end: { line, character: end },
})

const locationOf = ({ document, at }: Located<Span & { readonly line: number }>): Location => ({
  uri: document.uri,
  range: rangeOf(at),
})

/** Of the symbol, or the file of an include. */
export function definition(workspace: Workspace, document: SourceDocument, line: number, column: number): Location[] {
  const include = document.lines[line]?.include
  if (include !== undefined && include.start <= column && column <= include.end) {
    const file = workspace.included(document, include.path)
    return file === undefined ? [] : [{ uri: file.uri, range: rangeOf({ line: 0, start: 0, end: 0 }) }]
  }
  const symbol = symbolAt(document, line, column)
  return symbol === undefined ? [] : workspace.definitions(document, symbol.name).map(locationOf)
}

export function references(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
  includeDeclaration: boolean,
): Location[] {
  const symbol = symbolAt(document, line, column)
  if (symbol === undefined) return []
  return workspace
    .occurrences(document, symbol.name)
    .filter(({ at }) => includeDeclaration || !('kind' in at))
    .map(locationOf)
}

export function highlights(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
): DocumentHighlight[] {
  const symbol = symbolAt(document, line, column)
  if (symbol === undefined) return []
  return workspace
    .occurrences(document, symbol.name)
    .filter(each => each.document === document)
    .map(({ at }) => ({
      range: rangeOf(at),
      kind: 'kind' in at ? DocumentHighlightKind.Write : DocumentHighlightKind.Read,
    }))
}
