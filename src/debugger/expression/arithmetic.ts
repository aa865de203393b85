/** C's operators on numbers, with its usual conversions (C17, 6.3.1 and 6.5). */

import type { Type } from '../../symbols/dwarf/type-model.ts'
import type { Bound, Compute, Scalar } from './bound.ts'
import { DOUBLE, FLOAT, INT, INT_128, LONG, UNSIGNED_INT, UNSIGNED_INT_128, UNSIGNED_LONG } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import type { ArithmeticOperator, BinaryOperator } from './syntax.ts'

type Integer = Extract<Scalar, { kind: 'integer' }>
export type Comparison = '<' | '>' | '<=' | '>=' | '==' | '!='

export const isComparison = (operator: BinaryOperator): operator is Comparison =>
  operator === '==' ||
  operator === '!=' ||
  operator === '<' ||
  operator === '>' ||
  operator === '<=' ||
  operator === '>='

/** The type that a computed integer or float is shown with. */
export function computedType(scalar: Scalar): Type {
  if (scalar.kind === 'pointer') return scalar.type
  if (scalar.kind === 'float') return scalar.size === 4 ? FLOAT : DOUBLE
  if (scalar.size > 8) return scalar.signed ? INT_128 : UNSIGNED_INT_128
  if (scalar.size > 4) return scalar.signed ? LONG : UNSIGNED_LONG
  return scalar.signed ? INT : UNSIGNED_INT
}

export function computed(scalar: Scalar, type: Type = computedType(scalar)): Bound {
  return { type, space: scalar.kind === 'pointer' ? scalar.space : 'linear', place: { kind: 'computed', scalar } }
}

export const truth = (value: Compute<boolean>): Bound =>
  computed({ kind: 'integer', size: 4, signed: true, value: subject => (value(subject) ? 1n : 0n) })

/** Whether it is not zero. */
export function truthOf(scalar: Scalar): Compute<boolean> {
  if (scalar.kind === 'float') {
    const { value } = scalar
    return subject => value(subject) !== 0
  }
  const { value } = scalar
  return subject => value(subject) !== 0n
}

/** Integer promotions (6.3.1.1): what is narrower than int becomes int. */
export function promoted(scalar: Integer): Integer {
  return scalar.size < 4 ? { ...scalar, size: 4, signed: true } : scalar
}

/** Pointers as the integers that they are. */
export function asNumber(scalar: Scalar): Extract<Scalar, { kind: 'integer' | 'float' }> {
  if (scalar.kind !== 'pointer') return scalar
  return { kind: 'integer', size: scalar.type.size ?? 8, signed: false, value: scalar.value }
}

export function converted(scalar: Scalar, size: number, signed: boolean): Integer {
  const number = asNumber(scalar)
  const bits = size * 8
  if (number.kind === 'float') {
    const { value } = number
    return {
      kind: 'integer',
      size,
      signed,
      value: subject => {
        const truncated = Math.trunc(value(subject))
        if (!Number.isFinite(truncated)) throw new ExpressionError(`${truncated} is no integer`)
        return signed ? BigInt.asIntN(bits, BigInt(truncated)) : BigInt.asUintN(bits, BigInt(truncated))
      },
    }
  }
  const fits = number.signed === signed ? number.size <= size : !number.signed && number.size < size
  if (fits) return { ...number, size, signed }
  const { value } = number
  return {
    kind: 'integer',
    size,
    signed,
    value: signed ? subject => BigInt.asIntN(bits, value(subject)) : subject => BigInt.asUintN(bits, value(subject)),
  }
}

export function convertedToFloat(scalar: Scalar, size: number): Extract<Scalar, { kind: 'float' }> {
  const number = asNumber(scalar)
  const round: (value: number) => number = size === 4 ? Math.fround : value => value
  if (number.kind === 'float') {
    const { value } = number
    return { kind: 'float', size, value: subject => round(value(subject)) }
  }
  const { value } = number
  return { kind: 'float', size, value: subject => round(Number(value(subject))) }
}

/** Both operands in their common type (6.3.1.8). */
type Pair =
  | { readonly kind: 'integer'; readonly left: Integer; readonly right: Integer }
  | { readonly kind: 'float'; readonly size: number; readonly left: Compute<number>; readonly right: Compute<number> }

function balanced(left: Scalar, right: Scalar): Pair {
  const a = asNumber(left)
  const b = asNumber(right)
  if (a.kind === 'float' || b.kind === 'float') {
    const size = Math.max(a.kind === 'float' ? a.size : 0, b.kind === 'float' ? b.size : 0)
    return { kind: 'float', size, left: convertedToFloat(a, size).value, right: convertedToFloat(b, size).value }
  }
  const x = promoted(a)
  const y = promoted(b)
  const size = Math.max(x.size, y.size)
  const signed = x.size === y.size ? x.signed && y.signed : x.size > y.size ? x.signed : y.signed
  return { kind: 'integer', left: converted(x, size, signed), right: converted(y, size, signed) }
}

export function compare(operator: Comparison, left: Scalar, right: Scalar): Compute<boolean> {
  const pair = balanced(left, right)
  return pair.kind === 'float'
    ? comparison(operator, pair.left, pair.right)
    : comparison(operator, pair.left.value, pair.right.value)
}

function comparison<T extends bigint | number>(
  operator: Comparison,
  left: Compute<T>,
  right: Compute<T>,
): Compute<boolean> {
  switch (operator) {
    case '==':
      return subject => left(subject) === right(subject)
    case '!=':
      return subject => left(subject) !== right(subject)
    case '<':
      return subject => left(subject) < right(subject)
    case '>':
      return subject => left(subject) > right(subject)
    case '<=':
      return subject => left(subject) <= right(subject)
    case '>=':
      return subject => left(subject) >= right(subject)
  }
}

export function arithmetic(operator: ArithmeticOperator, left: Scalar, right: Scalar): Scalar {
  const pair = balanced(left, right)
  if (pair.kind === 'float')
    return { kind: 'float', size: pair.size, value: floatOperation(operator, pair.left, pair.right) }
  const { size, signed } = pair.left
  const exact = integerOperation(operator, pair.left.value, pair.right.value)
  // Bit operations and remainders stay in range by themselves.
  if (operator === '&' || operator === '|' || operator === '^' || operator === '%')
    return { kind: 'integer', size, signed, value: exact }
  const bits = size * 8
  const value: Compute<bigint> = signed
    ? subject => BigInt.asIntN(bits, exact(subject))
    : subject => BigInt.asUintN(bits, exact(subject))
  return { kind: 'integer', size, signed, value }
}

function integerOperation(
  operator: ArithmeticOperator,
  left: Compute<bigint>,
  right: Compute<bigint>,
): Compute<bigint> {
  const divisor: Compute<bigint> = subject => {
    const value = right(subject)
    if (value === 0n) throw new ExpressionError('division by zero')
    return value
  }
  switch (operator) {
    case '+':
      return subject => left(subject) + right(subject)
    case '-':
      return subject => left(subject) - right(subject)
    case '*':
      return subject => left(subject) * right(subject)
    case '/':
      return subject => left(subject) / divisor(subject)
    case '%':
      return subject => left(subject) % divisor(subject)
    case '&':
      return subject => left(subject) & right(subject)
    case '|':
      return subject => left(subject) | right(subject)
    case '^':
      return subject => left(subject) ^ right(subject)
  }
}

function floatOperation(operator: ArithmeticOperator, left: Compute<number>, right: Compute<number>): Compute<number> {
  switch (operator) {
    case '+':
      return subject => left(subject) + right(subject)
    case '-':
      return subject => left(subject) - right(subject)
    case '*':
      return subject => left(subject) * right(subject)
    case '/':
      return subject => left(subject) / right(subject)
    default:
      throw new ExpressionError(`${operator} needs integers`)
  }
}

/** The result has the promoted type of the left operand (6.5.7). */
export function shift(direction: 'left' | 'right', left: Scalar, right: Scalar): Scalar {
  const number = asNumber(left)
  const count = asNumber(right)
  if (number.kind === 'float' || count.kind === 'float') throw new ExpressionError('a shift needs integers')
  const { size, signed, value } = promoted(number)
  const bits = BigInt(size * 8)
  const distance: Compute<bigint> = subject => {
    const by = count.value(subject)
    if (by < 0n || by >= bits)
      throw new ExpressionError(
        `a shift by ${by} does not fit ${bits} bits${bits < 64n ? '; widen the left side by (u64)' : ''}`,
      )
    return by
  }
  if (direction === 'right')
    return { kind: 'integer', size, signed, value: subject => value(subject) >> distance(subject) }
  const width = size * 8
  return {
    kind: 'integer',
    size,
    signed,
    value: signed
      ? subject => BigInt.asIntN(width, value(subject) << distance(subject))
      : subject => BigInt.asUintN(width, value(subject) << distance(subject)),
  }
}

export function negate(operator: '-' | '+' | '~', scalar: Scalar): Scalar {
  const number = asNumber(scalar)
  if (number.kind === 'float') {
    const { value } = number
    if (operator === '~') throw new ExpressionError('~ needs an integer')
    return operator === '+' ? number : { ...number, value: subject => -value(subject) }
  }
  const { size, signed, value } = promoted(number)
  const bits = size * 8
  if (operator === '+') return { kind: 'integer', size, signed, value }
  const exact: Compute<bigint> = operator === '-' ? subject => -value(subject) : subject => ~value(subject)
  return {
    kind: 'integer',
    size,
    signed,
    value: signed ? subject => BigInt.asIntN(bits, exact(subject)) : subject => BigInt.asUintN(bits, exact(subject)),
  }
}
