/** Expressions into tokens, as C has them, plus `$register`, `@`, and names in backquotes that C could not spell. */

import { ExpressionError } from './expression-error.ts'

export type Token =
  | { readonly kind: 'name' | 'register' | 'string' | 'operator'; readonly text: string; readonly column: number }
  | { readonly kind: 'integer'; readonly text: string; readonly value: bigint; readonly column: number }
  | { readonly kind: 'float'; readonly text: string; readonly value: number; readonly column: number }
  | { readonly kind: 'character'; readonly text: string; readonly value: number; readonly column: number }

export const LONGEST_EXPRESSION = 10_000

const SPACE = /\s+/y
const NAME = /[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*/y
const QUOTED_NAME = /`([^`]+)`/y
const REGISTER = /\$([A-Za-z_]\w*)/y
const FLOAT = /(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?[fFlL]?|\d+[eE][-+]?\d+[fFlL]?/y
const INTEGER = /(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)([uUlL]*)/y
const OPERATOR = /<<=|>>=|->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\+\+|--|[-+*/%&|^~!<>=?:.,()[\]@]/y
const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  t: 9,
  r: 13,
  0: 0,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  e: 27,
  '\\': 92,
  "'": 39,
  '"': 34,
}

/** Throws {@link ExpressionError}. */
export function tokenize(text: string): Token[] {
  if (text.length > LONGEST_EXPRESSION)
    throw new ExpressionError(`the expression is longer than ${LONGEST_EXPRESSION} characters`)
  const tokens: Token[] = []
  for (let at = skipSpace(text, 0); at < text.length; ) {
    const { token, end } = tokenAt(text, at)
    tokens.push(token)
    at = skipSpace(text, end)
  }
  return tokens
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

const skipSpace = (text: string, at: number): number => at + (match(SPACE, text, at)?.[0].length ?? 0)

function tokenAt(text: string, at: number): { token: Token; end: number } {
  const column = at + 1
  const name = match(NAME, text, at) ?? match(QUOTED_NAME, text, at)
  if (name !== null) return { token: { kind: 'name', text: name[1] ?? name[0], column }, end: at + name[0].length }
  const register = match(REGISTER, text, at)
  if (register !== null)
    return { token: { kind: 'register', text: register[1].toLowerCase(), column }, end: at + register[0].length }
  const number = numberAt(text, at)
  if (number !== undefined) return number
  if (text[at] === "'" || text[at] === '"') return quotedAt(text, at)
  const operator = match(OPERATOR, text, at)
  if (operator !== null) return { token: { kind: 'operator', text: operator[0], column }, end: at + operator[0].length }
  throw new ExpressionError(`"${text}": unexpected "${text.charAt(at)}" at column ${column}`)
}

function numberAt(text: string, at: number): { token: Token; end: number } | undefined {
  const column = at + 1
  const float = match(FLOAT, text, at)
  if (float !== null) {
    if (/[\w$]/.test(text.charAt(at + float[0].length)))
      throw new ExpressionError(`"${text}": "${float[0]}" at column ${column} runs into what follows`)
    const value = Number.parseFloat(float[0])
    return { token: { kind: 'float', text: float[0], value, column }, end: at + float[0].length }
  }
  const integer = match(INTEGER, text, at)
  if (integer === null) return undefined
  const end = at + integer[0].length
  if (/[\w$]/.test(text.charAt(end)) || !/^(u?l{0,2}|l{1,2}u)$/i.test(integer[2]))
    throw new ExpressionError(`"${text}": "${integer[0]}${text.charAt(end)}" at column ${column} is no number`)
  return { token: { kind: 'integer', text: integer[0], value: integerValue(integer[1], text, column), column }, end }
}

function integerValue(digits: string, text: string, column: number): bigint {
  if (/^0\d/.test(digits)) {
    if (/[89]/.test(digits))
      throw new ExpressionError(`"${text}": "${digits}" at column ${column} begins with 0, which means octal`)
    return BigInt(`0o${digits}`)
  }
  return BigInt(digits)
}

/** A character or a string; each is bytes, as in a guest's memory. */
function quotedAt(text: string, at: number): { token: Token; end: number } {
  const quote = text[at]
  const column = at + 1
  const codes: number[] = []
  let position = at + 1
  while (position < text.length && text[position] !== quote) {
    const { code, end } = characterAt(text, position)
    codes.push(code)
    position = end
  }
  if (position >= text.length) throw new ExpressionError(`"${text}": the ${quote} at column ${column} is not closed`)
  const end = position + 1
  const content = String.fromCharCode(...codes)
  if (quote === '"') return { token: { kind: 'string', text: content, column }, end }
  if (codes.length !== 1)
    throw new ExpressionError(`"${text}": a character in '...' at column ${column} is exactly one; strings have "..."`)
  return { token: { kind: 'character', text: text.slice(at, end), value: codes[0], column }, end }
}

function characterAt(text: string, at: number): { code: number; end: number } {
  if (text[at] !== '\\') return { code: text.charCodeAt(at), end: at + 1 }
  const hex = match(/\\x([0-9a-fA-F]{1,2})/y, text, at)
  if (hex !== null) return { code: Number.parseInt(hex[1], 16), end: at + hex[0].length }
  const code = ESCAPES[text.charAt(at + 1)]
  if (code === undefined) throw new ExpressionError(`"${text}": the escape at column ${at + 1} is not known`)
  return { code, end: at + 2 }
}
