/**
 * Expressions of the guest's language, evaluated in a frame:
 *
 *     evaluate('file->f_path.dentry->d_name.name', scope, subject)   // a Value: type and place
 *     assign('count = 3', scope, subject, writer)                    // writes, and gives the new value
 *     numberOf(value, subject)                                       // as a 64-bit number, for addresses
 *
 * All throw {@link ExpressionError}.
 */

import { stripped } from '../../symbols/dwarf/type-model.ts'
import { Binder } from './binder.ts'
import { addressOf, type Bound, type BoundPlace, type Scalar, scalarOf } from './bound.ts'
import { builtInType, floatSize, integerFormat, wrap } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import { decodeFloat, encodeFloat } from './float.ts'
import { parseExpression } from './parser.ts'
import type { Scope } from './scope.ts'
import { littleEndian, type Subject } from './subject.ts'
import { type BitRange, bytesOf, type Place, type Value } from './value.ts'

/** Changes the guest. Both throw when they can't, and then nothing is changed. */
export interface Writer {
  /** By the machine's name; a register that this frame doesn't hold itself is refused. */
  writeRegister(name: string, value: bigint): void
  writeMemory(place: Extract<Place, { kind: 'memory' }>['address'], bytes: Uint8Array): void
}

export function evaluate(text: string, scope: Scope, subject: Subject): Value {
  const syntax = parseExpression(text, { isType: name => isTypeName(name, scope), assignments: false })
  return concreteValue(binderFor(scope, subject).bind(syntax), subject, scope.pointerSize)
}

/** Evaluates too where nothing is assigned, as what a user types in a console may do either. */
export function assign(text: string, scope: Scope, subject: Subject, writer: Writer): Value {
  const syntax = parseExpression(text, { isType: name => isTypeName(name, scope), assignments: true })
  const binder = binderFor(scope, subject)
  if (syntax.kind !== 'assignment') return concreteValue(binder.bind(syntax), subject, scope.pointerSize)
  const target = binder.bind(syntax.target)
  store(binder, target, binder.bind(syntax.value), subject, writer, scope.pointerSize)
  return concreteValue(target, subject, scope.pointerSize)
}

/** Sets a value that was shown before to what an expression gives. */
export function setValue(target: Value, text: string, scope: Scope, subject: Subject, writer: Writer): void {
  const syntax = parseExpression(text, { isType: name => isTypeName(name, scope), assignments: false })
  const binder = binderFor(scope, subject)
  const cast = binder.cast(target.type, binder.bind(syntax))
  write(target, scalarBytes(scalarOf(cast, scope.pointerSize), target, subject), subject, writer)
}

export function isTypeName(name: string, scope: Scope): boolean {
  if (scope.variable(name) !== undefined) return false
  return builtInType(name, scope.pointerSize) !== undefined || scope.type(name) !== undefined
}

/** As an address or a count: pointers, integers, and the address of arrays and functions. */
export function numberOf(value: Value, subject: Subject): bigint {
  const type = stripped(value.type)
  if ((type?.kind === 'array' || type?.kind === 'function') && value.place.kind === 'memory')
    return value.place.address.address
  const number = integerIn(value, subject)
  if (number === undefined) throw new ExpressionError(`a value of type ${value.type?.name ?? 'void'} is no number`)
  return BigInt.asUintN(64, number)
}

/** Of an integer, enumeration, boolean or pointer; undefined for other types. */
export function integerIn(value: Value, subject: Subject): bigint | undefined {
  const format = integerFormat(value.type)
  if (format === undefined) return undefined
  const bits = value.place.kind === 'unavailable' ? undefined : value.place.bits
  const raw = littleEndian(bytesOf(value, subject))
  if (bits === undefined) return wrap(raw, format)
  const field = raw >> BigInt(bits.offset)
  return format.signed ? BigInt.asIntN(bits.size, field) : BigInt.asUintN(bits.size, field)
}

/** Of a floating-point value; undefined for other types. */
export function floatIn(value: Value, subject: Subject): number | undefined {
  const size = floatSize(value.type)
  return size === undefined ? undefined : decodeFloat(littleEndian(bytesOf(value, subject)), size)
}

function binderFor(scope: Scope, subject: Subject): Binder {
  return new Binder(scope, compute => compute(subject))
}

function concreteValue({ type, place, space }: Bound, subject: Subject, pointerSize: 4 | 8): Value {
  switch (place.kind) {
    case 'memory':
      return {
        type,
        place: { kind: 'memory', address: { space: place.space, address: place.address(subject) }, bits: place.bits },
      }
    case 'register': {
      const { register, offset, bits } = place
      const size = register.type.size ?? 8
      const bytes = toBytes(register.read(subject), size).subarray(offset)
      if (register.whole === undefined) return { type, place: { kind: 'constant', bytes, bits } }
      const { name, shift, bits: width } = register.whole
      const part = { shift: shift + offset * 8, width: Math.min(width - offset * 8, (type?.size ?? size) * 8) }
      return { type, place: { kind: 'register', name, ...part, bytes, bits } }
    }
    case 'variable':
      return { type, place: variablePlace(place, type?.size ?? 0, subject) }
    case 'computed': {
      const scalar = scalarOf({ type, place, space }, pointerSize)
      if (scalar.kind === 'pointer') {
        const bytes = toBytes(scalar.value(subject), type?.size ?? 8)
        return { type, place: { kind: 'constant', bytes }, ...(space === 'linear' ? {} : { pointsInto: space }) }
      }
      const size = type?.size ?? scalar.size
      const bytes =
        scalar.kind === 'float' ? encodeFloat(scalar.value(subject), size) : toBytes(scalar.value(subject), size)
      return { type, place: { kind: 'constant', bytes } }
    }
    case 'string':
      return { type, place: { kind: 'constant', bytes: Buffer.from(`${place.text}\0`, 'latin1') } }
  }
}

function variablePlace(place: Extract<BoundPlace, { kind: 'variable' }>, size: number, subject: Subject): Place {
  const { variable, offset, bits } = place
  const location = variable.locate(subject)
  switch (location.kind) {
    case 'memory':
      return {
        kind: 'memory',
        address: { space: 'linear', address: BigInt.asUintN(64, location.address + BigInt(offset)) },
        bits,
      }
    case 'register': {
      const name = variable.registerName(location.register)
      const value = name === undefined ? undefined : subject.register(name)
      if (name === undefined || value === undefined)
        return { kind: 'unavailable', reason: 'its register was changed by a called function' }
      const width = Math.min(name.startsWith('xmm') ? 128 : 64, size * 8)
      const bytes = toBytes(value, Math.max(8, offset + size)).subarray(offset)
      return { kind: 'register', name, shift: offset * 8, width, bytes, bits }
    }
    case 'value':
      return { kind: 'constant', bytes: padded(location.bytes, offset + size).subarray(offset), bits }
    case 'optimized-out':
      return { kind: 'unavailable', reason: location.reason }
    case 'pieces': {
      const bytes = variable.bytes(location, place.size, subject)
      if (bytes === undefined) return { kind: 'unavailable', reason: 'a part of it is not kept here' }
      return { kind: 'constant', bytes: bytes.subarray(offset), bits }
    }
  }
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length >= size) return bytes
  const whole = new Uint8Array(size)
  whole.set(bytes)
  return whole
}

export function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let rest = BigInt.asUintN(size * 8, value)
  for (let at = 0; at < size; at++) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

// Assignment

function store(
  binder: Binder,
  target: Bound,
  value: Bound,
  subject: Subject,
  writer: Writer,
  pointerSize: 4 | 8,
): void {
  if (target.place.kind === 'computed' || target.place.kind === 'string')
    throw new ExpressionError('the left side of = is no place that can be assigned')
  const place = concreteValue(target, subject, pointerSize)
  const struct = stripped(target.type)
  if (struct?.kind === 'struct' && stripped(value.type) === struct) {
    addressOf(target)
    write(place, bytesOf(concreteValue(value, subject, pointerSize), subject), subject, writer)
    return
  }
  const scalar = scalarOf(binder.cast(target.type, value), pointerSize)
  write(place, scalarBytes(scalar, place, subject), subject, writer)
}

function scalarBytes(scalar: Scalar, { type, place }: Value, subject: Subject): Uint8Array {
  const bits = place.kind === 'unavailable' ? undefined : place.bits
  const size = bits === undefined ? (type?.size ?? 8) : Math.ceil((bits.offset + bits.size) / 8)
  if (scalar.kind === 'float') return encodeFloat(scalar.value(subject), size)
  return toBytes(scalar.value(subject), bits === undefined ? size : Math.max(size, 8))
}

function write(target: Value, bytes: Uint8Array, subject: Subject, writer: Writer): void {
  const { place } = target
  switch (place.kind) {
    case 'constant':
      throw new ExpressionError('this value is computed: it has no place to be assigned to')
    case 'unavailable':
      throw new ExpressionError(`the value is optimized out: ${place.reason}`)
    case 'memory':
      writer.writeMemory(
        place.address,
        place.bits === undefined ? bytes : mergeBits(bytesOf(target, subject), bytes, place.bits),
      )
      return
    case 'register': {
      const before = subject.register(place.name)
      if (before === undefined) throw new ExpressionError(`$${place.name} is not known in this frame`)
      const width = place.bits?.size ?? place.width
      const shift = BigInt(place.shift + (place.bits?.offset ?? 0))
      const mask = ((1n << BigInt(width)) - 1n) << shift
      writer.writeRegister(place.name, (before & ~mask) | ((littleEndian(bytes) << shift) & mask))
    }
  }
}

function mergeBits(before: Uint8Array, bytes: Uint8Array, { offset, size }: BitRange): Uint8Array {
  const mask = ((1n << BigInt(size)) - 1n) << BigInt(offset)
  const merged = (littleEndian(before) & ~mask) | ((littleEndian(bytes) << BigInt(offset)) & mask)
  return toBytes(merged, before.length)
}
