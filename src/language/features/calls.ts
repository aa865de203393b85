/** Which routine calls which: a routine is a label with the code up to the next, local labels left out. */

import {
  type CallHierarchyIncomingCall,
  type CallHierarchyItem,
  type CallHierarchyOutgoingCall,
  type DocumentSymbol,
  type Range,
  SymbolKind,
} from 'vscode-languageserver'
import type { SymbolUse } from '../index/file-symbols.ts'
import type { SourceDocument } from '../index/source-document.ts'
import { symbolAt, type Workspace } from '../index/workspace.ts'
import { rangeOf } from './navigation.ts'
import { documentSymbols } from './outline.ts'

const CALL = /^l?call[wlq]?$/i
/** To another routine it is a call whose end is the end of both. */
const JUMP = /^l?jmp[wlq]?$/i

interface Routine {
  readonly document: SourceDocument
  readonly symbol: DocumentSymbol
}

/** The routine whose name stands at a place, as it is defined. */
export function prepareCalls(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
): CallHierarchyItem[] | undefined {
  const symbol = symbolAt(document, line, column)
  const routines = new Routines(workspace)
  const items = symbol === undefined ? [] : routines.named(document, symbol.name).map(itemOf)
  return items.length > 0 ? items : undefined
}

export function incomingCalls(
  workspace: Workspace,
  document: SourceDocument,
  { name, selectionRange }: CallHierarchyItem,
): CallHierarchyIncomingCall[] {
  const callers = new Map<DocumentSymbol, { from: CallHierarchyItem; fromRanges: Range[] }>()
  const routines = new Routines(workspace)
  for (const { document: other, at } of workspace.occurrences(document, name)) {
    if ('kind' in at) continue
    const caller = routines.around(other, at.line)
    if (caller === undefined || !transfers(caller, at, other === document ? selectionRange : undefined)) continue
    const call = callers.get(caller.symbol) ?? { from: itemOf(caller), fromRanges: [] }
    call.fromRanges.push(rangeOf(at))
    callers.set(caller.symbol, call)
  }
  return [...callers.values()]
}

export function outgoingCalls(
  workspace: Workspace,
  document: SourceDocument,
  { selectionRange }: CallHierarchyItem,
): CallHierarchyOutgoingCall[] {
  const routines = new Routines(workspace)
  const routine = routines.around(document, selectionRange.start.line)
  if (routine === undefined) return []
  const callees = new Map<string, { to: CallHierarchyItem; fromRanges: Range[] }>()
  const { start, end } = routine.symbol.range
  for (const use of document.symbols.uses) {
    if (use.line < start.line || use.line > end.line) continue
    const [callee] = routines.named(document, use.name)
    if (callee === undefined) continue
    const { selectionRange } = callee.symbol
    if (!transfers(routine, use, callee.document === document ? selectionRange : undefined)) continue
    const call = callees.get(use.name) ?? { to: itemOf(callee), fromRanges: [] }
    call.fromRanges.push(rangeOf(use))
    callees.set(use.name, call)
  }
  return [...callees.values()]
}

/** @param target of the use, if it is in the same file. */
function transfers({ document, symbol }: Routine, { line, start }: SymbolUse, target: Range | undefined): boolean {
  const operation = document.lines[line].statements.findLast(
    each => (each.operation?.start ?? start) < start,
  )?.operation
  if (operation === undefined) return false
  if (CALL.test(operation.text)) return true
  const within = target !== undefined && contains(symbol.range, target.start.line)
  return JUMP.test(operation.text) && !within
}

const contains = ({ start, end }: Range, line: number): boolean => start.line <= line && line <= end.line

/** Those of each file, found once for one request. */
class Routines {
  readonly #workspace: Workspace
  readonly #found = new Map<SourceDocument, readonly Routine[]>()

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  around(document: SourceDocument, line: number): Routine | undefined {
    return this.#in(document).find(({ symbol }) => contains(symbol.range, line))
  }

  /** Seen from `document`. A local label is a place in a routine, and none itself. */
  named(document: SourceDocument, name: string): Routine[] {
    return this.#workspace.definitions(document, name).flatMap(({ document: owner, at }) => {
      const routine = at.kind === 'label' ? this.around(owner, at.line) : undefined
      return routine?.symbol.name === name ? [routine] : []
    })
  }

  #in(document: SourceDocument): readonly Routine[] {
    const known = this.#found.get(document)
    if (known !== undefined) return known
    const routines = documentSymbols(document)
      .filter(({ kind }) => kind === SymbolKind.Function)
      .map(symbol => ({ document, symbol }))
    this.#found.set(document, routines)
    return routines
  }
}

const itemOf = ({ document: { uri }, symbol: { name, kind, range, selectionRange } }: Routine): CallHierarchyItem => ({
  ...{ name, kind, uri, range, selectionRange },
})
