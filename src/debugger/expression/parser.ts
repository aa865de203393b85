/** C's expressions with C's precedence: everything that has no side effect, and assignment where it is allowed. */

import { ExpressionError } from './expression-error.ts'
import { type Token, tokenize } from './lexer.ts'
import type { BinaryOperator, Syntax, TypeSyntax, UnaryOperator } from './syntax.ts'

export interface ParseOptions {
  /** Decides whether `(name)` in front of an operand is a cast; built-in types need not be known here. */
  isType(name: string): boolean
  /** Whether `=` may assign; a condition must not. */
  readonly assignments: boolean
}

/** Nesting is bounded so that hostile input can't exhaust the stack, here or where the tree is walked. */
const DEEPEST = 200
const MOST_OPERATORS = 1000

interface BinaryLevel {
  readonly operator: BinaryOperator | '@'
  readonly precedence: number
}

const BINARY: Readonly<Record<string, BinaryLevel>> = {
  '||': { operator: '||', precedence: 1 },
  '&&': { operator: '&&', precedence: 2 },
  '|': { operator: '|', precedence: 3 },
  '^': { operator: '^', precedence: 4 },
  '&': { operator: '&', precedence: 5 },
  '==': { operator: '==', precedence: 6 },
  '!=': { operator: '!=', precedence: 6 },
  '<': { operator: '<', precedence: 7 },
  '>': { operator: '>', precedence: 7 },
  '<=': { operator: '<=', precedence: 7 },
  '>=': { operator: '>=', precedence: 7 },
  '<<': { operator: 'shift-left', precedence: 8 },
  '>>': { operator: 'shift-right', precedence: 8 },
  // Where gdb has it: below the sum, so that p@n+1 counts n+1.
  '@': { operator: '@', precedence: 9 },
  '+': { operator: '+', precedence: 10 },
  '-': { operator: '-', precedence: 10 },
  '*': { operator: '*', precedence: 11 },
  '/': { operator: '/', precedence: 11 },
  '%': { operator: '%', precedence: 11 },
}

const UNARY: readonly UnaryOperator[] = ['-', '+', '~', '!', '*', '&']
const COMPOUND = /^(<<|>>|[-+*/%&|^])=$/
const TAG_KEYWORDS = new Set(['struct', 'union', 'enum', 'class'])
const TYPE_WORDS = new Set([
  'unsigned',
  'signed',
  'int',
  'long',
  'short',
  'char',
  'float',
  'double',
  'void',
  '_Bool',
  'bool',
])
const QUALIFIERS = new Set(['const', 'volatile'])
const BUILT_IN = /^(?:[uis](?:8|16|32|64)|u?int(?:8|16|32|64)_t|u128|i128|usize|isize|f32|f64)$/

/** Throws {@link ExpressionError}. */
export function parseExpression(text: string, options: ParseOptions): Syntax {
  return new Parser(text, options).parse()
}

/** A type by itself, as in a cast: `struct task_struct *`. undefined when the text is none. */
export function parseTypeName(text: string, options: ParseOptions): TypeSyntax | undefined {
  return new Parser(text, options).parseType()
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  readonly #options: ParseOptions
  #position = 0
  #depth = 0
  #operators = 0

  constructor(text: string, options: ParseOptions) {
    this.#text = text
    this.#tokens = tokenize(text)
    this.#options = options
  }

  parse(): Syntax {
    if (this.#tokens.length === 0) throw new ExpressionError('the expression is empty')
    const syntax = this.#assignment()
    const rest = this.#peek()
    if (rest !== undefined) throw this.#unexpected(rest)
    return syntax
  }

  parseType(): TypeSyntax | undefined {
    const type = this.#typeName(true)
    return this.#peek() === undefined ? type : undefined
  }

  #assignment(): Syntax {
    const target = this.#conditional()
    const token = this.#peek()
    if (token?.kind !== 'operator') return target
    if (token.text === '++' || token.text === '--')
      throw new ExpressionError(
        `"${this.#text}": write ${token.text === '++' ? 'x = x + 1' : 'x = x - 1'} instead of ${token.text}`,
      )
    const compound = COMPOUND.exec(token.text)
    if (token.text !== '=' && compound === null) return target
    if (!this.#options.assignments)
      throw new ExpressionError(
        token.text === '='
          ? `"${this.#text}": = at column ${token.column} would assign; use == to compare`
          : `"${this.#text}": ${token.text} at column ${token.column} would assign, which is not possible here`,
      )
    this.#position++
    const value = this.#nested(() => this.#assignment())
    if (compound === null) return { kind: 'assignment', target, value }
    const { operator } = BINARY[compound[1]]
    if (operator === '@') return target
    return { kind: 'assignment', target, value: { kind: 'binary', operator, left: target, right: value } }
  }

  #conditional(): Syntax {
    const test = this.#binary(1)
    if (!this.#take('?')) return test
    const yes = this.#nested(() => this.#conditional())
    this.#expect(':')
    const no = this.#nested(() => this.#conditional())
    return { kind: 'conditional', test, yes, no }
  }

  /** Precedence climbing: operators of at least `least`, left-associative. */
  #binary(least: number): Syntax {
    let left = this.#unary()
    for (;;) {
      const token = this.#peek()
      const level = token?.kind === 'operator' ? BINARY[token.text] : undefined
      if (level === undefined || level.precedence < least) return left
      if (++this.#operators > MOST_OPERATORS)
        throw new ExpressionError(`the expression has more than ${MOST_OPERATORS} operators`)
      this.#position++
      const right = this.#nested(() => this.#binary(level.precedence + 1))
      left =
        level.operator === '@'
          ? { kind: 'slice', operand: left, count: right }
          : { kind: 'binary', operator: level.operator, left, right }
    }
  }

  #unary(): Syntax {
    return this.#nested(() => {
      const token = this.#peek()
      if (token?.kind === 'operator') {
        const operator = UNARY.find(candidate => candidate === token.text)
        if (operator !== undefined) {
          this.#position++
          return { kind: 'unary', operator, operand: this.#unary() }
        }
        // `&&x` and `--x` are read by C as one token each; nobody means them here.
        const cast = this.#cast()
        if (cast !== undefined) return { kind: 'cast', type: cast, operand: this.#unary() }
      }
      if (token?.kind === 'name' && token.text === 'sizeof') return this.#sizeOf()
      return this.#postfix()
    })
  }

  #sizeOf(): Syntax {
    this.#position++
    const type = this.#cast()
    if (type !== undefined) return { kind: 'size-of-type', type }
    return { kind: 'size-of', operand: this.#unary() }
  }

  #postfix(): Syntax {
    let operand = this.#primary()
    for (let count = 0; ; count++) {
      const token = this.#peek()
      if (token?.kind !== 'operator') return operand
      if (token.text === '.' || token.text === '->') {
        this.#position++
        operand = { kind: 'member', operand, name: this.#memberName(), arrow: token.text === '->' }
      } else if (token.text === '[') {
        this.#position++
        const index = this.#nested(() => this.#conditional())
        this.#expect(']')
        operand = { kind: 'index', operand, index }
      } else if (token.text === '(') {
        throw new ExpressionError(`"${this.#text}": functions of the guest can't be called from an expression`)
      } else return operand
      if (count > DEEPEST) throw this.#tooDeep()
    }
  }

  #memberName(): string {
    const token = this.#next()
    if (token.kind === 'name') return token.text
    // Members of a Rust tuple have numbers.
    if (token.kind === 'integer' && /^\d+$/.test(token.text)) return token.text
    throw this.#unexpected(token)
  }

  #primary(): Syntax {
    const token = this.#next()
    switch (token.kind) {
      case 'integer': {
        const suffix = /[ul]*$/i.exec(token.text)?.[0].toLowerCase() ?? ''
        return { kind: 'integer', value: token.value, suffix, decimal: /^[1-9]|^0$/.test(token.text) }
      }
      case 'float':
        return { kind: 'float', value: token.value, single: /f$/i.test(token.text) }
      case 'character':
        return { kind: 'character', value: token.value }
      case 'string':
        return { kind: 'string', text: token.text }
      case 'register':
        return { kind: 'register', name: token.text }
      case 'name':
        return this.#named(token.text)
      case 'operator': {
        if (token.text !== '(') throw this.#unexpected(token)
        const inner = this.#nested(() => this.#assignment())
        this.#expect(')')
        return inner
      }
    }
  }

  #named(name: string): Syntax {
    const space = name === 'phys' ? 'physical' : name === 'hpa' ? 'host' : undefined
    if (space === undefined || this.#peek()?.text !== '(') return { kind: 'name', name }
    this.#position++
    const address = this.#nested(() => this.#conditional())
    this.#expect(')')
    return { kind: 'space', space, address }
  }

  /** `(type)` if it stands here: moves behind it. */
  #cast(): TypeSyntax | undefined {
    const start = this.#position
    if (this.#take('(')) {
      const type = this.#typeName(false)
      if (type !== undefined && this.#take(')')) return type
    }
    this.#position = start
    return undefined
  }

  /** @param alone nothing but the type is expected, so that any name is one. */
  #typeName(alone: boolean): TypeSyntax | undefined {
    const words = this.#typeWords(alone)
    if (words === undefined) return undefined
    let pointers = 0
    for (;;) {
      if (this.#take('*')) pointers++
      else if (!this.#takeQualifier()) break
    }
    if (pointers > DEEPEST) throw this.#tooDeep()
    const counts: number[] = []
    while (this.#take('[')) {
      const count = this.#next()
      if (count.kind !== 'integer' || count.value > 0xffff_ffffn) throw this.#unexpected(count)
      this.#expect(']')
      counts.push(Number(count.value))
    }
    const { name, certain } = words
    // `(name)` alone may be a value in parentheses; with a star behind it and a parenthesis then, it can't be.
    if (!certain && pointers === 0 && !this.#options.isType(name)) return undefined
    return { name, pointers, counts }
  }

  #typeWords(alone: boolean): { name: string; certain: boolean } | undefined {
    while (this.#takeQualifier()) {}
    const first = this.#peek()
    if (first?.kind !== 'name') return undefined
    this.#position++
    if (TAG_KEYWORDS.has(first.text)) {
      const tag = this.#peek()
      if (tag?.kind !== 'name') throw new ExpressionError(`"${this.#text}": "${first.text}" needs a name`)
      this.#position++
      return { name: `${first.text} ${tag.text}`, certain: true }
    }
    if (!TYPE_WORDS.has(first.text)) {
      const certain = alone || BUILT_IN.test(first.text)
      return { name: first.text, certain }
    }
    const words = [first.text]
    for (let next = this.#peek(); next?.kind === 'name'; next = this.#peek()) {
      if (TYPE_WORDS.has(next.text)) words.push(next.text)
      else if (!QUALIFIERS.has(next.text)) break
      this.#position++
    }
    return { name: words.join(' '), certain: true }
  }

  #takeQualifier(): boolean {
    const token = this.#peek()
    if (token?.kind !== 'name' || !QUALIFIERS.has(token.text)) return false
    this.#position++
    return true
  }

  #nested<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST) throw this.#tooDeep()
    try {
      return parse()
    } finally {
      this.#depth--
    }
  }

  #tooDeep(): ExpressionError {
    return new ExpressionError(`"${this.#text.slice(0, 40)}…" is nested too deeply`)
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#position]
  }

  #next(): Token {
    const token = this.#tokens[this.#position++]
    if (token === undefined) throw new ExpressionError(`"${this.#text}" ends where a value is expected`)
    return token
  }

  #take(text: string): boolean {
    const token = this.#peek()
    if (token?.kind !== 'operator' || token.text !== text) return false
    this.#position++
    return true
  }

  #expect(text: string): void {
    if (this.#take(text)) return
    const token = this.#peek()
    if (token === undefined) throw new ExpressionError(`"${this.#text}": "${text}" is missing at the end`)
    throw this.#unexpected(token)
  }

  #unexpected(token: Token): ExpressionError {
    return new ExpressionError(`"${this.#text}": unexpected "${token.text}" at column ${token.column}`)
  }
}
