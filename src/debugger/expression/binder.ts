/** Gives an expression its meaning: names become places, operators functions on typed numbers. */

import { stripped, type Type } from '../../symbols/dwarf/type-model.ts'
import {
  arithmetic,
  asNumber,
  compare,
  computed,
  converted,
  convertedToFloat,
  isComparison,
  negate,
  shift,
  truth,
  truthOf,
} from './arithmetic.ts'
import {
  addressOf,
  type Bound,
  type Compute,
  movedPlace,
  type Scalar,
  scalarOf,
  spaceOf,
  UNTYPED_CODE,
  UNTYPED_DATA,
} from './bound.ts'
import {
  arrayOf,
  BOOL,
  CHAR,
  DOUBLE,
  elementType,
  FLOAT,
  floatSize,
  integerFormat,
  pointerTo,
  U64,
  UNSIGNED_LONG,
} from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import { findRegister, findRegisterField } from './registers.ts'
import type { Scope } from './scope.ts'
import { compareString } from './string-comparison.ts'
import type { Syntax } from './syntax.ts'
import { findMember, namedType, noMember } from './types-of-scope.ts'

/** Elements that `p@n` may have. */
const LONGEST_SLICE = 1 << 20

export class Binder {
  readonly #scope: Scope
  readonly #constant: (compute: Compute<bigint>) => bigint

  /** @param constant computes what must be known now, as the count of `p@n`; throws where that is not possible. */
  constructor(scope: Scope, constant: (compute: Compute<bigint>) => bigint) {
    this.#scope = scope
    this.#constant = constant
  }

  /** Throws {@link ExpressionError}. */
  bind(syntax: Syntax): Bound {
    switch (syntax.kind) {
      case 'integer':
        return integerLiteral(syntax)
      case 'float': {
        const { value, single } = syntax
        return computed({ kind: 'float', size: single ? 4 : 8, value: () => value }, single ? FLOAT : DOUBLE)
      }
      case 'character': {
        const value = BigInt.asIntN(8, BigInt(syntax.value))
        return computed({ kind: 'integer', size: 1, signed: true, value: () => value }, CHAR)
      }
      case 'string':
        return {
          type: arrayOf(CHAR, syntax.text.length + 1),
          space: 'linear',
          place: { kind: 'string', text: syntax.text },
        }
      case 'name':
        return this.#name(syntax.name)
      case 'register': {
        const register = findRegister(syntax.name)
        return { type: register.type, space: 'linear', place: { kind: 'register', register, offset: 0 } }
      }
      case 'space': {
        const address = converted(this.scalar(syntax.address), 8, false).value
        const type = pointerTo(undefined, 8)
        return computed({ kind: 'pointer', type, target: undefined, space: syntax.space, value: address }, type)
      }
      case 'unary':
        return this.#unary(syntax)
      case 'binary':
        return this.#binary(syntax)
      case 'conditional':
        return this.#conditional(syntax)
      case 'cast':
        return this.cast(namedType(syntax.type, this.#scope), this.bind(syntax.operand))
      case 'size-of-type':
        return this.#sizeOf(namedType(syntax.type, this.#scope))
      case 'size-of':
        return this.#sizeOf(this.bind(syntax.operand).type)
      case 'member':
        return this.#member(syntax)
      case 'index':
        return this.#index(syntax)
      case 'slice':
        return this.#slice(syntax)
      case 'assignment':
        throw new ExpressionError('= assigns only as the outermost operator')
    }
  }

  scalar(syntax: Syntax): Scalar {
    return scalarOf(this.bind(syntax), this.#scope.pointerSize)
  }

  #name(name: string): Bound {
    const variable = this.#scope.variable(name)
    if (variable !== undefined) {
      const size = variable.type?.size ?? 0
      const fixed = variable.fixedAddress
      if (fixed !== undefined)
        return {
          type: variable.type,
          space: 'linear',
          place: { kind: 'memory', space: 'linear', address: () => fixed },
        }
      return { type: variable.type, space: 'linear', place: { kind: 'variable', name, variable, size, offset: 0 } }
    }
    const enumerator = this.#scope.enumerator(name)
    if (enumerator !== undefined) {
      const format = integerFormat(enumerator.type) ?? { size: 4, signed: true }
      const { value } = enumerator
      return computed({ kind: 'integer', ...format, value: () => value }, enumerator.type)
    }
    const symbol = this.#scope.symbol(name)
    if (symbol !== undefined) {
      const { address, kind } = symbol
      const type = kind === 'object' ? UNTYPED_DATA : UNTYPED_CODE
      return { type, space: 'linear', place: { kind: 'memory', space: 'linear', address: () => address } }
    }
    throw new ExpressionError(`no symbol "${name}" is known${registerHint(name)}`)
  }

  #unary({ operator, operand }: Extract<Syntax, { kind: 'unary' }>): Bound {
    const { pointerSize } = this.#scope
    if (operator === '&') {
      const bound = this.bind(operand)
      const type = pointerTo(bound.type === UNTYPED_DATA ? undefined : bound.type, pointerSize)
      const scalar: Scalar = {
        kind: 'pointer',
        type,
        target: type.target,
        space: spaceOf(bound),
        value: addressOf(bound),
      }
      return computed(scalar, type)
    }
    const scalar = this.scalar(operand)
    if (operator === '*') return dereferenced(scalar)
    if (operator === '!') {
      const holds = truthOf(scalar)
      return truth(subject => !holds(subject))
    }
    return computed(negate(operator, scalar))
  }

  #binary({ operator, left, right }: Extract<Syntax, { kind: 'binary' }>): Bound {
    if (operator === '&&' || operator === '||') {
      const first = truthOf(this.scalar(left))
      const second = truthOf(this.scalar(right))
      return operator === '&&'
        ? truth(subject => first(subject) && second(subject))
        : truth(subject => first(subject) || second(subject))
    }
    const a = this.bind(left)
    const b = this.bind(right)
    if (a.place.kind === 'string' || b.place.kind === 'string') return this.#stringComparison(operator, a, b)
    const x = scalarOf(a, this.#scope.pointerSize)
    const y = scalarOf(b, this.#scope.pointerSize)
    if (isComparison(operator)) return truth(compare(operator, x, y))
    if (operator === 'shift-left') return computed(shift('left', x, y))
    if (operator === 'shift-right') return computed(shift('right', x, y))
    if (x.kind === 'pointer' || y.kind === 'pointer') {
      const result = pointerArithmetic(operator, x, y)
      if (result !== undefined) return result
    }
    return computed(arithmetic(operator, x, y))
  }

  #stringComparison(operator: string, a: Bound, b: Bound): Bound {
    if (operator !== '==' && operator !== '!=') throw new ExpressionError(`a string can't be used with ${operator}`)
    const equal = compareString(a, b, this.#scope.pointerSize)
    return truth(operator === '==' ? equal : subject => !equal(subject))
  }

  #conditional({ test, yes, no }: Extract<Syntax, { kind: 'conditional' }>): Bound {
    const holds = truthOf(this.scalar(test))
    const a = this.scalar(yes)
    const b = this.scalar(no)
    if (a.kind === 'pointer' && b.kind !== 'float') {
      const other = b.kind === 'pointer' ? b.value : converted(b, 8, false).value
      const { value } = a
      return computed({ ...a, value: subject => (holds(subject) ? value(subject) : other(subject)) })
    }
    // The common type of both is that of their sum, whichever is chosen.
    const sum = asNumber(arithmetic('+', a, b))
    if (sum.kind === 'float') {
      const x = convertedToFloat(a, sum.size).value
      const y = convertedToFloat(b, sum.size).value
      return computed({ ...sum, value: subject => (holds(subject) ? x(subject) : y(subject)) })
    }
    const x = converted(a, sum.size, sum.signed).value
    const y = converted(b, sum.size, sum.signed).value
    return computed({ ...sum, value: subject => (holds(subject) ? x(subject) : y(subject)) })
  }

  /** As a cast does; also what an assignment does to its right side. */
  cast(type: Type | undefined, bound: Bound): Bound {
    const plain = stripped(type)
    if (plain === undefined) throw new ExpressionError('nothing can be made of void')
    if (plain.kind === 'struct' || plain.kind === 'array' || plain.kind === 'function')
      throw new ExpressionError(`a cast to ${plain.name} is not possible; cast the address: *(${plain.name} *)&x`)
    const scalar = scalarOf(bound, this.#scope.pointerSize)
    if (plain.kind === 'pointer') {
      const space = scalar.kind === 'pointer' ? scalar.space : 'linear'
      const { value } = converted(scalar, plain.size ?? this.#scope.pointerSize, false)
      return computed({ kind: 'pointer', type: plain, target: plain.target, space, value }, type)
    }
    const float = floatSize(plain)
    if (float !== undefined) return computed(convertedToFloat(scalar, float), type)
    if (plain.kind === 'base' && plain.encoding === 'boolean') {
      const holds = truthOf(scalar)
      const value: Compute<bigint> = subject => (holds(subject) ? 1n : 0n)
      return computed({ kind: 'integer', size: plain.size ?? 1, signed: false, value }, type ?? BOOL)
    }
    const format = integerFormat(plain)
    if (format === undefined) throw new ExpressionError(`a cast to ${plain.name} is not possible`)
    return computed(converted(scalar, format.size, format.signed), type)
  }

  #sizeOf(type: Type | undefined): Bound {
    const size = type?.size
    if (size === undefined) throw new ExpressionError(`the size of ${type?.name ?? 'void'} is not known`)
    const value = BigInt(size)
    return computed({ kind: 'integer', size: 8, signed: false, value: () => value }, UNSIGNED_LONG)
  }

  /** `.` and `->` mean the same: whether a pointer has to be followed is known from its type. */
  #member({ operand, name }: Extract<Syntax, { kind: 'member' }>): Bound {
    if (operand.kind === 'register') {
      const register = findRegisterField(operand.name, name)
      if (register !== undefined)
        return { type: register.type, space: 'linear', place: { kind: 'register', register, offset: 0 } }
    }
    let bound = this.bind(operand)
    if (stripped(bound.type)?.kind === 'pointer') bound = dereferenced(scalarOf(bound, this.#scope.pointerSize))
    const struct = stripped(bound.type)
    if (struct?.kind !== 'struct')
      throw new ExpressionError(`${bound.type?.name ?? 'void'} is no structure, so it has no member "${name}"`)
    const member = findMember(struct, name)
    if (member === undefined) throw noMember(struct, name)
    return { type: member.type, space: 'linear', place: movedPlace(bound.place, member.offset, member.bits) }
  }

  #index({ operand, index }: Extract<Syntax, { kind: 'index' }>): Bound {
    const bound = this.bind(operand)
    const number = asNumber(this.scalar(index))
    if (number.kind === 'float') throw new ExpressionError('an index is an integer')
    const array = stripped(bound.type)
    const constant = this.#constantOrNothing(number.value)
    if (array?.kind === 'array' && bound.place.kind !== 'memory' && constant !== undefined) {
      const element = elementType(array)
      const at = Number(constant)
      const count = array.counts[0]
      if (count !== undefined && (at < 0 || at >= count))
        throw new ExpressionError(`index ${at} is outside the ${count} elements of ${array.name}`)
      return { type: element, space: 'linear', place: movedPlace(bound.place, at * (element.size ?? 0)) }
    }
    const moved = pointerArithmetic('+', scalarOf(bound, this.#scope.pointerSize), number)
    if (moved === undefined) throw new ExpressionError(`${bound.type?.name ?? 'void'} can't be indexed`)
    return dereferenced(scalarOf(moved, this.#scope.pointerSize))
  }

  /** An index that is not known beforehand is added to an address at each evaluation. */
  #constantOrNothing(compute: Compute<bigint>): bigint | undefined {
    try {
      return this.#constant(compute)
    } catch (error) {
      if (error instanceof ExpressionError) return undefined
      throw error
    }
  }

  #slice({ operand, count }: Extract<Syntax, { kind: 'slice' }>): Bound {
    const length = this.#constant(converted(this.scalar(count), 8, true).value)
    if (length < 1n || length > BigInt(LONGEST_SLICE))
      throw new ExpressionError(`the count after @ is ${length}; 1 to ${LONGEST_SLICE} are possible`)
    const bound = this.bind(operand)
    const followed =
      stripped(bound.type)?.kind === 'pointer' ? dereferenced(scalarOf(bound, this.#scope.pointerSize)) : bound
    if (followed.type === undefined || followed.type.size === undefined)
      throw new ExpressionError('the size of what @ repeats is not known')
    const place = {
      kind: 'memory',
      space: spaceOf(followed),
      address: addressOf(followed),
    } as const
    return { type: arrayOf(followed.type, Number(length)), space: 'linear', place }
  }
}

function registerHint(name: string): string {
  try {
    findRegister(name.toLowerCase())
    return `; registers are written with $, as $${name.toLowerCase()}`
  } catch {
    return ''
  }
}

function integerLiteral({ value, suffix, decimal }: Extract<Syntax, { kind: 'integer' }>): Bound {
  if (value >> 64n !== 0n) throw new ExpressionError(`${value} has more than 64 bits`)
  const unsigned = suffix.includes('u')
  const long = suffix.includes('l')
  // C17, 6.4.4.1: the first of the possible types that can hold it; decimal ones stay signed while they can.
  const fits = (bits: bigint): boolean => value >> bits === 0n
  const format =
    !long && !unsigned && fits(31n)
      ? { size: 4, signed: true }
      : !long && (unsigned || !decimal) && fits(32n)
        ? { size: 4, signed: false }
        : { size: 8, signed: !unsigned && fits(63n) }
  return computed({ kind: 'integer', ...format, value: () => value })
}

/** A bare number is followed as to 8 bytes: `*$rsp`. */
function dereferenced(scalar: Scalar): Bound {
  if (scalar.kind === 'float') throw new ExpressionError('a floating-point number is no address')
  if (scalar.kind === 'integer') {
    const { value } = converted(scalar, 8, false)
    return { type: U64, space: 'linear', place: { kind: 'memory', space: 'linear', address: value } }
  }
  const { target, space, value } = scalar
  if (stripped(target) === undefined)
    throw new ExpressionError("a void * can't be followed; cast it first, as in *(u64 *)p")
  return { type: target, space: 'linear', place: { kind: 'memory', space, address: value } }
}

/** Pointer plus or minus integer, or difference of pointers; undefined for what treats pointers as numbers. */
function pointerArithmetic(operator: string, left: Scalar, right: Scalar): Bound | undefined {
  if (operator !== '+' && operator !== '-') return undefined
  if (left.kind === 'pointer' && right.kind === 'pointer') {
    if (operator === '+') throw new ExpressionError('two pointers have no sum')
    const size = BigInt(elementSize(left.target))
    const [a, b] = [left.value, right.value]
    const value: Compute<bigint> = subject => BigInt.asIntN(64, a(subject) - b(subject)) / size
    return computed({ kind: 'integer', size: 8, signed: true, value })
  }
  const pointer = left.kind === 'pointer' ? left : right
  const number = left.kind === 'pointer' ? right : left
  if (pointer.kind !== 'pointer' || number.kind !== 'integer') return undefined
  if (operator === '-' && pointer === right) throw new ExpressionError("a pointer can't be subtracted from a number")
  const size = BigInt(elementSize(pointer.target)) * (operator === '-' ? -1n : 1n)
  const bits = (pointer.type.size ?? 8) * 8
  const [base, count] = [pointer.value, number.value]
  return computed({ ...pointer, value: subject => BigInt.asUintN(bits, base(subject) + count(subject) * size) })
}

/** As GNU C has it: void and functions count bytes. */
function elementSize(target: Type | undefined): number {
  const plain = stripped(target)
  if (plain === undefined || plain.kind === 'function' || plain.kind === 'unspecified') return 1
  if (plain.size === undefined || plain.size === 0)
    throw new ExpressionError(`the size of ${plain.name} is not known, so a pointer to it can't be moved`)
  return plain.size
}
