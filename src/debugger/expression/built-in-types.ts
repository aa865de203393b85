/** Types that exist without any debugging information, and types made of others. */

import {
  type ArrayType,
  type BaseType,
  type PointerType,
  type StructType,
  stripped,
  type Type,
} from '../../symbols/dwarf/type-model.ts'

const base = (name: string, size: number, encoding: BaseType['encoding']): BaseType => ({
  kind: 'base',
  name,
  size,
  encoding,
})

export const CHAR = base('char', 1, 'signed-char')
export const BOOL = base('_Bool', 1, 'boolean')
export const INT = base('int', 4, 'signed')
export const UNSIGNED_INT = base('unsigned int', 4, 'unsigned')
/** `long` of the LP64 data model; 32-bit guests have it as `long long`. */
export const LONG = base('long', 8, 'signed')
export const UNSIGNED_LONG = base('unsigned long', 8, 'unsigned')
export const INT_128 = base('__int128', 16, 'signed')
export const UNSIGNED_INT_128 = base('unsigned __int128', 16, 'unsigned')
export const FLOAT = base('float', 4, 'float')
export const DOUBLE = base('double', 8, 'float')
/** The x87's own format (SDM vol. 1, 8.2). */
export const EXTENDED = base('long double', 10, 'float')
export const U8 = base('u8', 1, 'unsigned')
export const U16 = base('u16', 2, 'unsigned')
export const U32 = base('u32', 4, 'unsigned')
export const U64 = base('u64', 8, 'unsigned')
const I8 = base('i8', 1, 'signed')
const I16 = base('i16', 2, 'signed')
const I32 = base('i32', 4, 'signed')
const I64 = base('i64', 8, 'signed')

const FIXED: ReadonlyMap<string, BaseType> = new Map([
  ...[U8, U16, U32, U64, I8, I16, I32, I64].flatMap((type): [string, BaseType][] => [
    [type.name, type],
    [type.name.replace('i', 's'), type],
    [`${type.encoding === 'unsigned' ? 'uint' : 'int'}${(type.size ?? 0) * 8}_t`, type],
  ]),
  ['u128', UNSIGNED_INT_128],
  ['i128', INT_128],
  ['f32', FLOAT],
  ['f64', DOUBLE],
  ['bool', BOOL],
  ['_Bool', BOOL],
  ['float', FLOAT],
  ['double', DOUBLE],
])

/**
 * `unsigned long` in any of C's spellings, `u32`, `uint32_t`; undefined for what is no built-in type. void is null.
 * @param pointerSize bytes; `long` has as many in the guests we know (LP64, ILP32).
 */
export function builtInType(name: string, pointerSize: 4 | 8): BaseType | null | undefined {
  if (name === 'void') return null
  const fixed = FIXED.get(name)
  if (fixed !== undefined) return fixed
  if (name === 'usize') return base('usize', pointerSize, 'unsigned')
  if (name === 'isize') return base('isize', pointerSize, 'signed')
  return integerSpelling(name.split(' '), pointerSize)
}

function integerSpelling(words: readonly string[], pointerSize: 4 | 8): BaseType | undefined {
  const count = (word: string): number => words.filter(each => each === word).length
  const known = ['unsigned', 'signed', 'int', 'long', 'short', 'char', 'double'].reduce(
    (sum, word) => sum + count(word),
    0,
  )
  if (known !== words.length || count('unsigned') + count('signed') > 1) return undefined
  const unsigned = count('unsigned') === 1
  if (count('double') === 1) return words.length === 2 && count('long') === 1 ? EXTENDED : undefined
  const encoding = unsigned ? 'unsigned' : 'signed'
  const prefix = unsigned ? 'unsigned ' : ''
  if (count('char') === 1) {
    if (words.length - count('unsigned') - count('signed') !== 1) return undefined
    return base(`${count('signed') === 1 ? 'signed ' : prefix}char`, 1, unsigned ? 'unsigned-char' : 'signed-char')
  }
  if (count('int') > 1 || count('long') > 2 || count('short') > 1 || (count('long') > 0 && count('short') > 0))
    return undefined
  if (count('short') === 1) return base(`${prefix}short`, 2, encoding)
  if (count('long') === 1) return base(`${prefix}long`, pointerSize, encoding)
  if (count('long') === 2) return base(`${prefix}long long`, 8, encoding)
  return unsigned ? UNSIGNED_INT : INT
}

/** @param target undefined for `void *` */
export function pointerTo(target: Type | undefined, size: 4 | 8): PointerType {
  const inner = target?.name ?? 'void'
  const name =
    target?.kind === 'array' || target?.kind === 'function'
      ? inner.replace(/ ?([[(])/, target.kind === 'array' ? ' (*)$1' : ' (*)$1')
      : inner.endsWith('*')
        ? `${inner}*`
        : `${inner} *`
  return { kind: 'pointer', name, size, reference: false, target }
}

export function arrayOf(element: Type, count: number): ArrayType {
  const size = element.size === undefined ? undefined : element.size * count
  return { kind: 'array', name: `${element.name} [${count}]`, size, element, counts: [count] }
}

/** What `array[i]` is: an element, or an array with one dimension less. */
export function elementType(array: ArrayType): Type {
  const [, ...inner] = array.counts
  if (inner.length === 0) return array.element
  const size = inner.reduce<number | undefined>(
    (total, count) => (total === undefined || count === undefined ? undefined : total * count),
    array.element.size,
  )
  const dimensions = inner.map(count => `[${count ?? ''}]`).join('')
  return { kind: 'array', name: `${array.element.name} ${dimensions}`, size, element: array.element, counts: inner }
}

/** A union of arrays over the same bytes, as `$xmm0` is. */
export function vectorType(name: string, bytes: 8 | 16 | 32): StructType {
  const views: readonly (readonly [prefix: string, element: BaseType])[] = [
    ['u8', U8],
    ['u16', U16],
    ['u32', U32],
    ['u64', U64],
    ['f32', FLOAT],
    ['f64', DOUBLE],
  ]
  return {
    kind: 'struct',
    keyword: 'union',
    name: `union ${name}`,
    tag: name,
    size: bytes,
    incomplete: false,
    variants: undefined,
    members: views.map(([member, element]) => ({
      name: member,
      offset: 0,
      type: arrayOf(element, bytes / (element.size ?? 1)),
      bits: undefined,
      inherited: false,
    })),
  }
}

/** An integer, enumeration or boolean as arithmetic sees it. */
export interface IntegerFormat {
  /** Bytes. */
  readonly size: number
  readonly signed: boolean
}

/** undefined for what is no integer. Pointers count as unsigned integers. */
export function integerFormat(type: Type | undefined): IntegerFormat | undefined {
  const plain = stripped(type)
  if (plain?.kind === 'pointer') return { size: plain.size ?? 8, signed: false }
  if (plain?.kind === 'enum') {
    const underlying = stripped(plain.underlying)
    const signed =
      underlying?.kind === 'base'
        ? underlying.encoding.startsWith('signed')
        : plain.enumerators.some(({ value }) => value < 0n)
    return { size: plain.size ?? 4, signed }
  }
  if (plain?.kind !== 'base' || plain.encoding === 'float' || plain.size === undefined) return undefined
  if (plain.encoding === 'other' || plain.size === 0 || plain.size > 16) return undefined
  return { size: plain.size, signed: plain.encoding === 'signed' || plain.encoding === 'signed-char' }
}

/** Bytes of a floating-point type: 4, 8 or more (the x87's); undefined for what is none. */
export function floatSize(type: Type | undefined): number | undefined {
  const plain = stripped(type)
  return plain?.kind === 'base' && plain.encoding === 'float' ? plain.size : undefined
}

/** Brings a number into an integer's range, as a store and a load would. */
export function wrap(value: bigint, { size, signed }: IntegerFormat): bigint {
  return signed ? BigInt.asIntN(size * 8, value) : BigInt.asUintN(size * 8, value)
}
