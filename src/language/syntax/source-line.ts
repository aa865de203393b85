/** What one line of assembly says, on its own: the same for NASM and GAS. Columns are UTF-16 units, as in LSP. */

export type Dialect = 'nasm' | 'gas'

export interface Span {
  readonly start: number
  readonly end: number
}

export interface Token extends Span {
  readonly kind: 'name' | 'number' | 'string' | 'parameter' | 'punctuation'
  readonly text: string
  /** A name that a macro's parameter is pasted to: part of a name that only an expansion knows. */
  readonly pasted?: boolean
}

export type DefinitionKind = 'label' | 'constant' | 'macro' | 'define' | 'structure' | 'section'

export interface Definition extends Span {
  readonly name: string
  readonly kind: DefinitionKind
  /** Tokens of the value of a constant or of a one-line macro without parameters. */
  readonly value?: readonly Token[]
}

export interface Reference extends Span {
  readonly name: string
  /** A missing definition is no mistake: a declaration, a condition, a part of a pasted name. */
  readonly soft: boolean
}

export type BlockKind = 'macro' | 'repeat' | 'condition' | 'structure'

export interface Statement {
  /** Instruction, directive or call of a macro; its text as written. */
  readonly operation?: Token
  readonly prefixes: readonly Token[]
  /** Tokens of each operand, split at commas outside of parentheses. */
  readonly operands: readonly (readonly Token[])[]
}

export interface SourceLine {
  readonly text: string
  readonly statements: readonly Statement[]
  readonly definitions: readonly Definition[]
  readonly references: readonly Reference[]
  readonly tokens: readonly Token[]
  /** A file included here, and where its name stands. */
  readonly include?: Span & { readonly path: string }
  readonly visibility?: { readonly kind: 'global' | 'extern'; readonly names: readonly string[] }
  readonly block?: { readonly kind: BlockKind; readonly edge: 'begin' | 'middle' | 'end' }
  /** Where a comment begins, the end of the line otherwise. */
  readonly codeEnd: number
  /** Whether a block comment is open after this line. */
  readonly commentOpen: boolean
}

/** Lines longer than this are not looked into: nobody wrote them. */
export const LONGEST_LINE = 4096

/** The token at a column, or the one that ends there. */
export function tokenAt(line: SourceLine, column: number): Token | undefined {
  const within = line.tokens.find(token => token.start <= column && column < token.end)
  if (within !== undefined && within.kind !== 'punctuation') return within
  return line.tokens.find(token => token.end === column) ?? within
}
