/**
 * Expressions of the builder: immutable trees, typed, folded where all operands are constant. They cost nothing until
 * a {@link FunctionBuilder} emits them; an expression used twice is emitted twice, so name it with `let` first.
 */

import {
  ARITHMETIC,
  COMPARE,
  FLOAT,
  FLOAT_COMPARE,
  FLOAT_OPERATION,
  INTEGER,
  SIMD,
  type SimdOperation,
  type ValueType,
} from './opcodes.ts'

/** Bytes of code; a plain array is the fastest to append to. */
export type CodeBytes = number[]

export function unsignedLeb(out: CodeBytes, value: number): void {
  let v = value
  for (; v > 0x7f; v = Math.floor(v / 128)) out.push((v & 0x7f) | 0x80)
  out.push(v)
}

export function signedLeb(out: CodeBytes, value: bigint): void {
  let v = value
  for (;;) {
    const byte = Number(v & 0x7fn)
    v >>= 7n
    if ((v === 0n && (byte & 0x40) === 0) || (v === -1n && (byte & 0x40) !== 0)) {
      out.push(byte)
      return
    }
    out.push(byte | 0x80)
  }
}

function signedLeb32(out: CodeBytes, value: number): void {
  let v = value | 0
  for (;;) {
    const byte = v & 0x7f
    v >>= 7
    if ((v === 0 && (byte & 0x40) === 0) || (v === -1 && (byte & 0x40) !== 0)) {
      out.push(byte)
      return
    }
    out.push(byte | 0x80)
  }
}

type Emit = (out: CodeBytes) => void

export type Integer = 'i32' | 'i64'
export type Float = 'f32' | 'f64'

/** A value of type `T`. Integer methods are for `i32` and `i64`, `float...` methods for floats. */
export class Value<T extends ValueType> {
  readonly type: T
  readonly emit: Emit
  /** The constant's value when it is one (i64 and i32 only), else undefined. */
  readonly constant: bigint | undefined

  constructor(type: T, emit: Emit, constant?: bigint) {
    this.type = type
    this.emit = emit
    this.constant = constant
  }

  add(other: Value<T> | number): Value<T> {
    const right = operand(this, other)
    if (right.constant === 0n) return this
    if (this.constant === 0n) return right
    return this.arithmetic('add', right, (a, b) => a + b)
  }
  sub(other: Value<T> | number): Value<T> {
    const right = operand(this, other)
    if (right.constant === 0n) return this
    return this.arithmetic('sub', right, (a, b) => a - b)
  }
  mul(other: Value<T> | number): Value<T> {
    return this.arithmetic('mul', operand(this, other), (a, b) => a * b)
  }
  divS(other: Value<T>): Value<T> {
    return this.arithmetic('divS', other)
  }
  divU(other: Value<T>): Value<T> {
    return this.arithmetic('divU', other)
  }
  remS(other: Value<T>): Value<T> {
    return this.arithmetic('remS', other)
  }
  remU(other: Value<T>): Value<T> {
    return this.arithmetic('remU', other)
  }
  and(other: Value<T> | number | bigint): Value<T> {
    return this.arithmetic('and', operand(this, other), (a, b) => a & b)
  }
  or(other: Value<T> | number): Value<T> {
    const right = operand(this, other)
    if (right.constant === 0n) return this
    if (this.constant === 0n) return right
    return this.arithmetic('or', right, (a, b) => a | b)
  }
  xor(other: Value<T> | number): Value<T> {
    const right = operand(this, other)
    if (right.constant === 0n) return this
    return this.arithmetic('xor', right, (a, b) => a ^ b)
  }
  shl(count: Value<T> | number): Value<T> {
    const right = operand(this, count)
    if (right.constant === 0n) return this
    return this.arithmetic('shl', right, (a, b) => a << (b & (this.type === 'i64' ? 63n : 31n)))
  }
  shrS(count: Value<T> | number): Value<T> {
    const right = operand(this, count)
    if (right.constant === 0n) return this
    return this.arithmetic('shrS', right)
  }
  shrU(count: Value<T> | number): Value<T> {
    const right = operand(this, count)
    if (right.constant === 0n) return this
    return this.arithmetic('shrU', right)
  }
  rotl(count: Value<T>): Value<T> {
    return this.arithmetic('rotl', count)
  }
  rotr(count: Value<T>): Value<T> {
    return this.arithmetic('rotr', count)
  }
  clz(): Value<T> {
    return unary(this.type, INTEGER[this.type as Integer].clz, this)
  }
  ctz(): Value<T> {
    return unary(this.type, INTEGER[this.type as Integer].ctz, this)
  }
  popcnt(): Value<T> {
    return unary(this.type, INTEGER[this.type as Integer].popcnt, this)
  }
  eqz(): Value<'i32'> {
    return unary('i32', INTEGER[this.type as Integer].eqz, this)
  }
  eq(other: Value<T> | number): Value<'i32'> {
    return this.compare('eq', operand(this, other))
  }
  ne(other: Value<T> | number): Value<'i32'> {
    return this.compare('ne', operand(this, other))
  }
  ltS(other: Value<T> | number): Value<'i32'> {
    return this.compare('ltS', operand(this, other))
  }
  ltU(other: Value<T> | number): Value<'i32'> {
    return this.compare('ltU', operand(this, other))
  }
  gtS(other: Value<T> | number): Value<'i32'> {
    return this.compare('gtS', operand(this, other))
  }
  gtU(other: Value<T> | number): Value<'i32'> {
    return this.compare('gtU', operand(this, other))
  }
  leS(other: Value<T> | number): Value<'i32'> {
    return this.compare('leS', operand(this, other))
  }
  leU(other: Value<T> | number): Value<'i32'> {
    return this.compare('leU', operand(this, other))
  }
  geS(other: Value<T> | number): Value<'i32'> {
    return this.compare('geS', operand(this, other))
  }
  geU(other: Value<T> | number): Value<'i32'> {
    return this.compare('geU', operand(this, other))
  }

  /** i64 to i32, dropping the upper half; an i32 stays as it is. */
  wrap(): Value<'i32'> {
    if (this.constant !== undefined) return i32(Number(BigInt.asIntN(32, this.constant)))
    return this.type === 'i32' ? retype('i32', this) : unary('i32', 0xa7, this)
  }
  /** i32 to i64; an i64 stays as it is. */
  extendU(): Value<'i64'> {
    if (this.type === 'i64') return retype('i64', this)
    if (this.constant !== undefined) return i64(BigInt.asUintN(32, this.constant))
    return unary('i64', 0xad, this)
  }
  extendS(): Value<'i64'> {
    if (this.type === 'i64') return retype('i64', this)
    if (this.constant !== undefined) return i64(this.constant)
    return unary('i64', 0xac, this)
  }
  /** Sign-extends the low 8, 16 or 32 bits within the type. */
  signExtend(bits: 8 | 16 | 32): Value<T> {
    if (this.constant !== undefined) return constantOf(this.type, BigInt.asIntN(bits, this.constant))
    if (this.type === 'i32') return bits === 32 ? this : unary(this.type, bits === 8 ? 0xc0 : 0xc1, this)
    return unary(this.type, bits === 8 ? 0xc2 : bits === 16 ? 0xc3 : 0xc4, this)
  }

  /** The same bits as a float, or as an integer. */
  asF32(this: Value<'i32'>): Value<'f32'> {
    return unary('f32', 0xbe, this)
  }
  asF64(this: Value<'i64'>): Value<'f64'> {
    return unary('f64', 0xbf, this)
  }
  asI32(this: Value<'f32'>): Value<'i32'> {
    return unary('i32', 0xbc, this)
  }
  asI64(this: Value<'f64'>): Value<'i64'> {
    return unary('i64', 0xbd, this)
  }
  float(operation: keyof typeof FLOAT_OPERATION, other?: Value<T>): Value<T> {
    const code = FLOAT[this.type as Float].first + FLOAT_OPERATION[operation]
    return other === undefined ? unary(this.type, code, this) : binary(this.type, code, this, other)
  }
  floatCompare(operation: keyof typeof FLOAT_COMPARE, other: Value<T>): Value<'i32'> {
    return binary('i32', FLOAT[this.type as Float].compare + FLOAT_COMPARE[operation], this, other)
  }

  private arithmetic(
    name: keyof typeof ARITHMETIC,
    right: Value<T>,
    fold?: (a: bigint, b: bigint) => bigint,
  ): Value<T> {
    if (fold && this.constant !== undefined && right.constant !== undefined)
      return constantOf(this.type, fold(this.constant, right.constant))
    return binary(this.type, INTEGER[this.type as Integer].add + ARITHMETIC[name], this, right)
  }

  private compare(name: keyof typeof COMPARE, right: Value<T>): Value<'i32'> {
    return binary('i32', INTEGER[this.type as Integer].eq + COMPARE[name], this, right)
  }
}

function operand<T extends ValueType>(left: Value<T>, right: Value<T> | number | bigint): Value<T> {
  if (typeof right === 'object') return right
  if (typeof right === 'number' && left.type === 'i32') return retype(left.type, i32(right))
  return constantOf(left.type, BigInt(right))
}

function constantOf<T extends ValueType>(type: T, value: bigint): Value<T> {
  if (type === 'i32') return retype(type, i32(Number(BigInt.asIntN(32, value))))
  const v = BigInt.asIntN(64, value)
  return new Value(
    type,
    out => {
      out.push(0x42)
      signedLeb(out, v)
    },
    v,
  )
}

function hasType<T extends ValueType>(type: T, value: Value<ValueType>): value is Value<T> {
  return value.type === type
}

function retype<T extends ValueType>(type: T, value: Value<ValueType>): Value<T> {
  if (hasType(type, value)) return value
  return new Value(type, value.emit, value.constant)
}

export function i32(value: number): Value<'i32'> {
  const v = value | 0
  if (v < 0 || v >= SMALL) return constant32(v)
  return (small[v] ??= constant32(v))
}

/** Constants that most code is made of, made once: registers' addresses, masks, counts. */
const SMALL = 0x3000
const small: (Value<'i32'> | undefined)[] = new Array(SMALL).fill(undefined)

function constant32(value: number): Value<'i32'> {
  return new Value(
    'i32',
    out => {
      out.push(0x41)
      signedLeb32(out, value)
    },
    BigInt(value),
  )
}

export function i64(value: bigint | number): Value<'i64'> {
  return constantOf('i64', BigInt(value))
}

export function unary<T extends ValueType>(type: T, opcode: number, a: Value<ValueType>): Value<T> {
  return new Value(type, out => {
    a.emit(out)
    out.push(opcode)
  })
}

export function binary<T extends ValueType>(
  type: T,
  opcode: number,
  a: Value<ValueType>,
  b: Value<ValueType>,
): Value<T> {
  return new Value(type, out => {
    a.emit(out)
    b.emit(out)
    out.push(opcode)
  })
}

/** Saturating float to integer conversion and its like, by the number after prefix 0xfc. */
export function prefixed<T extends ValueType>(type: T, number: number, a: Value<ValueType>): Value<T> {
  return new Value(type, out => {
    a.emit(out)
    out.push(0xfc, number)
  })
}

/** `condition ? yes : no`, both evaluated. */
export function select<T extends ValueType>(condition: Value<'i32'>, yes: Value<T>, no: Value<T>): Value<T> {
  return new Value(yes.type, out => {
    yes.emit(out)
    no.emit(out)
    condition.emit(out)
    if (yes.type === 'v128') out.push(0x1c, 1, 0x7b)
    else out.push(0x1b)
  })
}

/** A vector instruction. `lanes` are the immediate bytes of extract, replace and shuffle. */
export function simd<T extends ValueType>(
  type: T,
  operation: SimdOperation,
  operands: readonly Value<ValueType>[],
  lanes: readonly number[] = [],
): Value<T> {
  return new Value(type, out => {
    for (const each of operands) each.emit(out)
    out.push(0xfd)
    unsignedLeb(out, SIMD[operation])
    out.push(...lanes)
  })
}

export function v128(low: bigint, high: bigint): Value<'v128'> {
  const bytes: number[] = []
  for (const word of [low, high]) for (let i = 0n; i < 64n; i += 8n) bytes.push(Number((word >> i) & 0xffn))
  return new Value('v128', out => {
    out.push(0xfd, SIMD['v128.const'], ...bytes)
  })
}
