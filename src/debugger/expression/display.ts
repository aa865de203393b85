/**
 * Values as a person reads them, with their parts in pages:
 *
 *     displayText(value, { subject, describe })               // `0xffff888003d4a000 <init_task>`, `{counter = 3, …}`
 *     childCount(value, context)                              // { named, indexed }
 *     childrenOf(value, context, { start: 0, count: 100 })    // each with the expression that evaluates to it
 */

import type { Address } from '../../inspect/address.ts'
import {
  type ArrayType,
  type EnumType,
  type Member,
  type PointerType,
  type StructType,
  stripped,
  type Type,
  type Variant,
} from '../../symbols/dwarf/type-model.ts'
import { elementType, integerFormat } from './built-in-types.ts'
import { floatIn, integerIn } from './evaluate.ts'
import { littleEndian, type Space, type Subject } from './subject.ts'
import { bytesOf, partOf, type Value } from './value.ts'

export interface DisplayContext {
  readonly subject: Subject
  /** The symbol at a linear address, as `name+0x1c`. */
  describe(address: bigint): string | undefined
  /** Integers in hexadecimal. */
  readonly hex?: boolean
}

export interface ValueChild {
  readonly name: string
  readonly value: Value
  /** Evaluates to it in the same frame; undefined when the parent has none. */
  readonly evaluateName: string | undefined
}

const LONGEST_STRING = 200
/** Members and elements that the text of a structure or array shows. */
const SHOWN_PARTS = 8
const SHOWN_ELEMENTS = 16
const MOST_CHILDREN = 10_000
/** Structures inside structures are shown in the text of the outermost so deep. */
const DEEPEST_TEXT = 2
/** Anonymous structures in each other. */
const DEEPEST = 16

/** One line; what can't be read is said in it, so that this never throws for a guest's state. */
export function displayText(value: Value, context: DisplayContext, depth = 0): string {
  if (value.place.kind === 'unavailable') return '<optimized out>'
  try {
    return textOf(value, context, depth)
  } catch (error) {
    return `<${error instanceof Error ? error.message : String(error)}>`
  }
}

/** Where a value lies, for a view of memory; of a pointer what it points to. */
export function memoryReferenceOf(value: Value, context: DisplayContext): Address | undefined {
  const plain = stripped(value.type)
  if (plain?.kind === 'pointer' && value.place.kind !== 'unavailable') {
    try {
      const address = integerIn(value, context.subject)
      return address === undefined ? undefined : { space: value.pointsInto ?? 'linear', address }
    } catch {
      return undefined
    }
  }
  return value.place.kind === 'memory' ? value.place.address : undefined
}

export function childCount(
  value: Value,
  context: DisplayContext,
): { readonly named: number; readonly indexed: number } {
  const plain = stripped(value.type)
  if (value.place.kind === 'unavailable') return { named: 0, indexed: 0 }
  if (plain?.kind === 'struct') return { named: shownMembers(plain, value, context).length, indexed: 0 }
  if (plain?.kind === 'array') return { named: 0, indexed: plain.counts[0] ?? 0 }
  if (plain?.kind === 'pointer' && isFollowed(plain) && isSet(value, context)) {
    const target = stripped(plain.target)
    // A pointer to a structure opens into its members at once.
    if (target?.kind === 'struct')
      return { named: shownMembers(target, followed(value, plain, context), context).length, indexed: 0 }
    return { named: 1, indexed: 0 }
  }
  return { named: 0, indexed: 0 }
}

/** @param page which of them; all, but at most 10,000, when left out. */
export function childrenOf(
  value: Value,
  context: DisplayContext,
  page: { readonly start: number; readonly count: number } = { start: 0, count: MOST_CHILDREN },
  evaluateName?: string,
): ValueChild[] {
  const plain = stripped(value.type)
  if (value.place.kind === 'unavailable') return []
  const end = page.start + Math.min(page.count, MOST_CHILDREN)
  if (plain?.kind === 'struct') return structChildren(plain, value, context, evaluateName, '.').slice(page.start, end)
  if (plain?.kind === 'array') return elements(plain, value, page.start, end, evaluateName)
  if (plain?.kind !== 'pointer' || !isFollowed(plain) || !isSet(value, context)) return []
  const target = followed(value, plain, context)
  const struct = stripped(plain.target)
  if (struct?.kind === 'struct')
    return structChildren(struct, target, context, evaluateName, '->').slice(page.start, end)
  const star = evaluateName === undefined ? undefined : `*${primary(evaluateName)}`
  return [{ name: '*', value: target, evaluateName: star }].slice(page.start, end)
}

// Texts

function textOf(value: Value, context: DisplayContext, depth: number): string {
  const plain = stripped(value.type)
  switch (plain?.kind) {
    case 'pointer':
      return pointerText(value, plain, context)
    case 'enum':
      return enumText(plain, integerIn(value, context.subject) ?? 0n)
    case 'struct':
      return structText(value, plain, context, depth)
    case 'array':
      return arrayText(value, plain, context, depth)
    case 'function':
      return functionText(value, context)
    case 'unspecified':
      return value.place.kind === 'memory'
        ? `${plain.name} at ${addressText(value.place.address.address, context)}`
        : plain.name
    case 'base':
      return numberText(value, plain, context)
    default:
      return 'void'
  }
}

function numberText(value: Value, type: Extract<Type, { kind: 'base' }>, context: DisplayContext): string {
  const { subject } = context
  const float = floatIn(value, subject)
  if (float !== undefined) return floatText(float, type.size ?? 8)
  const number = integerIn(value, subject)
  if (number === undefined) return hex(littleEndian(bytesOf(value, subject)))
  if (type.encoding === 'boolean') return number === 0n ? 'false' : number === 1n ? 'true' : `true (${number})`
  if (type.encoding === 'utf') return `U+${number.toString(16).toUpperCase().padStart(4, '0')} ${codePoint(number)}`
  const bits = value.place.kind === 'unavailable' ? undefined : value.place.bits?.size
  const text = context.hex ? hex(BigInt.asUintN(bits ?? (type.size ?? 8) * 8, number)) : number.toString()
  const character = type.size === 1 && type.encoding.endsWith('char')
  return character ? `${text} ${quoted(Uint8Array.of(Number(BigInt.asUintN(8, number))), "'")}` : text
}

function codePoint(number: bigint): string {
  const code = Number(number)
  return code >= 0x20 && code <= 0x10ffff ? `'${String.fromCodePoint(code)}'` : ''
}

function floatText(number: number, size: number): string {
  if (Object.is(number, -0)) return '-0'
  if (size !== 4 || !Number.isFinite(number)) return String(number)
  // The fewest digits that mean the same single-precision number.
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(number.toPrecision(digits))
    if (Math.fround(short) === number) return String(short)
  }
  return String(number)
}

function pointerText(value: Value, type: PointerType, context: DisplayContext): string {
  const address = integerIn(value, context.subject) ?? 0n
  if (value.pointsInto !== undefined) return `${value.pointsInto === 'host' ? 'hpa' : 'phys'}:${hex(address)}`
  if (address === 0n) return '0x0'
  const text = addressText(address, context)
  if (!isCharacter(type.target)) return text
  const string = stringAt({ space: 'linear', address }, context.subject)
  return string === undefined ? text : `${hex(address)} ${string}`
}

function addressText(address: bigint, context: DisplayContext): string {
  const symbol = context.describe(address)
  return symbol === undefined ? hex(address) : `${hex(address)} <${symbol}>`
}

function functionText(value: Value, context: DisplayContext): string {
  return value.place.kind === 'memory' ? `{${addressText(value.place.address.address, context)}}` : '{function}'
}

function enumText({ enumerators, tag }: EnumType, number: bigint): string {
  const exact = enumerators.find(each => each.value === number)
  if (exact !== undefined) return exact.name
  const names: string[] = []
  let rest = number
  // A set of flags: names of single bits that together make the value.
  for (const { name, value } of enumerators) {
    if (value <= 0n || (value & (value - 1n)) !== 0n || (rest & value) === 0n) continue
    names.push(name)
    rest &= ~value
  }
  if (names.length > 0 && rest === 0n) return names.join(' | ')
  return tag === undefined ? number.toString() : `(enum ${tag}) ${number}`
}

function structText(value: Value, type: StructType, context: DisplayContext, depth: number): string {
  if (type.incomplete) return '{…}'
  const variant = activeVariant(type, value, context)
  if (variant !== undefined && variant.members.length === 1) {
    const [member] = variant.members
    const inner = displayText(memberValue(value, member), context, depth + 1)
    return inner === '{}' ? (member.name ?? '') : `${member.name ?? ''} ${inner}`
  }
  const members = shownMembers(type, value, context)
  if (depth >= DEEPEST_TEXT && members.length > 0) return '{…}'
  const shown = members
    .slice(0, SHOWN_PARTS)
    .map(({ name, value: inner }) => `${name} = ${displayText(inner, context, depth + 1)}`)
  if (members.length > SHOWN_PARTS) shown.push('…')
  return `{${shown.join(', ')}}`
}

function arrayText(value: Value, type: ArrayType, context: DisplayContext, depth: number): string {
  const element = elementType(type)
  const count = type.counts[0] ?? 0
  const { place } = value
  // Only declared, as `extern const char text[]`: its end is where the text ends.
  if (isCharacter(element) && type.counts[0] === undefined && place.kind === 'memory')
    return stringAt(place.address, context.subject) ?? addressText(place.address.address, context)
  if (isCharacter(element)) {
    const length = Math.min(count, LONGEST_STRING)
    const bytes = bytesOf(value, context.subject, length)
    const end = bytes.indexOf(0)
    const text = quoted(end < 0 ? bytes : bytes.subarray(0, end), '"')
    return end < 0 && count > length ? `${text}…` : text
  }
  if (depth >= DEEPEST_TEXT && count > 0) return '[…]'
  const shown = elements(type, value, 0, Math.min(count, SHOWN_ELEMENTS), undefined).map(child =>
    displayText(child.value, context, depth + 1),
  )
  if (count > SHOWN_ELEMENTS) shown.push('…')
  return `[${shown.join(', ')}]`
}

const isCharacter = (type: Type | undefined): boolean => {
  const plain = stripped(type)
  return plain?.kind === 'base' && plain.size === 1 && plain.encoding.endsWith('char')
}

/** Up to the NUL, quoted; undefined where nothing can be read. */
function stringAt({ space, address }: { space: Space; address: bigint }, subject: Subject): string | undefined {
  const codes: number[] = []
  for (let at = 0; at <= LONGEST_STRING; at++) {
    const byte = subject.read(space, BigInt.asUintN(64, address + BigInt(at)), 1)
    if (byte === undefined) return at === 0 ? undefined : `${quoted(Uint8Array.from(codes), '"')}…`
    if (byte[0] === 0) return quoted(Uint8Array.from(codes), '"')
    codes.push(byte[0])
  }
  return `${quoted(Uint8Array.from(codes.slice(0, LONGEST_STRING)), '"')}…`
}

const ESCAPED: Readonly<Record<number, string>> = { 0: '\\0', 9: '\\t', 10: '\\n', 13: '\\r', 27: '\\e', 92: '\\\\' }

function quoted(bytes: Uint8Array, quote: '"' | "'"): string {
  const plain = [...bytes].map(byte => {
    if (ESCAPED[byte] !== undefined) return ESCAPED[byte]
    if (byte === quote.charCodeAt(0)) return `\\${quote}`
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  })
  return `${quote}${plain.join('')}${quote}`
}

const hex = (value: bigint): string => `0x${value.toString(16)}`

// Parts

function memberValue(value: Value, member: Member): Value {
  return partOf(value, member.type, member.offset, member.bits)
}

/** Anonymous structures and unions are opened: their members count as the outer one's. */
function shownMembers(
  type: StructType,
  value: Value,
  context: DisplayContext,
  depth = 0,
): { name: string; value: Value }[] {
  const variant = activeVariant(type, value, context)
  const members = [...type.members, ...(variant?.members ?? [])]
  return members.flatMap(member => {
    const inner = memberValue(value, member)
    const struct = stripped(member.type)
    if (member.name === undefined && struct?.kind === 'struct' && depth < DEEPEST)
      return shownMembers(struct, inner, context, depth + 1)
    return [{ name: member.name ?? '<anonymous>', value: inner }]
  })
}

/** Of a Rust enumeration: the variant that its discriminant selects. */
function activeVariant(type: StructType, value: Value, context: DisplayContext): Variant | undefined {
  const { variants } = type
  if (variants === undefined) return undefined
  if (variants.discriminant === undefined) return variants.variants[0]
  let number: bigint
  try {
    const discriminant = memberValue(value, variants.discriminant)
    const size = integerFormat(discriminant.type)?.size ?? 0
    number = BigInt.asUintN(size * 8, integerIn(discriminant, context.subject) ?? 0n)
  } catch {
    return undefined
  }
  return (
    variants.variants.find(({ values }) => values?.some(({ low, high }) => number >= low && number <= high)) ??
    variants.variants.find(({ values }) => values === undefined)
  )
}

function structChildren(
  type: StructType,
  value: Value,
  context: DisplayContext,
  evaluateName: string | undefined,
  operator: '.' | '->',
): ValueChild[] {
  return shownMembers(type, value, context).map(({ name, value: inner }) => ({
    name,
    value: inner,
    evaluateName: evaluateName === undefined ? undefined : `${primary(evaluateName)}${operator}${spelled(name)}`,
  }))
}

function elements(
  type: ArrayType,
  value: Value,
  start: number,
  end: number,
  evaluateName: string | undefined,
): ValueChild[] {
  const element = elementType(type)
  const last = Math.min(end, type.counts[0] ?? 0)
  return Array.from({ length: Math.max(0, last - start) }, (_, at) => {
    const index = start + at
    return {
      name: `[${index}]`,
      value: partOf(value, element, index * (element.size ?? 0)),
      evaluateName: evaluateName === undefined ? undefined : `${primary(evaluateName)}[${index}]`,
    }
  })
}

/** Postfix operators bind tighter than whatever stands in front. */
const primary = (expression: string): string =>
  /^[$\w.[\]`]+(?:->[\w.[\]`]+)*$/.test(expression) ? expression : `(${expression})`
const spelled = (name: string): string => (/^\w+$/.test(name) ? name : `\`${name}\``)

function isFollowed({ target }: PointerType): boolean {
  const plain = stripped(target)
  return plain !== undefined && plain.kind !== 'function' && plain.size !== undefined && plain.size > 0
}

function isSet(value: Value, context: DisplayContext): boolean {
  try {
    return (integerIn(value, context.subject) ?? 0n) !== 0n
  } catch {
    return false
  }
}

function followed(value: Value, type: PointerType, context: DisplayContext): Value {
  const address = integerIn(value, context.subject) ?? 0n
  return { type: type.target, place: { kind: 'memory', address: { space: value.pointsInto ?? 'linear', address } } }
}
