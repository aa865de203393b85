/**
 * Types of a guest's program. References to other types are resolved when looked at, so that a structure that refers to
 * half the kernel costs only itself; declarations are resolved to a definition of the same name anywhere in the file.
 */

export type Type =
  | BaseType
  | PointerType
  | StructType
  | ArrayType
  | EnumType
  | TypedefType
  | QualifiedType
  | FunctionType
  | UnspecifiedType

interface TypeBase {
  /** As C or Rust writes it: `struct list_head *`, `char [16]`; `struct {...}` for one without a name. */
  readonly name: string
  /** Bytes; undefined when unknown, as of a declaration without a definition or an array without a bound. */
  readonly size: number | undefined
}

export interface BaseType extends TypeBase {
  readonly kind: 'base'
  readonly encoding: 'signed' | 'unsigned' | 'boolean' | 'signed-char' | 'unsigned-char' | 'utf' | 'float' | 'other'
}

export interface PointerType extends TypeBase {
  readonly kind: 'pointer'
  readonly reference: boolean
  /** undefined for `void *`. */
  readonly target: Type | undefined
}

export interface StructType extends TypeBase {
  readonly kind: 'struct'
  readonly keyword: 'struct' | 'union' | 'class'
  /** Without the keyword; undefined for an anonymous one. */
  readonly tag: string | undefined
  /** Only its name is known anywhere in the file. */
  readonly incomplete: boolean
  readonly members: readonly Member[]
  /** Rust's enumerations with data. */
  readonly variants: VariantPart | undefined
}

export interface Member {
  /** undefined for an anonymous struct or union, whose members count as the outer one's. */
  readonly name: string | undefined
  /** Bytes from the beginning of the structure; for a bit field of the byte that its first bit lies in. */
  readonly offset: number
  readonly type: Type
  /** Of a bit field: its first bit from the least significant one of the byte at `offset`, and how many. */
  readonly bits: { readonly offset: number; readonly size: number } | undefined
  /** A base class (`extends`) instead of a member. */
  readonly inherited: boolean
}

export interface VariantPart {
  /** Read it as an unsigned integer to select the variant; undefined when there is only one. */
  readonly discriminant: Member | undefined
  readonly variants: readonly Variant[]
}

export interface Variant {
  /** Ranges of discriminants, ends included; undefined for the variant that takes all others. */
  readonly values: readonly { readonly low: bigint; readonly high: bigint }[] | undefined
  readonly members: readonly Member[]
}

export interface ArrayType extends TypeBase {
  readonly kind: 'array'
  readonly element: Type
  /** One for each dimension, outermost first; undefined for an unknown bound (`[]`), 0 for `[0]`. */
  readonly counts: readonly (number | undefined)[]
}

export interface EnumType extends TypeBase {
  readonly kind: 'enum'
  readonly tag: string | undefined
  readonly incomplete: boolean
  readonly underlying: Type | undefined
  readonly enumerators: readonly { readonly name: string; readonly value: bigint }[]
}

export interface TypedefType extends TypeBase {
  readonly kind: 'typedef'
  /** undefined for `typedef void ...`. */
  readonly target: Type | undefined
}

export interface QualifiedType extends TypeBase {
  readonly kind: 'qualified'
  readonly qualifier: 'const' | 'volatile' | 'restrict' | 'atomic'
  /** undefined for `const void`. */
  readonly target: Type | undefined
}

export interface FunctionType extends TypeBase {
  readonly kind: 'function'
  readonly returns: Type | undefined
  readonly parameters: readonly (Type | undefined)[]
  readonly variadic: boolean
}

/** `decltype(nullptr)`, Rust's `!`, and tags this reader does not know, by name. */
export interface UnspecifiedType extends TypeBase {
  readonly kind: 'unspecified'
}

/** Chains longer than any program's: a hostile file can make a typedef of itself. */
const MAX_CHAIN = 64

/** What is left without typedefs and qualifiers; undefined for void. */
export function stripped(type: Type | undefined): Type | undefined {
  let current = type
  for (let depth = 0; depth < MAX_CHAIN; depth++) {
    if (current?.kind !== 'typedef' && current?.kind !== 'qualified') return current
    current = current.target
  }
  return undefined
}
