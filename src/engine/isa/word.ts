/**
 * Words: integer values of any operand size. Up to 32 bits they are i32, zero-extended; 64 bits i64. These functions
 * choose the WebAssembly type by the operands.
 */

import { i32, i64, select, type Value } from '../wasm/value.ts'

/** Sizes of operands; 128 and 256 are vectors. */
export type Bits = 8 | 16 | 32 | 64 | 128 | 256
export type Word = Value<'i32'> | Value<'i64'>

export function signExtend(value: Word, bits: Bits): Value<'i64'> {
  if (value.type === 'i64') return value
  return (bits === 32 ? value : value.signExtend(bits as 8 | 16)).extendS()
}

/** Keeps the low bits of an i32 that holds fewer than 32. */
export function truncate(value: Word, bits: Bits): Word {
  if (value.type === 'i64' || bits >= 32) return value
  return value.and(bits === 8 ? 0xff : 0xffff)
}

/** A constant of the type that holds `bits`. */
export function word(bits: Bits, value: number): Word {
  return bits === 64 ? i64(value) : i32(value)
}

type Operation = 'add' | 'sub' | 'and' | 'or' | 'xor' | 'mul' | 'shl' | 'shrU' | 'shrS' | 'rotr'

/** Applies an operation to two words of the same type. */
export function apply(operation: Operation, a: Word, b: Word): Word {
  if (a.type === 'i64' && b.type === 'i64') return a[operation](b)
  if (a.type === 'i32' && b.type === 'i32') return a[operation](b)
  throw new TypeError(`${operation} of ${a.type} and ${b.type}`)
}

export function xorOf(a: Word, b: Word): Word {
  return apply('xor', a, b)
}

export function isZero(a: Word): Value<'i32'> {
  return a.eqz()
}

export function ltU(a: Word, b: Word): Value<'i32'> {
  if (a.type === 'i64' && b.type === 'i64') return a.ltU(b)
  return a.wrap().ltU(b.wrap())
}

export function equal(a: Word, b: Word): Value<'i32'> {
  if (a.type === 'i64' && b.type === 'i64') return a.eq(b)
  return a.wrap().eq(b.wrap())
}

export function ltS(a: Word, b: Word, bits: Bits): Value<'i32'> {
  if (a.type === 'i64' && b.type === 'i64') return a.ltS(b)
  if (bits === 32) return a.wrap().ltS(b.wrap())
  return a
    .wrap()
    .signExtend(bits as 8 | 16)
    .ltS(b.wrap().signExtend(bits as 8 | 16))
}

/** The top bit, 0 or 1. */
export function signOf(value: Word, bits: Bits): Value<'i32'> {
  return value.type === 'i64' ? value.shrU(63).wrap() : value.shrU(bits - 1).and(1)
}

export function selectWord(condition: Value<'i32'>, yes: Word, no: Word): Word {
  if (yes.type === 'i64' && no.type === 'i64') return select(condition, yes, no)
  return select(condition, yes.wrap(), no.wrap())
}
