/**
 * Expressions over 64-bit unsigned numbers: registers (`$rax`, `$cpl`, `$efer.NXE`), symbols, numbers, memory
 * (`*(u32*)$rsp`, `*$rsp`), `- ~` and C's binary operators for arithmetic and bits with C's precedence.
 */

export type Expression =
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'register'; readonly name: string; readonly field: string | undefined }
  | { readonly kind: 'symbol'; readonly name: string }
  | { readonly kind: 'unary'; readonly operator: '-' | '~' | '+'; readonly operand: Expression }
  | { readonly kind: 'memory'; readonly size: MemorySize; readonly address: Expression }
  | {
      readonly kind: 'binary'
      readonly operator: BinaryOperator
      readonly left: Expression
      readonly right: Expression
    }

/** Bytes. */
export type MemorySize = 1 | 2 | 4 | 8

const BINARY_OPERATORS = ['|', '^', '&', '<<', '>>', '+', '-', '*', '/', '%'] as const
export type BinaryOperator = (typeof BINARY_OPERATORS)[number]
const PRECEDENCE: Readonly<Record<BinaryOperator, number>> = {
  '|': 1,
  '^': 2,
  '&': 3,
  '<<': 4,
  '>>': 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
  '%': 6,
}

const POINTER_SIZES: Readonly<Record<string, MemorySize>> = { u8: 1, u16: 2, u32: 4, u64: 8 }

/** An expression that can't be read or has no value; the message says what and where. */
export class ExpressionError extends Error {}

const TOKEN = /\s*(?:(\$?[A-Za-z_][\w.]*)|(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)|(<<|>>|[-+*/%&|^~()]))/y

const LONGEST = 10_000
/** Nesting is bounded so that hostile input can't exhaust the stack. */
const DEEPEST = 200

interface Token {
  readonly text: string
  readonly kind: 'name' | 'number' | 'operator'
  /** 1-based column. */
  readonly column: number
}

export function parseExpression(text: string): Expression {
  if (text.length > LONGEST) throw new ExpressionError(`the expression is longer than ${LONGEST} characters`)
  const parser = new Parser(text)
  return parser.parse()
}

class Parser {
  readonly #text: string
  readonly #tokens: Token[]
  #position = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokenize(text)
  }

  parse(): Expression {
    if (this.#tokens.length === 0) throw new ExpressionError('the expression is empty')
    const expression = this.#binary(1)
    const rest = this.#peek()
    if (rest !== undefined) throw this.#unexpected(rest)
    return expression
  }

  /** Precedence climbing: operators of at least `least`, left-associative. */
  #binary(least: number): Expression {
    let left = this.#unary()
    for (;;) {
      const token = this.#peek()
      const operator = BINARY_OPERATORS.find(candidate => candidate === token?.text)
      if (operator === undefined || PRECEDENCE[operator] < least) return left
      this.#position++
      left = { kind: 'binary', operator, left, right: this.#binary(PRECEDENCE[operator] + 1) }
    }
  }

  #unary(): Expression {
    if (++this.#depth > DEEPEST) throw new ExpressionError(`"${this.#text.slice(0, 40)}…" is nested too deeply`)
    try {
      const token = this.#next()
      if (token.text === '-' || token.text === '~' || token.text === '+')
        return { kind: 'unary', operator: token.text, operand: this.#unary() }
      if (token.text === '*') return { kind: 'memory', size: this.#pointerCast(), address: this.#unary() }
      if (token.text === '(') {
        const inner = this.#binary(1)
        this.#expect(')')
        return inner
      }
      if (token.kind === 'number') return { kind: 'number', value: BigInt.asUintN(64, BigInt(token.text)) }
      if (token.kind === 'name') return named(token.text)
      throw this.#unexpected(token)
    } finally {
      this.#depth--
    }
  }

  /** `(u32*)` if it is there; 8 bytes otherwise. */
  #pointerCast(): MemorySize {
    const [open, type, star, close] = this.#tokens.slice(this.#position, this.#position + 4)
    const size = POINTER_SIZES[type?.text ?? '']
    if (open?.text !== '(' || size === undefined || star?.text !== '*' || close?.text !== ')') return 8
    this.#position += 4
    return size
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#position]
  }

  #next(): Token {
    const token = this.#tokens[this.#position++]
    if (token === undefined) throw new ExpressionError(`"${this.#text}" ends where a value is expected`)
    return token
  }

  #expect(text: string): void {
    const token = this.#peek()
    if (token === undefined) throw new ExpressionError(`"${this.#text}": "${text}" is missing at the end`)
    if (token.text !== text) throw this.#unexpected(token)
    this.#position++
  }

  #unexpected(token: Token): ExpressionError {
    return new ExpressionError(`"${this.#text}": unexpected "${token.text}" at column ${token.column}`)
  }
}

function named(text: string): Expression {
  if (!text.startsWith('$')) return { kind: 'symbol', name: text }
  const [name, field] = text.slice(1).split('.', 2)
  return { kind: 'register', name: name.toLowerCase(), field }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  const end = text.trimEnd().length
  while (TOKEN.lastIndex < end) {
    const start = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (match === null) {
      const column = start + (/^\s*/.exec(text.slice(start))?.[0].length ?? 0) + 1
      throw new ExpressionError(`"${text}": unexpected "${text.charAt(column - 1)}" at column ${column}`)
    }
    const token = match[1] ?? match[2] ?? match[3]
    const kind = match[1] !== undefined ? 'name' : match[2] !== undefined ? 'number' : 'operator'
    tokens.push({ text: token, kind, column: TOKEN.lastIndex - token.length + 1 })
  }
  return tokens
}
