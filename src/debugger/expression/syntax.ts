/** What the parser makes of an expression, before names and types mean anything. */

export type UnaryOperator = '-' | '+' | '~' | '!' | '*' | '&'

export type BinaryOperator =
  | ArithmeticOperator
  | 'shift-left'
  | 'shift-right'
  | '<'
  | '>'
  | '<='
  | '>='
  | '=='
  | '!='
  | '&&'
  | '||'

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^'

export type Syntax =
  /** `suffix` is lower case: `u`, `l`, `ul`, `ll`, `ull` or nothing. */
  | { readonly kind: 'integer'; readonly value: bigint; readonly suffix: string; readonly decimal: boolean }
  | { readonly kind: 'float'; readonly value: number; readonly single: boolean }
  | { readonly kind: 'character'; readonly value: number }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'name'; readonly name: string }
  /** Without its `$`, in lower case. */
  | { readonly kind: 'register'; readonly name: string }
  /** `phys(...)` and `hpa(...)`: a pointer into another address space. */
  | { readonly kind: 'space'; readonly space: 'physical' | 'host'; readonly address: Syntax }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly operand: Syntax }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Syntax; readonly right: Syntax }
  | { readonly kind: 'conditional'; readonly test: Syntax; readonly yes: Syntax; readonly no: Syntax }
  | { readonly kind: 'cast'; readonly type: TypeSyntax; readonly operand: Syntax }
  | { readonly kind: 'size-of-type'; readonly type: TypeSyntax }
  | { readonly kind: 'size-of'; readonly operand: Syntax }
  | { readonly kind: 'member'; readonly operand: Syntax; readonly name: string; readonly arrow: boolean }
  | { readonly kind: 'index'; readonly operand: Syntax; readonly index: Syntax }
  /** `p@n`: an array of n elements that begins where `p` points to, or at the object `p`. */
  | { readonly kind: 'slice'; readonly operand: Syntax; readonly count: Syntax }
  | { readonly kind: 'assignment'; readonly target: Syntax; readonly value: Syntax }

/** `struct page *[4]` is { name: 'struct page', pointers: 1, counts: [4] }. */
export interface TypeSyntax {
  readonly name: string
  readonly pointers: number
  readonly counts: readonly number[]
}
