/** NASM: one line is one statement (NASM manual, 3.1 and chapter 4). */

import { isDirective } from '../facts/directives.ts'
import { instructionName, isPrefix } from '../facts/mnemonics.ts'
import { isRegister } from '../facts/registers.ts'
import { lex } from './lexer.ts'
import { operandsOf } from './operands.ts'
import type { BlockKind, Definition, DefinitionKind, Reference, SourceLine, Statement, Token } from './source-line.ts'

type Mutable = { -readonly [K in keyof SourceLine]: SourceLine[K] }

const DEFINES: Readonly<Record<string, DefinitionKind>> = {
  '%define': 'define',
  '%idefine': 'define',
  '%xdefine': 'define',
  '%ixdefine': 'define',
  '%assign': 'define',
  '%iassign': 'define',
  '%defstr': 'define',
  '%deftok': 'define',
  '%strlen': 'define',
  '%substr': 'define',
  '%strcat': 'define',
  '%macro': 'macro',
  '%imacro': 'macro',
  '%rmacro': 'macro',
  '%irmacro': 'macro',
}
/** Words of operands that are neither symbols nor registers. */
const OPERAND_WORDS: ReadonlySet<string> = new Set(
  `byte word dword qword tword oword yword zword ptr rel abs short near far strict nosplit to seg wrt dup dx
  ..gotpcrel ..got ..plt ..sym ..gotoff ..start align noalloc alloc noexec exec nowrite write progbits nobits note
  __float32__ __float64__ __utf16__ __utf32__ defined`.split(/\s+/),
)
const DATA = /^(d[bwdqtoyz]|res[bwdqtoyz]|equ|times|istruc|incbin)$/i

export function parseNasmLine(text: string): SourceLine {
  const { tokens, codeEnd } = lex(text, 'nasm', false)
  const line: Mutable = { text, statements: [], definitions: [], references: [], tokens, codeEnd, commentOpen: false }
  if (tokens.length === 0) return line
  if (tokens[0].kind === 'parameter' && /^%[a-z]/i.test(tokens[0].text)) preprocessor(line, tokens)
  else code(line, tokens)
  return line
}

function preprocessor(line: Mutable, tokens: readonly Token[]): void {
  const [directive, ...rest] = tokens
  const word = directive.text.toLowerCase()
  line.statements = [{ operation: directive, prefixes: [], operands: operandsOf(rest) }]
  const block = blockOf(word)
  if (block !== undefined) line.block = block
  const include = rest[0]
  if (word === '%include' && include?.kind === 'string') {
    line.include = { path: include.text.slice(1, -1), start: include.start + 1, end: include.end - 1 }
    return
  }
  const kind = Object.hasOwn(DEFINES, word) ? DEFINES[word] : undefined
  const [name, ...after] = rest
  if (kind !== undefined && name?.kind === 'name' && name.pasted !== true) {
    const parameters = kind === 'define' && after[0]?.text === '(' && after[0].start === name.end
    const value = kind === 'define' && !parameters ? { value: after } : {}
    line.definitions = [{ name: name.text, kind, start: name.start, end: name.end, ...value }]
    if (kind === 'macro') return
    line.references = references(parameters ? afterParameters(after) : after, parameters)
  } else line.references = references(rest, true)
}

/** What follows the parameter list of a one-line macro; the parameters are known inside only, so all of it is soft. */
function afterParameters(tokens: readonly Token[]): readonly Token[] {
  const end = tokens.findIndex(({ text }) => text === ')')
  return end < 0 ? [] : tokens.slice(end + 1)
}

function blockOf(word: string): SourceLine['block'] {
  const of = (kind: BlockKind, edge: 'begin' | 'middle' | 'end') => ({ kind, edge })
  if (/^%i?r?macro$/.test(word)) return of('macro', 'begin')
  if (/^%endm(acro)?$/.test(word)) return of('macro', 'end')
  if (word === '%rep') return of('repeat', 'begin')
  if (word === '%endrep') return of('repeat', 'end')
  if (/^%if/.test(word)) return of('condition', 'begin')
  if (/^%el(se|if)/.test(word)) return of('condition', 'middle')
  return word === '%endif' ? of('condition', 'end') : undefined
}

function code(line: Mutable, all: readonly Token[]): void {
  let tokens = all
  const definitions: Definition[] = []
  const label = labelLength(tokens)
  if (label !== undefined) {
    const [name] = tokens
    const operation = tokens[label]?.text.toLowerCase()
    if (name.kind === 'name' && name.pasted !== true) {
      const constant = operation === 'equ'
      definitions.push({
        name: name.text.replace(/^\$/, ''),
        kind: constant ? 'constant' : 'label',
        start: name.start,
        end: name.end,
        ...(constant ? { value: tokens.slice(label + 1) } : {}),
      })
    }
    tokens = tokens.slice(label)
  }
  // In `[section .text]` the brackets are the directive's primitive form (NASM manual, chapter 7).
  if (tokens[0]?.text === '[') tokens = tokens.slice(1)
  const prefixes: Token[] = []
  while (tokens[0]?.kind === 'name' && isPrefix(tokens[0].text, 'nasm')) {
    const [prefix] = tokens
    if (prefix.text.toLowerCase() === 'wait') break
    prefixes.push(prefix)
    tokens = tokens.slice(1)
    if (prefix.text.toLowerCase() !== 'times') continue
    // The count is an expression; what it is followed by begins with an instruction or data.
    const from = tokens.findIndex(token => token.kind === 'name' && isOperation(token.text))
    line.references = references(from < 0 ? tokens : tokens.slice(0, from))
    tokens = from < 0 ? [] : tokens.slice(from)
  }
  line.definitions = definitions
  const [operation, ...rest] = tokens
  if (operation === undefined || operation.kind !== 'name') {
    line.references = [...line.references, ...references(tokens)]
    if (prefixes.length > 0) line.statements = [{ prefixes, operands: [] }]
    return
  }
  const statement: Statement = { operation, prefixes, operands: operandsOf(rest) }
  line.statements = [statement]
  statementOf(line, operation, rest)
}

function statementOf(line: Mutable, operation: Token, rest: readonly Token[]): void {
  const word = operation.text.toLowerCase()
  const known = isOperation(word)
  const called: Reference[] =
    known || operation.pasted ? [] : [{ name: operation.text, start: operation.start, end: operation.end, soft: true }]
  if (word === 'global' || word === 'extern' || word === 'common' || word === 'required' || word === 'static') {
    const names = rest.filter((token, i) => token.kind === 'name' && (i === 0 || rest[i - 1].text === ','))
    line.references = names.map(({ text, start, end }) => ({ name: text, start, end, soft: true }))
    line.visibility = { kind: word === 'global' ? 'global' : 'extern', names: names.map(({ text }) => text) }
    if (word === 'static') line.visibility = { kind: 'global', names: [] }
    return
  }
  if (word === 'section' || word === 'segment') {
    const [name] = rest
    if (name !== undefined)
      line.definitions = [...line.definitions, { name: name.text, kind: 'section', start: name.start, end: name.end }]
    return
  }
  if (word === 'struc') {
    line.block = { kind: 'structure', edge: 'begin' }
    const [name] = rest
    if (name?.kind === 'name')
      line.definitions = [{ name: name.text, kind: 'structure', start: name.start, end: name.end }]
    return
  }
  if (word === 'endstruc') line.block = { kind: 'structure', edge: 'end' }
  if (['bits', 'cpu', 'default', 'use16', 'use32', 'use64', 'float', 'warning'].includes(word)) return
  // Arguments of a macro may be anything.
  line.references = [...line.references, ...called, ...references(rest, !known)]
}

/** How many tokens the label in front takes, its colon included; undefined when there is none. */
function labelLength(tokens: readonly Token[]): number | undefined {
  const colon = tokens.findIndex(token => token.text === ':')
  // `%%loop:` and `stub_%1:` are labels too, which only an expansion can name.
  const glued = tokens.slice(0, colon).every((token, i) => i === 0 || token.start === tokens[i - 1].end)
  if (
    colon > 0 &&
    tokens[0].kind !== 'string' &&
    tokens[0].kind !== 'punctuation' &&
    glued &&
    tokens[colon + 1]?.text !== ':'
  )
    return colon + 1
  const [first, second] = tokens
  if (first.kind !== 'name' || second?.kind !== 'name' || isOperation(first.text) || isPrefix(first.text, 'nasm'))
    return undefined
  if (isRegister(first.text)) return undefined
  const named = DATA.test(second.text) || instructionName(second.text, 'nasm') !== undefined
  return named ? 1 : undefined
}

const isOperation = (word: string): boolean =>
  isDirective(word, 'nasm') || DATA.test(word) || instructionName(word, 'nasm') !== undefined

function references(tokens: readonly Token[], soft = false): Reference[] {
  return tokens
    .filter(({ kind, text }) => kind === 'name' && text !== '.' && !isWord(text))
    .map(({ text, start, end, pasted }) => ({
      name: text.replace(/^\$/, ''),
      start,
      end,
      soft: soft || pasted === true,
    }))
}

function isWord(text: string): boolean {
  const lower = text.toLowerCase()
  return (
    isRegister(lower) || OPERAND_WORDS.has(lower) || /^__\?\w+\?__$/.test(lower) || /^(res|d)[bwdqtoyz]$/.test(lower)
  )
}
