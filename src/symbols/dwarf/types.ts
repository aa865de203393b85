/** Types from their entries (DWARF 5, chapter 5), each made when it is looked at. */

import * as C from './constants.ts'
import type { Die } from './die.ts'
import { DwarfReader } from './dwarf-reader.ts'
import { toBytes } from './expression.ts'
import type {
  BaseType,
  EnumType,
  FunctionType,
  Member,
  QualifiedType,
  StructType,
  Type,
  Variant,
  VariantPart,
} from './type-model.ts'
import { typeName } from './type-name.ts'

/** A typedef of itself is legal to write into a file: sizes are given up at this depth. */
const DEEPEST = 64

/** Types kept, so that one entry is one object; starts anew when full. */
const MOST_TYPES = 50_000

export type ResolveDeclaration = (die: Die) => Die | undefined

export class TypeFactory {
  readonly #resolve: ResolveDeclaration
  #types = new Map<string, Type>()

  /** @param resolve finds the definition of a declared type. */
  constructor(resolve: ResolveDeclaration) {
    this.#resolve = resolve
  }

  /** The type that DW_AT_type of an entry, or of one it completes, names; undefined for void. */
  of(die: Die): Type | undefined {
    const target = targetOf(die)
    return target === undefined ? undefined : this.type(target)
  }

  type(die: Die): Type {
    const key = `${die.unit.list.name}${die.offset}`
    let type = this.#types.get(key)
    if (type === undefined) {
      type = this.#make(die)
      if (this.#types.size >= MOST_TYPES) this.#types = new Map()
      this.#types.set(key, type)
    }
    return type
  }

  #make(die: Die): Type {
    switch (die.tag) {
      case C.DW_TAG_base_type:
        return { ...this.#common(die), kind: 'base', encoding: encodingOf(die) }
      case C.DW_TAG_pointer_type:
        return this.#pointer(die, false)
      case C.DW_TAG_reference_type:
      case C.DW_TAG_rvalue_reference_type:
        return this.#pointer(die, true)
      case C.DW_TAG_structure_type:
        return this.#struct(die, 'struct')
      case C.DW_TAG_class_type:
        return this.#struct(die, 'class')
      case C.DW_TAG_union_type:
        return this.#struct(die, 'union')
      case C.DW_TAG_array_type:
        return this.#array(die)
      case C.DW_TAG_enumeration_type:
        return this.#enum(die)
      case C.DW_TAG_typedef:
        return this.#withTarget(die, { kind: 'typedef' as const })
      case C.DW_TAG_const_type:
        return this.#qualified(die, 'const')
      case C.DW_TAG_volatile_type:
        return this.#qualified(die, 'volatile')
      case C.DW_TAG_restrict_type:
        return this.#qualified(die, 'restrict')
      case C.DW_TAG_atomic_type:
        return this.#qualified(die, 'atomic')
      case C.DW_TAG_subroutine_type:
      case C.DW_TAG_subprogram:
        return this.#function(die)
      default:
        return {
          name: die.name ?? `(tag 0x${die.tag.toString(16)})`,
          size: die.number(C.DW_AT_byte_size),
          kind: 'unspecified',
        }
    }
  }

  #common(die: Die): { name: string; size: number | undefined } {
    return { name: typeName(die), size: this.sizeOf(die) }
  }

  /** Bytes; undefined when unknown. */
  sizeOf(die: Die, depth = 0): number | undefined {
    const size = die.number(C.DW_AT_byte_size)
    if (size !== undefined || depth > DEEPEST) return size
    switch (die.tag) {
      case C.DW_TAG_pointer_type:
      case C.DW_TAG_reference_type:
      case C.DW_TAG_rvalue_reference_type:
        return die.unit.addressSize
      case C.DW_TAG_typedef:
      case C.DW_TAG_const_type:
      case C.DW_TAG_volatile_type:
      case C.DW_TAG_restrict_type:
      case C.DW_TAG_atomic_type: {
        const target = targetOf(die)
        return target && this.sizeOf(target, depth + 1)
      }
      case C.DW_TAG_array_type: {
        const element = targetOf(die)
        const each = element && this.sizeOf(element, depth + 1)
        const counts = countsOf(die)
        if (each === undefined || counts.includes(undefined)) return undefined
        return counts.reduce<number>((product, count) => product * (count ?? 0), each)
      }
      case C.DW_TAG_structure_type:
      case C.DW_TAG_class_type:
      case C.DW_TAG_union_type:
      case C.DW_TAG_enumeration_type: {
        const definition = isDeclaration(die) ? this.#resolve(die) : undefined
        return definition && this.sizeOf(definition, depth + 1)
      }
      default:
        return undefined
    }
  }

  #pointer(die: Die, reference: boolean): Type {
    const size = die.number(C.DW_AT_byte_size) ?? die.unit.addressSize
    const factory = this
    return {
      kind: 'pointer',
      reference,
      size,
      get name() {
        return typeName(die)
      },
      get target() {
        return factory.of(die)
      },
    }
  }

  #qualified(die: Die, qualifier: QualifiedType['qualifier']): Type {
    return this.#withTarget(die, { kind: 'qualified' as const, qualifier })
  }

  #withTarget<T extends object>(
    die: Die,
    kind: T,
  ): T & { name: string; size: number | undefined; target: Type | undefined } {
    return Object.defineProperties(
      { ...kind, name: '', size: undefined, target: undefined },
      {
        name: { enumerable: true, get: () => typeName(die) },
        size: { enumerable: true, get: () => this.sizeOf(die) },
        target: { enumerable: true, get: () => this.of(die) },
      },
    )
  }

  #struct(die: Die, keyword: StructType['keyword']): StructType {
    // A declaration is looked up when somebody looks into it: most never are.
    const full = lazy(() => (isDeclaration(die) ? this.#resolve(die) : die))
    const members = lazy(() => {
      const definition = full()
      return definition === undefined ? [] : this.#members(definition)
    })
    const variants = lazy(() => {
      const definition = full()
      return definition === undefined ? undefined : this.#variants(definition)
    })
    return {
      kind: 'struct',
      keyword,
      tag: die.name,
      name: typeName(die),
      get size() {
        return full()?.number(C.DW_AT_byte_size)
      },
      get incomplete() {
        return full() === undefined
      },
      get members() {
        return members()
      },
      get variants() {
        return variants()
      },
    }
  }

  #members(die: Die): readonly Member[] {
    return [...die.unit.children(die)].flatMap(child => this.#member(child) ?? [])
  }

  #member(die: Die): Member | undefined {
    const inherited = die.tag === C.DW_TAG_inheritance
    // A static member of C++ is a declaration of a variable.
    if ((die.tag !== C.DW_TAG_member && !inherited) || die.flag(C.DW_AT_external)) return undefined
    const type = lazy(() => this.of(die) ?? VOID)
    const place = this.#memberPlace(die)
    return {
      name: die.name,
      offset: place.offset,
      bits: place.bits,
      inherited,
      get type() {
        return type()
      },
    }
  }

  /** DWARF 5, 5.7.6; before version 4 bit fields counted from the most significant bit of their storage. */
  #memberPlace(die: Die): Pick<Member, 'offset' | 'bits'> {
    const offset = memberOffset(die)
    const size = die.number(C.DW_AT_bit_size)
    if (size === undefined) return { offset, bits: undefined }
    let first = die.number(C.DW_AT_data_bit_offset)
    if (first === undefined) {
      const target = targetOf(die)
      const storage = die.number(C.DW_AT_byte_size) ?? (target && this.sizeOf(target)) ?? 4
      first = offset * 8 + storage * 8 - (die.number(C.DW_AT_bit_offset) ?? 0) - size
    }
    return { offset: Math.floor(first / 8), bits: { offset: first % 8, size } }
  }

  /** 5.7.10 */
  #variants(die: Die): VariantPart | undefined {
    for (const part of die.unit.children(die)) {
      if (part.tag !== C.DW_TAG_variant_part) continue
      const selector = part.reference(C.DW_AT_discr)
      const variants: Variant[] = []
      for (const variant of part.unit.children(part)) {
        if (variant.tag !== C.DW_TAG_variant) continue
        variants.push({ values: discriminantsOf(variant), members: this.#members(variant) })
      }
      return { discriminant: selector && this.#member(selector), variants }
    }
    return undefined
  }

  #array(die: Die): Type {
    const factory = this
    const element = lazy(() => factory.of(die) ?? VOID)
    return {
      kind: 'array',
      counts: countsOf(die),
      get name() {
        return typeName(die)
      },
      get size() {
        return factory.sizeOf(die)
      },
      get element() {
        return element()
      },
    }
  }

  #enum(die: Die): EnumType {
    const factory = this
    const full = lazy(() => (isDeclaration(die) ? this.#resolve(die) : die))
    const enumerators = lazy(() => {
      const definition = full()
      if (definition === undefined) return []
      return [...definition.unit.children(definition)].flatMap(child => {
        const value = child.constant(C.DW_AT_const_value)
        if (child.tag !== C.DW_TAG_enumerator || value === undefined) return []
        return [{ name: child.name ?? '', value }]
      })
    })
    return {
      kind: 'enum',
      tag: die.name,
      name: typeName(die),
      get size() {
        return factory.sizeOf(die)
      },
      get incomplete() {
        return full() === undefined
      },
      get underlying() {
        const definition = full()
        return definition && factory.of(definition)
      },
      get enumerators() {
        return enumerators()
      },
    }
  }

  #function(die: Die): FunctionType {
    const factory = this
    const parameters = lazy(() =>
      [...die.unit.children(die)]
        .filter(child => child.tag === C.DW_TAG_formal_parameter)
        .map(child => factory.of(child)),
    )
    return {
      kind: 'function',
      size: undefined,
      get name() {
        return typeName(die)
      },
      get returns() {
        return factory.of(die)
      },
      get parameters() {
        return parameters()
      },
      get variadic() {
        return [...die.unit.children(die)].some(child => child.tag === C.DW_TAG_unspecified_parameters)
      },
    }
  }
}

const VOID: Type = { kind: 'unspecified', name: 'void', size: undefined }

function lazy<T>(compute: () => T): () => T {
  let known: { value: T } | undefined
  return () => {
    known ??= { value: compute() }
    return known.value
  }
}

/** The entry that DW_AT_type refers to; where that only stands for a type unit, the type there. */
export function targetOf(die: Die): Die | undefined {
  const target = die.originWith(C.DW_AT_type)?.reference(C.DW_AT_type)
  return target?.reference(C.DW_AT_signature) ?? target
}

function isDeclaration(die: Die): boolean {
  return die.flag(C.DW_AT_declaration)
}

function memberOffset(die: Die): number {
  const constant = die.number(C.DW_AT_data_member_location)
  if (constant !== undefined) return constant
  // The one expression that compilers wrote before there were constants.
  const expression = die.block(C.DW_AT_data_member_location)
  if (expression?.[0] !== C.DW_OP_plus_uconst) return 0
  return new DwarfReader(expression, die.unit.what, 1).uleb()
}

/** From the subranges of an array (5.5), outermost first. */
export function countsOf(die: Die): (number | undefined)[] {
  const counts: (number | undefined)[] = []
  for (const child of die.unit.children(die)) {
    if (child.tag !== C.DW_TAG_subrange_type) continue
    const count = child.number(C.DW_AT_count)
    const upper = child.number(C.DW_AT_upper_bound)
    // gcc writes `[0]` as an upper bound of -1, in any size.
    if (count !== undefined) counts.push(count)
    else if (upper === undefined) counts.push(undefined)
    else counts.push(upper < 0 || upper >= 0xffff_ffff ? 0 : upper + 1)
  }
  return counts
}

function discriminantsOf(variant: Die): Variant['values'] {
  const value = variant.constant(C.DW_AT_discr_value)
  if (value !== undefined) return [{ low: value, high: value }]
  const list = variant.block(C.DW_AT_discr_list)
  if (list === undefined) return undefined
  // 7.11: a label or a range each. Rust's discriminants are unsigned.
  const reader = new DwarfReader(list, variant.unit.what)
  const values: { low: bigint; high: bigint }[] = []
  while (reader.rest > 0) {
    const isRange = reader.u8() !== 0
    const low = reader.ulebBig()
    values.push({ low, high: isRange ? reader.ulebBig() : low })
  }
  return values
}

function encodingOf(die: Die): BaseType['encoding'] {
  switch (die.number(C.DW_AT_encoding)) {
    case C.DW_ATE_signed:
      return 'signed'
    case C.DW_ATE_unsigned:
    case C.DW_ATE_address:
      return 'unsigned'
    case C.DW_ATE_boolean:
      return 'boolean'
    case C.DW_ATE_signed_char:
      return 'signed-char'
    case C.DW_ATE_unsigned_char:
      return 'unsigned-char'
    case C.DW_ATE_UTF:
      return 'utf'
    case C.DW_ATE_float:
      return 'float'
    default:
      return 'other'
  }
}

/** A constant attribute as the bytes of a value of `size` bytes; undefined when the entry has none. */
export function constantBytes(die: Die, size: number): Uint8Array | undefined {
  const origin = die.originWith(C.DW_AT_const_value)
  if (origin === undefined) return undefined
  const block = origin.block(C.DW_AT_const_value)
  if (block !== undefined) return Uint8Array.from(block)
  const text = origin.string(C.DW_AT_const_value)
  if (text !== undefined) return Uint8Array.from(Buffer.from(`${text}\0`))
  const value = origin.constant(C.DW_AT_const_value)
  return value === undefined ? undefined : toBytes(value, size)
}
