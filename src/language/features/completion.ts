/** What may stand at a place: instructions and directives first in a statement, registers and symbols behind. */

import { type CompletionItem, CompletionItemKind, type CompletionList } from 'vscode-languageserver'
import { describe } from '../facts/descriptions.ts'
import { describeDirective, directiveNames } from '../facts/directives.ts'
import { instructionName, MNEMONIC_NAMES } from '../facts/mnemonics.ts'
import { describeRegister, REGISTER_NAMES } from '../facts/registers.ts'
import type { SymbolDefinition } from '../index/file-symbols.ts'
import type { SourceDocument } from '../index/source-document.ts'
import type { Workspace } from '../index/workspace.ts'
import type { Dialect } from '../syntax/source-line.ts'

/** An editor asks again when more was typed. */
const MOST_ITEMS = 400
/** The word in front of the cursor. */
const WORD = /[%#.\w$@?]*$/

export function completion(
  workspace: Workspace,
  document: SourceDocument,
  line: number,
  column: number,
): CompletionList {
  const source = document.lines[line]
  if (source === undefined || (column > source.codeEnd && source.codeEnd < source.text.length)) return none()
  const before = source.text.slice(0, column)
  const word = WORD.exec(before)?.[0] ?? ''
  if (inString(source.tokens, column)) return none()
  const start = { line, character: column - word.length }
  const first = isFirst(before.slice(0, before.length - word.length), document.dialect)
  const candidates = first ? statementWords(document.dialect) : registerWords(word)
  const owner = document.symbols.owners[line]
  const symbols = symbolItems(workspace, document, first, owner, word.toLowerCase())
  const lower = word.toLowerCase()
  const fitting = [...candidates.filter(({ label }) => label.toLowerCase().startsWith(lower)), ...symbols]
  return {
    isIncomplete: fitting.length > MOST_ITEMS,
    items: fitting.slice(0, MOST_ITEMS).map(item => ({
      ...item,
      textEdit: { range: { start, end: { line, character: column } }, newText: item.label },
    })),
  }
}

/** Fills in what is only needed for the one item that is looked at. */
export function resolveCompletion(item: CompletionItem): CompletionItem {
  const dialect: Dialect = item.data === 'gas' ? 'gas' : 'nasm'
  if (item.kind === CompletionItemKind.Keyword) {
    const name = instructionName(item.label, dialect)
    const text = name === undefined ? undefined : describe(name)
    return text === undefined ? item : { ...item, documentation: text }
  }
  return item
}

const none = (): CompletionList => ({ isIncomplete: false, items: [] })

const inString = (tokens: SourceDocument['lines'][number]['tokens'], column: number): boolean =>
  tokens.some(({ kind, start, end }) => kind === 'string' && start < column && column < end)

/** Whether nothing but labels and prefixes stands in front. */
function isFirst(before: string, dialect: Dialect): boolean {
  const statement = dialect === 'gas' ? (before.split(';').at(-1) ?? '') : before
  return /^\s*(?:[\w.$?@%]+:\s*)*(?:(?:lock|rep\w*|bnd|[ao](?:16|32|64)|data(?:16|32))\s+)*$/i.test(statement)
}

const statementItems = new Map<Dialect, CompletionItem[]>()

function statementWords(dialect: Dialect): CompletionItem[] {
  const known = statementItems.get(dialect)
  if (known !== undefined) return known
  const items = [
    ...directiveNames(dialect).map(label => ({
      label,
      kind: CompletionItemKind.Property,
      detail: describeDirective(label, dialect) ?? '',
    })),
    ...MNEMONIC_NAMES.map(label => ({ label, kind: CompletionItemKind.Keyword, data: dialect })),
  ]
  statementItems.set(dialect, items)
  return items
}

/** AT&T's percent sign is part of the word when it was typed. */
function registerWords(word: string): CompletionItem[] {
  const sign = word.startsWith('%') ? '%' : ''
  return REGISTER_NAMES.map(name => ({
    label: sign + name,
    kind: CompletionItemKind.Variable,
    detail: describeRegister(name) ?? '',
  }))
}

const KINDS: Readonly<Record<SymbolDefinition['kind'], CompletionItemKind>> = {
  label: CompletionItemKind.Function,
  constant: CompletionItemKind.Constant,
  define: CompletionItemKind.Constant,
  macro: CompletionItemKind.Snippet,
  structure: CompletionItemKind.Struct,
  section: CompletionItemKind.Module,
}

/** Macros at the beginning of a statement, everything else behind. */
function symbolItems(
  workspace: Workspace,
  document: SourceDocument,
  first: boolean,
  owner: string | undefined,
  lower: string,
): CompletionItem[] {
  const items = new Map<string, CompletionItem>()
  for (const each of workspace.together(document))
    for (const { name, kind } of each.symbols.definitions) {
      if (kind === 'section' || name.includes('@') || (first && kind !== 'macro' && kind !== 'define')) continue
      const local = document.dialect === 'nasm' && owner !== undefined && name.startsWith(`${owner}.`)
      const label = local ? name.slice(owner.length) : name
      if (label.toLowerCase().startsWith(lower) && !items.has(label)) items.set(label, { label, kind: KINDS[kind] })
    }
  return [...items.values()]
}
