/** What is under the pointer. */

import type { Hover } from 'vscode-languageserver'
import { describeDirective } from '../facts/directives.ts'
import { type InstructionFacts, instructionFacts } from '../facts/instruction-facts.ts'
import { instructionName } from '../facts/mnemonics.ts'
import { describeRegister, isRegister } from '../facts/registers.ts'
import type { SourceDocument } from '../index/source-document.ts'
import { symbolAt, type Workspace } from '../index/workspace.ts'
import { type Token, tokenAt } from '../syntax/source-line.ts'
import { constantValue } from './constants.ts'
import { immediateMeaning } from './immediate.ts'

const MOST_FORMS = 12
const MOST_COMMENT_LINES = 12

export function hover(workspace: Workspace, document: SourceDocument, line: number, column: number): Hover | undefined {
  const source = document.lines[line]
  if (source === undefined || column > source.codeEnd) return undefined
  const token = tokenAt(source, column)
  if (token === undefined) return undefined
  const parts = [
    wordText(document, line, token),
    symbolText(workspace, document, line, column),
    numberText(document, token, workspace),
    immediateMeaning(workspace, document, line, column),
  ].filter(text => text !== undefined)
  if (parts.length === 0) return undefined
  const range = { start: { line, character: token.start }, end: { line, character: token.end } }
  return { contents: { kind: 'markdown', value: parts.join('\n\n---\n\n') }, range }
}

function wordText({ lines, dialect }: SourceDocument, line: number, token: Token): string | undefined {
  if (token.kind === 'string' || token.kind === 'number') return undefined
  const statement = lines[line].statements.find(
    ({ operation, prefixes }) => operation === token || prefixes.includes(token),
  )
  if (statement !== undefined || token.kind === 'parameter') {
    const name = token.kind === 'name' ? instructionName(token.text, dialect) : undefined
    const facts = name === undefined ? undefined : instructionFacts(name)
    if (facts !== undefined) return instructionText(token.text, facts)
    const directive = describeDirective(token.text, dialect)
    return directive === undefined ? undefined : `**${token.text}**: ${directive}`
  }
  const register = isRegister(token.text) ? describeRegister(token.text) : undefined
  return register === undefined ? undefined : `**${token.text.toUpperCase()}**: ${register}`
}

function instructionText(written: string, facts: InstructionFacts): string {
  const title = written.toLowerCase() === facts.name ? '' : ` (${facts.name.toUpperCase()})`
  const { read, written: changed, cleared, set, undefined: open } = facts.flags
  const flags = [
    ...listed('reads', read),
    ...listed('writes', changed),
    ...listed('clears', cleared),
    ...listed('sets', set),
    ...listed('leaves undefined', open),
  ].join('; ')
  const forms = facts.forms.slice(0, MOST_FORMS).map(({ text, encoding, access, in64BitMode }) => {
    const use = access.length === 0 ? '' : ` — ${access.join(', ')}`
    return `- \`${text}\` · \`${encoding}\`${use}${in64BitMode ? '' : ' (not in 64-bit mode)'}`
  })
  const left = facts.forms.length - forms.length
  return [
    `**${written.toUpperCase()}**${title}${facts.description === undefined ? '' : `: ${facts.description}`}`,
    '',
    `Privilege: ${facts.privilege}  `,
    `Flags: ${flags === '' ? 'none touched' : flags}  `,
    ...(facts.implicit.length === 0 ? [] : [`Registers: ${facts.implicit.join(', ')}  `]),
    ...(facts.exceptions.length === 0 ? [] : [`Exceptions: ${facts.exceptions.join('; ')}  `]),
    `CPUID: ${facts.features.join(', ')}`,
    '',
    ...forms,
    ...(left > 0 ? [`- and ${left} more`] : []),
  ].join('\n')
}

const listed = (verb: string, flags: readonly string[]): string[] =>
  flags.length === 0 ? [] : [`${verb} ${flags.join(', ')}`]

function symbolText(workspace: Workspace, document: SourceDocument, line: number, column: number): string | undefined {
  const symbol = symbolAt(document, line, column)
  if (symbol === undefined) return undefined
  const [found] = workspace.definitions(document, symbol.name)
  if (found === undefined) return undefined
  const { kind, value, line: at, shortName } = found.at
  const number = value === undefined ? undefined : constantValue(workspace, found.document, value)
  const file = found.document.uri.split('/').at(-1) ?? ''
  const language = document.dialect === 'nasm' ? 'nasm' : 'gas'
  const text = [...commentAbove(found.document, at), found.document.lines[at].text.trim().slice(0, 200)].join('\n')
  const where = `${kind} \`${shortName}\` in ${decoded(file)}, line ${at + 1}`
  // A fence that the text itself can't end.
  return [
    `${where}${number === undefined ? '' : `: ${numberForms(number)}`}`,
    '',
    `~~~~${language}`,
    text,
    '~~~~',
  ].join('\n')
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** The comment lines right above a definition. */
function commentAbove({ lines }: SourceDocument, at: number): string[] {
  let from = at
  while (from > 0 && at - from < MOST_COMMENT_LINES && isComment(lines[from - 1])) from--
  return lines.slice(from, at).map(({ text }) => text.slice(0, 200))
}

const isComment = ({ text, tokens }: { text: string; tokens: readonly Token[] }): boolean =>
  tokens.length === 0 && text.trim() !== ''

function numberText(document: SourceDocument, token: Token, workspace: Workspace): string | undefined {
  if (token.kind !== 'number') return undefined
  const value = constantValue(workspace, document, [token])
  return value === undefined ? undefined : numberForms(value)
}

const numberForms = (value: bigint): string => {
  const bits = value < 1n << 16n ? ` = \`0b${value.toString(2)}\`` : ''
  return `\`${value}\` = \`0x${value.toString(16)}\`${bits}`
}
