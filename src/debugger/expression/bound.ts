/** An expression whose names and types are resolved: functions that compute it, ready for any number of evaluations. */

import { stripped, type Type } from '../../symbols/dwarf/type-model.ts'
import { elementType, floatSize, integerFormat, pointerTo } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import { decodeFloat } from './float.ts'
import type { RegisterOperand } from './registers.ts'
import type { ScopeVariable } from './scope.ts'
import { littleEndian, type Space, type Subject } from './subject.ts'
import type { BitRange } from './value.ts'

export type Compute<T> = (subject: Subject) => T

export interface Bound {
  /** undefined for void. */
  readonly type: Type | undefined
  /** The address space that it points into, when it is a pointer. */
  readonly space: Space
  readonly place: BoundPlace
}

export type BoundPlace =
  | {
      readonly kind: 'memory'
      readonly space: Space
      readonly address: Compute<bigint>
      readonly bits?: BitRange | undefined
    }
  | {
      readonly kind: 'register'
      readonly register: RegisterOperand
      /** Bytes. */
      readonly offset: number
      readonly bits?: BitRange | undefined
    }
  | {
      readonly kind: 'variable'
      readonly name: string
      readonly variable: ScopeVariable
      /** Bytes of the whole variable, and where the part begins in it. */
      readonly size: number
      readonly offset: number
      readonly bits?: BitRange | undefined
    }
  | { readonly kind: 'computed'; readonly scalar: Scalar }
  | { readonly kind: 'string'; readonly text: string }

export type Scalar =
  /** `value` is in the range of the integer's format. */
  | { readonly kind: 'integer'; readonly size: number; readonly signed: boolean; readonly value: Compute<bigint> }
  | { readonly kind: 'float'; readonly size: number; readonly value: Compute<number> }
  | {
      readonly kind: 'pointer'
      readonly type: Type
      readonly target: Type | undefined
      readonly space: Space
      readonly value: Compute<bigint>
    }

/** The value for arithmetic: arrays and functions become pointers. Throws {@link ExpressionError} for structures. */
export function scalarOf(bound: Bound, pointerSize: 4 | 8): Scalar {
  const { place, space } = bound
  if (place.kind === 'computed') return place.scalar
  const type = stripped(bound.type)
  if (place.kind === 'string') throw new ExpressionError(`"${place.text}" can only be compared by == and !=`)
  if (type?.kind === 'array') {
    const target = elementType(type)
    return {
      kind: 'pointer',
      type: pointerTo(target, pointerSize),
      target,
      space: spaceOf(bound),
      value: addressOf(bound),
    }
  }
  if (type?.kind === 'function')
    return {
      kind: 'pointer',
      type: pointerTo(type, pointerSize),
      target: type,
      space: 'linear',
      value: addressOf(bound),
    }
  if (type?.kind === 'pointer')
    return { kind: 'pointer', type, target: type.target, space, value: rawInteger(place, type.size ?? pointerSize) }
  const float = floatSize(type)
  if (float !== undefined) {
    const raw = rawInteger(place, Math.min(float, 16))
    return { kind: 'float', size: float, value: subject => decodeFloat(raw(subject), float) }
  }
  const format = integerFormat(type)
  if (format === undefined) throw noNumber(bound)
  return { kind: 'integer', ...format, value: integerAt(place, format.size, format.signed) }
}

function noNumber({ type }: Bound): ExpressionError {
  if (type === undefined) return new ExpressionError('void has no value')
  if (type === UNTYPED_DATA)
    return new ExpressionError('the type of this symbol is not known; cast its address, as in *(u64 *)&name')
  return new ExpressionError(`a value of type ${type.name} is no number; name one of its members`)
}

/** The type of a symbol that no debugging information tells more of. */
export const UNTYPED_DATA: Type = { kind: 'unspecified', name: '<data of unknown type>', size: undefined }
export const UNTYPED_CODE: Type = {
  kind: 'function',
  name: '<code>',
  size: undefined,
  returns: undefined,
  parameters: [],
  variadic: false,
}

export function spaceOf({ place }: Bound): Space {
  return place.kind === 'memory' ? place.space : 'linear'
}

export function addressOf({ place }: Bound): Compute<bigint> {
  if (place.kind === 'memory') {
    if (place.bits !== undefined) throw new ExpressionError('a bit field has no address')
    return place.address
  }
  if (place.kind === 'variable') {
    if (place.bits !== undefined) throw new ExpressionError('a bit field has no address')
    return subject => {
      const location = place.variable.locate(subject)
      if (location.kind === 'memory') return BigInt.asUintN(64, location.address + BigInt(place.offset))
      if (location.kind === 'optimized-out') throw optimizedOut(place.name, location.reason)
      throw new ExpressionError(`"${place.name}" is not in memory here, so it has no address`)
    }
  }
  throw new ExpressionError(
    place.kind === 'register' ? 'a register has no address' : 'only what lies in memory has an address',
  )
}

function integerAt(place: BoundPlace, size: number, signed: boolean): Compute<bigint> {
  const bits = 'bits' in place ? place.bits : undefined
  if (bits === undefined) {
    const raw = rawInteger(place, size)
    const width = size * 8
    return signed ? subject => BigInt.asIntN(width, raw(subject)) : raw
  }
  const raw = rawInteger(place, Math.ceil((bits.offset + bits.size) / 8))
  const shift = BigInt(bits.offset)
  return signed
    ? subject => BigInt.asIntN(bits.size, raw(subject) >> shift)
    : subject => BigInt.asUintN(bits.size, raw(subject) >> shift)
}

/** `size` bytes from the beginning of a place as an unsigned number. */
function rawInteger(place: BoundPlace, size: number): Compute<bigint> {
  switch (place.kind) {
    case 'memory': {
      const { space, address } = place
      return subject => subject.integer(space, address(subject), size)
    }
    case 'register': {
      const { register, offset } = place
      const shift = BigInt(offset * 8)
      if (offset === 0 && register.type.size === size) return subject => register.read(subject)
      return subject => BigInt.asUintN(size * 8, register.read(subject) >> shift)
    }
    case 'variable':
      return subject => variableInteger(place, size, subject)
    case 'computed':
    case 'string':
      throw new ExpressionError('this has no bytes')
  }
}

function variableInteger(place: Extract<BoundPlace, { kind: 'variable' }>, size: number, subject: Subject): bigint {
  const { variable, offset, name } = place
  const location = variable.locate(subject)
  switch (location.kind) {
    case 'memory':
      return subject.integer('linear', BigInt.asUintN(64, location.address + BigInt(offset)), size)
    case 'register': {
      const register = variable.registerName(location.register)
      const value = register === undefined ? undefined : subject.register(register)
      if (value === undefined) throw new ExpressionError(`"${name}" is in a register that is not known in this frame`)
      return BigInt.asUintN(size * 8, value >> BigInt(offset * 8))
    }
    case 'value':
      return littleEndian(location.bytes.subarray(offset, offset + size))
    case 'optimized-out':
      throw optimizedOut(name, location.reason)
    case 'pieces': {
      const bytes = variable.bytes(location, place.size, subject)
      if (bytes === undefined) throw new ExpressionError(`"${name}" is partly optimized out or can't be read`)
      return littleEndian(bytes.subarray(offset, offset + size))
    }
  }
}

const optimizedOut = (name: string, reason: string): ExpressionError =>
  new ExpressionError(`"${name}" is optimized out: ${reason}`)

/** A place `offset` bytes further. */
export function movedPlace(place: BoundPlace, offset: number, bits?: BitRange): BoundPlace {
  switch (place.kind) {
    case 'memory': {
      const { address } = place
      const distance = BigInt(offset)
      const moved: Compute<bigint> = offset === 0 ? address : subject => BigInt.asUintN(64, address(subject) + distance)
      return { ...place, address: moved, bits }
    }
    case 'register':
    case 'variable':
      return { ...place, offset: place.offset + offset, bits }
    case 'computed':
    case 'string':
      throw new ExpressionError('a computed value has no members')
  }
}
