/** Values of constant expressions, as far as they can be known without assembling. */

import type { Dialect, Token } from '../syntax/source-line.ts'

/** Constants by name; undefined for what has no value that can be known. */
export type Lookup = (name: string) => readonly Token[] | undefined

/** Constants that are defined by each other stop here. */
const DEEPEST = 16

const LEVELS: readonly (readonly string[])[] = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '/', '%']]

/** @returns the value modulo 2^64, or undefined when a part of it is unknown. */
export function evaluate(tokens: readonly Token[], dialect: Dialect, lookup: Lookup, depth = 0): bigint | undefined {
  if (tokens.length === 0 || depth > DEEPEST) return undefined
  const parser = new Parser(tokens, dialect, lookup, depth)
  const value = parser.level(0)
  return value === undefined || !parser.atEnd() ? undefined : BigInt.asUintN(64, value)
}

class Parser {
  readonly #tokens: readonly Token[]
  readonly #dialect: Dialect
  readonly #lookup: Lookup
  readonly #depth: number
  #at = 0
  #nesting = 0

  constructor(tokens: readonly Token[], dialect: Dialect, lookup: Lookup, depth: number) {
    this.#tokens = tokens
    this.#dialect = dialect
    this.#lookup = lookup
    this.#depth = depth
  }

  atEnd(): boolean {
    return this.#at === this.#tokens.length
  }

  level(level: number): bigint | undefined {
    if (level === LEVELS.length) return this.#unary()
    let left = this.level(level + 1)
    while (left !== undefined && !this.atEnd() && LEVELS[level].includes(this.#tokens[this.#at].text)) {
      const operator = this.#tokens[this.#at++].text
      const right = this.level(level + 1)
      left = right === undefined ? undefined : apply(operator, left, right)
    }
    return left
  }

  #unary(): bigint | undefined {
    const token = this.#tokens[this.#at++]
    if (token === undefined || this.#nesting > 64) return undefined
    if (['-', '+', '~', '(', '$'].includes(token.text)) {
      this.#nesting++
      const inner = token.text === '(' ? this.level(0) : this.#unary()
      this.#nesting--
      if (inner === undefined) return undefined
      if (token.text === '(') return this.#tokens[this.#at++]?.text === ')' ? inner : undefined
      return token.text === '-' ? -inner : token.text === '~' ? ~inner : inner
    }
    if (token.kind === 'number') return parseNumber(token.text, this.#dialect)
    if (token.kind !== 'name' || token.pasted === true) return undefined
    const value = this.#lookup(token.text)
    return value === undefined ? undefined : evaluate(value, this.#dialect, this.#lookup, this.#depth + 1)
  }
}

function apply(operator: string, left: bigint, right: bigint): bigint | undefined {
  switch (operator) {
    case '|':
      return left | right
    case '^':
      return left ^ right
    case '&':
      return left & right
    case '<<':
      return right >= 0n && right < 64n ? left << right : undefined
    case '>>':
      return right >= 0n && right < 64n ? left >> right : undefined
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return right === 0n ? undefined : left / right
    default:
      return right === 0n ? undefined : left % right
  }
}

/** A number as the assembler reads it (NASM manual, 3.4.1; GNU as, 3.6.2); undefined for floats and what is none. */
export function parseNumber(text: string, dialect: Dialect): bigint | undefined {
  const digits = text.toLowerCase().replaceAll('_', '')
  if (digits.length > 70) return undefined
  if (/^0x[0-9a-f]+$/.test(digits) || /^0b[01]+$/.test(digits)) return BigInt(digits)
  if (dialect === 'gas') {
    if (/^0[0-7]+$/.test(digits)) return BigInt(`0o${digits.slice(1)}`)
    return /^\d+$/.test(digits) ? BigInt(digits) : undefined
  }
  const forms: readonly [RegExp, string][] = [
    [/^(?:\$|0h)?(\d[0-9a-f]*)h$|^\$(\d[0-9a-f]*)$|^0h([0-9a-f]+)$/, '0x'],
    [/^([01]+)[by]$|^0y([01]+)$/, '0b'],
    [/^([0-7]+)[oq]$|^0[oq]([0-7]+)$/, '0o'],
    [/^(?:0[dt])?(\d+)[dt]?$/, ''],
  ]
  for (const [form, prefix] of forms) {
    const found = form
      .exec(digits)
      ?.slice(1)
      .find(group => group !== undefined)
    if (found !== undefined) return BigInt(prefix + found)
  }
  return undefined
}
