/** GAS, in AT&T and Intel syntax: statements end at a semicolon or with the line (GNU as, chapter 3). */

import { isDirective } from '../facts/directives.ts'
import { instructionName, isPrefix } from '../facts/mnemonics.ts'
import { isRegister } from '../facts/registers.ts'
import { lex } from './lexer.ts'
import { operandsOf } from './operands.ts'
import type { BlockKind, Definition, Reference, SourceLine, Statement, Token } from './source-line.ts'

interface Parts {
  readonly statements: Statement[]
  readonly definitions: Definition[]
  readonly references: Reference[]
  include?: NonNullable<SourceLine['include']>
  visibility?: NonNullable<SourceLine['visibility']>
  block?: NonNullable<SourceLine['block']>
}

const INTEL_WORDS: ReadonlySet<string> = new Set(
  'byte word dword fword qword tbyte oword xmmword ymmword zmmword near far ptr offset short flat noprefix prefix'.split(
    ' ',
  ),
)
const DECLARES_EXTERN = /^\.(extern|weakref)$/
const DECLARES_GLOBAL = /^\.(globl|global|weak)$/
const SETS = /^\.(set|equ|equiv)$/
const NO_SYMBOLS =
  /^\.(section|pushsection|popsection|type|file|loc|ident|cfi_\w+|intel_syntax|att_syntax|arch|code\w+|text|data|bss|string|asciz|ascii|print|error|warning|macro|purgem|irpc?|subsection|previous)$/

/** @param commentOpen whether the line begins inside a block comment. */
export function parseGasLine(text: string, commentOpen: boolean): SourceLine {
  const lexed = lex(text, 'gas', commentOpen)
  const parts: Parts = { statements: [], definitions: [], references: [] }
  const { tokens } = lexed
  if (tokens[0]?.text.startsWith('#')) preprocessor(parts, tokens)
  else for (const statement of split(tokens)) parseStatement(parts, statement)
  return { text, ...parts, ...lexed }
}

function split(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]]
  for (const token of tokens) {
    if (token.text === ';') statements.push([])
    else statements[statements.length - 1].push(token)
  }
  return statements.filter(statement => statement.length > 0)
}

function preprocessor(parts: Parts, tokens: readonly Token[]): void {
  const [directive, ...rest] = tokens
  parts.statements.push({ operation: directive, prefixes: [], operands: operandsOf(rest) })
  const [first, ...after] = rest
  const condition = conditionOf(directive.text.slice(1))
  if (condition !== undefined) parts.block = condition
  if (directive.text === '#include') {
    // Only those in quotes are searched beside the file; the others are the compiler's.
    if (first?.kind === 'string') parts.include = includeOf(first)
    return
  }
  if (directive.text === '#define' && first?.kind === 'name') {
    const parameters = after[0]?.text === '(' && after[0].start === first.end
    parts.definitions.push({
      name: first.text,
      kind: 'define',
      start: first.start,
      end: first.end,
      ...(parameters ? {} : { value: after }),
    })
    parts.references.push(...references(parameters ? [] : after, true))
  } else parts.references.push(...references(rest, true))
}

const includeOf = ({ text, start, end }: Token): NonNullable<SourceLine['include']> => ({
  path: text.slice(1, -1),
  start: start + 1,
  end: end - 1,
})

function conditionOf(word: string): SourceLine['block'] {
  if (/^if/.test(word)) return { kind: 'condition', edge: 'begin' }
  if (/^el(se|if)/.test(word)) return { kind: 'condition', edge: 'middle' }
  return word === 'endif' ? { kind: 'condition', edge: 'end' } : undefined
}

function blockOf(word: string): SourceLine['block'] {
  const of = (kind: BlockKind, edge: 'begin' | 'end') => ({ kind, edge })
  if (word === '.macro') return of('macro', 'begin')
  if (word === '.endm') return of('macro', 'end')
  if (/^\.(rept|irpc?)$/.test(word)) return of('repeat', 'begin')
  return word === '.endr' ? of('repeat', 'end') : conditionOf(word.slice(1))
}

function parseStatement(parts: Parts, all: readonly Token[]): void {
  let tokens = all
  for (let colon = labelEnd(tokens); colon > 0; colon = labelEnd(tokens)) {
    const [name] = tokens
    if (name.kind !== 'parameter' && name.pasted !== true)
      parts.definitions.push({ name: name.text, kind: 'label', start: name.start, end: name.end })
    tokens = tokens.slice(colon + 1)
  }
  const [name, equals] = tokens
  if (name?.kind === 'name' && (equals?.text === '=' || equals?.text === '==')) {
    constant(parts, name, tokens.slice(2))
    return
  }
  const prefixes: Token[] = []
  while (tokens[0]?.kind === 'name' && isPrefix(tokens[0].text, 'gas') && tokens[1]?.kind === 'name') {
    prefixes.push(tokens[0])
    tokens = tokens.slice(1)
  }
  const [operation, ...rest] = tokens
  if (operation === undefined) return
  if (operation.kind !== 'name') {
    parts.references.push(...references(tokens, true))
    return
  }
  parts.statements.push({ operation, prefixes, operands: operandsOf(rest) })
  if (operation.text.startsWith('.')) directive(parts, operation, rest)
  else {
    const known = isPrefix(operation.text, 'gas') || instructionName(operation.text, 'gas') !== undefined
    if (!known && operation.pasted !== true)
      parts.references.push({ name: operation.text, start: operation.start, end: operation.end, soft: true })
    parts.references.push(...references(rest, !known))
  }
}

function constant(parts: Parts, name: Token, value: readonly Token[]): void {
  if (name.pasted !== true && name.text !== '.')
    parts.definitions.push({ name: name.text, kind: 'constant', start: name.start, end: name.end, value })
  parts.references.push(...references(value))
}

function directive(parts: Parts, operation: Token, rest: readonly Token[]): void {
  const word = operation.text.toLowerCase()
  const block = blockOf(word)
  if (block !== undefined) parts.block = block
  const [first] = rest
  if (word === '.include' && first?.kind === 'string') {
    parts.include = includeOf(first)
  } else if (word === '.macro' && first?.kind === 'name') {
    parts.definitions.push({ name: first.text, kind: 'macro', start: first.start, end: first.end })
  } else if (SETS.test(word) && first?.kind === 'name') constant(parts, first, rest.slice(2))
  else if (DECLARES_GLOBAL.test(word) || DECLARES_EXTERN.test(word)) {
    const found = references(rest, true)
    parts.references.push(...found)
    parts.visibility = {
      kind: DECLARES_GLOBAL.test(word) ? 'global' : 'extern',
      names: found.map(reference => reference.name),
    }
  } else if (/^\.(section|pushsection)$/.test(word) && first !== undefined) {
    parts.definitions.push({ name: first.text, kind: 'section', start: first.start, end: first.end })
  } else if (word === '.type' && first?.kind === 'name') parts.references.push(...references([first], true))
  else if (word === '.lcomm' || word === '.comm') {
    if (first?.kind === 'name')
      parts.definitions.push({ name: first.text, kind: 'label', start: first.start, end: first.end })
  } else if (!NO_SYMBOLS.test(word)) {
    const known = isDirective(word, 'gas')
    // A macro may be called like a directive.
    if (!known) parts.references.push({ name: operation.text, start: operation.start, end: operation.end, soft: true })
    parts.references.push(...references(rest, block !== undefined || !known))
  }
}

/** Index of the colon that ends a label in front; 0 when there is none. */
function labelEnd(tokens: readonly Token[]): number {
  const colon = tokens.findIndex(({ text }) => text === ':')
  if (colon <= 0) return 0
  const [first] = tokens
  const glued = tokens.slice(0, colon).every((token, i) => i === 0 || token.start === tokens[i - 1].end)
  const number = colon === 1 && first.kind === 'number' && /^\d+$/.test(first.text)
  return glued && (first.kind === 'name' || first.kind === 'parameter' || number) && !isSegment(first.text) ? colon : 0
}

/** `fs:` in front of an address is no label. */
const isSegment = (word: string): boolean => /^[c-gs]s$/i.test(word)

/** Symbols among tokens; `1f` and `1b` are references to numeric labels. */
function references(tokens: readonly Token[], soft = false): Reference[] {
  const found: Reference[] = []
  tokens.forEach((token, i) => {
    const { kind, text, start, end, pasted } = token
    const before = tokens[i - 1]
    const atSign = before?.text === '@'
    if (kind === 'number' && /^\d+[fb]$/.test(text) && text !== '0b') found.push({ name: text, start, end, soft })
    else if (kind === 'name' && text !== '.' && !atSign && !isWord(text, before?.text === '%')) {
      const name = text.replace(/@[A-Z]+$/, '')
      found.push({ name, start, end: start + name.length, soft: soft || pasted === true })
    }
  })
  return found
}

const isWord = (text: string, percent: boolean): boolean =>
  percent || isRegister(text) || INTEL_WORDS.has(text.toLowerCase())
