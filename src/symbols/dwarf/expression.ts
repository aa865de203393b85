/** DWARF expressions, evaluated to the place of a value (DWARF 5, 2.5 and 2.6). */

import { DwarfError } from '../elf/elf-error.ts'
import * as C from './constants.ts'
import type { EvaluationContext, ValueLocation, ValuePiece } from './debug-info.ts'
import { DwarfReader } from './dwarf-reader.ts'
import type { Unit } from './unit.ts'

export interface ExpressionScope {
  readonly addressSize: number
  readonly context: Pick<EvaluationContext, 'register' | 'read' | 'entryValue'>
  /** The frame's canonical address; undefined when it can't be computed. */
  cfa(): bigint | undefined
  /** What DW_OP_fbreg counts from; undefined when it can't be computed. */
  frameBase(): bigint | undefined
  /** From an address of the file to one of the guest. */
  relocate(address: bigint): bigint
  /** For operations that refer to other entries; undefined in unwind tables. */
  readonly unit: Unit | undefined
}

/** Loops in expressions are legal; compilers make none. */
const MOST_STEPS = 10_000
const DEEPEST_STACK = 1024
/** A value in pieces larger than this is nothing a debugger shows. */
const LARGEST_IMPLICIT = 1 << 16

/** Ends an evaluation whose answer is that there is no value. */
class OptimizedOut {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

/** Integers of a DWARF type. */
interface IntegerType {
  readonly bits: number
  readonly signed: boolean
  /** Of an address's size, and of no sign: each operation says how it takes them (2.5.1). */
  readonly generic: boolean
}

interface Entry {
  readonly value: bigint
  /** undefined for the generic one. */
  readonly type: IntegerType | undefined
}

/**
 * Where the value is that an expression describes. Throws DwarfError for an expression that is broken; memory or
 * registers that can't be read make the value 'optimized-out' with that reason.
 */
export function evaluateLocation(expression: Buffer, scope: ExpressionScope): ValueLocation {
  if (expression.length === 0) return { kind: 'optimized-out', reason: 'the compiler kept it nowhere here' }
  try {
    return new Evaluator(expression, scope).location()
  } catch (thrown) {
    if (thrown instanceof OptimizedOut) return { kind: 'optimized-out', reason: thrown.reason }
    throw thrown
  }
}

/** The number that an expression computes, as unwind tables and frame bases use them; undefined when it can't. */
export function evaluateNumber(expression: Buffer, scope: ExpressionScope, initial?: bigint): bigint | undefined {
  try {
    const evaluator = new Evaluator(expression, scope)
    if (initial !== undefined) evaluator.push(initial)
    const location = evaluator.location()
    if (location.kind === 'memory') return location.address
    if (location.kind === 'register') return scope.context.register(location.register)
    if (location.kind === 'value') return toInteger(location.bytes)
    return undefined
  } catch (thrown) {
    if (thrown instanceof OptimizedOut) return undefined
    throw thrown
  }
}

class Evaluator {
  readonly #reader: DwarfReader
  readonly #scope: ExpressionScope
  readonly #stack: Entry[] = []
  readonly #generic: IntegerType
  readonly #pieces: ValuePiece[] = []
  #current: Exclude<ValueLocation, { kind: 'pieces' }> | undefined

  constructor(expression: Buffer, scope: ExpressionScope) {
    this.#reader = new DwarfReader(expression, 'location expression')
    this.#scope = scope
    this.#generic = { bits: scope.addressSize * 8, signed: false, generic: true }
  }

  push(value: bigint, type?: IntegerType): void {
    if (this.#stack.length >= DEEPEST_STACK) this.#reader.fail('its stack grows without end')
    this.#stack.push({ value: wrap(value, type ?? this.#generic), type })
  }

  location(): ValueLocation {
    for (let steps = 0; this.#reader.rest > 0; steps++) {
      if (steps >= MOST_STEPS) this.#reader.fail('it does not end')
      this.#step(this.#reader.u8())
    }
    if (this.#pieces.length > 0) return { kind: 'pieces', pieces: this.#pieces }
    return this.#simple()
  }

  /** What the operations so far describe. */
  #simple(): Exclude<ValueLocation, { kind: 'pieces' }> {
    const current = this.#current
    this.#current = undefined
    if (current !== undefined) return current
    if (this.#stack.length === 0) return { kind: 'optimized-out', reason: 'the compiler kept it nowhere here' }
    return { kind: 'memory', address: this.#pop().value }
  }

  #piece(bitSize: number, bitOffset: number): void {
    this.#pieces.push({ bitSize, bitOffset, location: this.#simple() })
  }

  #pop(): Entry {
    return this.#stack.pop() ?? this.#reader.fail('its stack is empty')
  }

  #register(number: number): bigint {
    const value = this.#scope.context.register(number)
    if (value === undefined) throw new OptimizedOut(`register ${number} is not known in this frame`)
    return value
  }

  #read(address: bigint, size: number): bigint {
    const bytes = this.#scope.context.read(address, size)
    if (bytes === undefined) throw new OptimizedOut(`memory at 0x${address.toString(16)} can't be read`)
    return toInteger(bytes)
  }

  #step(opcode: number): void {
    const reader = this.#reader
    if (opcode >= C.DW_OP_lit0 && opcode <= C.DW_OP_lit31) {
      this.push(BigInt(opcode - C.DW_OP_lit0))
      return
    }
    if (opcode >= C.DW_OP_reg0 && opcode <= C.DW_OP_reg31) {
      this.#current = { kind: 'register', register: opcode - C.DW_OP_reg0 }
      return
    }
    if (opcode >= C.DW_OP_breg0 && opcode <= C.DW_OP_breg31) {
      const offset = reader.slebBig()
      this.push(this.#register(opcode - C.DW_OP_breg0) + offset)
      return
    }
    if (this.#constant(opcode) || this.#stackOperation(opcode) || this.#arithmetic(opcode)) return
    if (this.#addressOperation(opcode) || this.#describe(opcode) || this.#typed(opcode)) return
    reader.fail(`operation 0x${opcode.toString(16)} is not known`)
  }

  /** 2.5.1.1 */
  #constant(opcode: number): boolean {
    const reader = this.#reader
    switch (opcode) {
      case C.DW_OP_addr:
        this.push(this.#scope.relocate(reader.address(this.#scope.addressSize)))
        return true
      case C.DW_OP_addrx:
      case C.DW_OP_GNU_addr_index:
        this.push(this.#scope.relocate(this.#unit().indexedAddress(reader.uleb())))
        return true
      case C.DW_OP_constx:
      case C.DW_OP_GNU_const_index:
        this.push(this.#unit().indexedAddress(reader.uleb()))
        return true
      case C.DW_OP_const1u:
        this.push(BigInt(reader.u8()))
        return true
      case C.DW_OP_const1s:
        this.push(BigInt(reader.s8()))
        return true
      case C.DW_OP_const2u:
        this.push(BigInt(reader.u16()))
        return true
      case C.DW_OP_const2s:
        this.push(BigInt((reader.u16() << 16) >> 16))
        return true
      case C.DW_OP_const4u:
        this.push(BigInt(reader.u32()))
        return true
      case C.DW_OP_const4s:
        this.push(BigInt(reader.s32()))
        return true
      case C.DW_OP_const8u:
      case C.DW_OP_const8s:
        this.push(reader.u64())
        return true
      case C.DW_OP_constu:
        this.push(reader.ulebBig())
        return true
      case C.DW_OP_consts:
        this.push(reader.slebBig())
        return true
      default:
        return false
    }
  }

  /** 2.5.1.3 */
  #stackOperation(opcode: number): boolean {
    const stack = this.#stack
    switch (opcode) {
      case C.DW_OP_dup:
        this.#pick(0)
        return true
      case C.DW_OP_drop:
        this.#pop()
        return true
      case C.DW_OP_over:
        this.#pick(1)
        return true
      case C.DW_OP_pick:
        this.#pick(this.#reader.u8())
        return true
      case C.DW_OP_swap: {
        const [top, second] = [this.#pop(), this.#pop()]
        stack.push(top, second)
        return true
      }
      case C.DW_OP_rot: {
        const [top, second, third] = [this.#pop(), this.#pop(), this.#pop()]
        stack.push(top, third, second)
        return true
      }
      default:
        return false
    }
  }

  #pick(index: number): void {
    const entry = this.#stack[this.#stack.length - 1 - index]
    if (entry === undefined) this.#reader.fail('its stack is too short')
    this.push(entry.value, entry.type)
  }

  /** Registers, memory and frames: 2.5.1.2, 2.5.1.3. */
  #addressOperation(opcode: number): boolean {
    const reader = this.#reader
    const { addressSize } = this.#scope
    switch (opcode) {
      case C.DW_OP_bregx: {
        const register = reader.uleb()
        this.push(this.#register(register) + reader.slebBig())
        return true
      }
      case C.DW_OP_fbreg: {
        const offset = reader.slebBig()
        this.push(this.#known(this.#scope.frameBase(), 'the frame base') + offset)
        return true
      }
      case C.DW_OP_call_frame_cfa:
        this.push(this.#known(this.#scope.cfa(), "the frame's address"))
        return true
      case C.DW_OP_deref:
        this.push(this.#read(this.#pop().value, addressSize))
        return true
      case C.DW_OP_deref_size: {
        const size = reader.u8()
        if (size < 1 || size > addressSize) reader.fail(`reads ${size} bytes as an address`)
        this.push(this.#read(this.#pop().value, size))
        return true
      }
      case C.DW_OP_form_tls_address:
      case C.DW_OP_GNU_push_tls_address:
        throw new OptimizedOut('thread-local storage is not looked up')
      case C.DW_OP_push_object_address:
        throw new OptimizedOut('it depends on an object that is not given')
      default:
        return false
    }
  }

  #known(value: bigint | undefined, what: string): bigint {
    if (value === undefined) throw new OptimizedOut(`${what} can't be computed in this frame`)
    return value
  }

  /** 2.6.1: what is no address. */
  #describe(opcode: number): boolean {
    const reader = this.#reader
    switch (opcode) {
      case C.DW_OP_regx:
        this.#current = { kind: 'register', register: reader.uleb() }
        return true
      case C.DW_OP_stack_value: {
        const { value, type } = this.#pop()
        this.#current = { kind: 'value', bytes: toBytes(value, (type ?? this.#generic).bits / 8) }
        return true
      }
      case C.DW_OP_implicit_value: {
        const length = reader.uleb()
        if (length > LARGEST_IMPLICIT) reader.fail(`a value of ${length} bytes`)
        this.#current = { kind: 'value', bytes: Uint8Array.from(reader.block(length)) }
        return true
      }
      case C.DW_OP_piece:
        this.#piece(reader.uleb() * 8, 0)
        return true
      case C.DW_OP_bit_piece:
        this.#piece(reader.uleb(), reader.uleb())
        return true
      case C.DW_OP_implicit_pointer:
      case C.DW_OP_GNU_implicit_pointer:
        reader.offset(this.#scope.unit?.offsetSize ?? 4)
        reader.skipLeb()
        this.#current = { kind: 'optimized-out', reason: 'it points to a value that is nowhere in memory' }
        return true
      case C.DW_OP_entry_value:
      case C.DW_OP_GNU_entry_value:
        this.push(this.#entryValue(reader.block(reader.uleb())))
        return true
      case C.DW_OP_GNU_parameter_ref:
        throw new OptimizedOut('it depends on a parameter of the caller')
      case C.DW_OP_GNU_variable_value:
        throw new OptimizedOut('it depends on another variable')
      case C.DW_OP_GNU_uninit:
      case C.DW_OP_nop:
        return true
      default:
        return false
    }
  }

  /** 2.5.1.7: of a register. What memory held at the entry nobody knows. */
  #entryValue(expression: Buffer): bigint {
    const register = expression.length === 1 ? expression[0] - C.DW_OP_reg0 : -1
    const isRegister = register >= 0 && register <= C.DW_OP_reg31 - C.DW_OP_reg0
    const value = isRegister ? this.#scope.context.entryValue?.(register) : undefined
    if (value === undefined) throw new OptimizedOut("only the caller knew it, before the function's entry")
    return value
  }

  /** 2.5.1.4 and 2.5.1.5. Control flow counts from the operand's end. */
  #arithmetic(opcode: number): boolean {
    const reader = this.#reader
    switch (opcode) {
      case C.DW_OP_abs:
        this.#unary(value => (value < 0n ? -value : value))
        return true
      case C.DW_OP_neg:
        this.#unary(value => -value)
        return true
      case C.DW_OP_not:
        this.#unary(value => ~value)
        return true
      case C.DW_OP_plus_uconst: {
        const addend = reader.ulebBig()
        const { value, type } = this.#pop()
        this.push(value + addend, type)
        return true
      }
      case C.DW_OP_skip:
      case C.DW_OP_bra: {
        const distance = (reader.u16() << 16) >> 16
        if (opcode === C.DW_OP_bra && this.#pop().value === 0n) return true
        const target = reader.at + distance
        if (target < 0 || target > reader.end) reader.fail('it jumps outside')
        reader.at = target
        return true
      }
      default:
        return this.#binary(opcode)
    }
  }

  #unary(compute: (value: bigint) => bigint): void {
    const { value, type } = this.#pop()
    this.push(compute(BigInt.asIntN((type ?? this.#generic).bits, value)), type)
  }

  #binary(opcode: number): boolean {
    const compute = BINARY[opcode]
    if (compute === undefined) return false
    const right = this.#pop()
    const left = this.#pop()
    const type = left.type ?? this.#generic
    const result = compute(left.value, right.value, type)
    if (result === undefined) throw new OptimizedOut('its computation divides by zero')
    const compares = opcode >= C.DW_OP_eq && opcode <= C.DW_OP_ne
    this.push(result, compares ? undefined : left.type)
    return true
  }

  /** 2.5.1.6, for integers: floating point is not computed. */
  #typed(opcode: number): boolean {
    const reader = this.#reader
    switch (opcode) {
      case C.DW_OP_const_type:
      case C.DW_OP_GNU_const_type: {
        const type = this.#baseType(reader.uleb())
        this.push(toInteger(reader.block(reader.u8())), type)
        return true
      }
      case C.DW_OP_regval_type:
      case C.DW_OP_GNU_regval_type: {
        const register = reader.uleb()
        const type = this.#baseType(reader.uleb())
        this.push(this.#register(register), type)
        return true
      }
      case C.DW_OP_deref_type:
      case C.DW_OP_GNU_deref_type: {
        const size = reader.u8()
        const type = this.#baseType(reader.uleb())
        if (size < 1 || size > 16) reader.fail(`reads a value of ${size} bytes`)
        this.push(this.#read(this.#pop().value, size), type)
        return true
      }
      case C.DW_OP_convert:
      case C.DW_OP_GNU_convert:
      case C.DW_OP_reinterpret:
      case C.DW_OP_GNU_reinterpret: {
        const type = this.#baseType(reader.uleb())
        this.push(this.#pop().value, type)
        return true
      }
      default:
        return false
    }
  }

  #baseType(offset: number): IntegerType | undefined {
    if (offset === 0) return undefined
    const unit = this.#unit()
    const die = unit.dieAt(unit.offset + offset)
    const bits = (die.number(C.DW_AT_byte_size) ?? 0) * 8
    const encoding = die.number(C.DW_AT_encoding)
    if (encoding === C.DW_ATE_float || bits === 0 || bits > 128) {
      throw new OptimizedOut('it is computed with floating-point numbers')
    }
    return { bits, signed: encoding === C.DW_ATE_signed || encoding === C.DW_ATE_signed_char, generic: false }
  }

  #unit(): Unit {
    if (this.#scope.unit === undefined)
      throw new DwarfError('location expression: refers to a unit where there is none')
    return this.#scope.unit
  }
}

type Binary = (left: bigint, right: bigint, type: IntegerType) => bigint | undefined

const signed = (value: bigint, type: IntegerType) => BigInt.asIntN(type.bits, value)
/** As division and comparison take it: the generic type counts as signed. */
const natural = (value: bigint, type: IntegerType) => (type.generic ? signed(value, type) : value)
const unsigned = (value: bigint, type: IntegerType) => BigInt.asUintN(type.bits, value)
/** A shift by more than the value has bits leaves nothing, and costs nothing. */
const distance = (value: bigint, type: IntegerType) => (value > BigInt(type.bits) ? BigInt(type.bits) : value)
const compare = (holds: (left: bigint, right: bigint) => boolean): Binary => {
  return (left, right, type) => (holds(natural(left, type), natural(right, type)) ? 1n : 0n)
}

const BINARY: Readonly<Record<number, Binary>> = {
  [C.DW_OP_and]: (left, right) => left & right,
  [C.DW_OP_or]: (left, right) => left | right,
  [C.DW_OP_xor]: (left, right) => left ^ right,
  [C.DW_OP_plus]: (left, right) => left + right,
  [C.DW_OP_minus]: (left, right) => left - right,
  [C.DW_OP_mul]: (left, right) => left * right,
  [C.DW_OP_div]: (left, right, type) => (right === 0n ? undefined : natural(left, type) / natural(right, type)),
  [C.DW_OP_mod]: (left, right, type) => (right === 0n ? undefined : unsigned(left, type) % unsigned(right, type)),
  [C.DW_OP_shl]: (left, right, type) => left << distance(unsigned(right, type), type),
  [C.DW_OP_shr]: (left, right, type) => unsigned(left, type) >> distance(unsigned(right, type), type),
  [C.DW_OP_shra]: (left, right, type) => signed(left, type) >> distance(unsigned(right, type), type),
  [C.DW_OP_eq]: compare((left, right) => left === right),
  [C.DW_OP_ne]: compare((left, right) => left !== right),
  [C.DW_OP_ge]: compare((left, right) => left >= right),
  [C.DW_OP_gt]: compare((left, right) => left > right),
  [C.DW_OP_le]: compare((left, right) => left <= right),
  [C.DW_OP_lt]: compare((left, right) => left < right),
}

function wrap(value: bigint, type: IntegerType): bigint {
  return type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value)
}

/** Little-endian, unsigned. */
export function toInteger(bytes: Uint8Array): bigint {
  let value = 0n
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index])
  return value
}

export function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let rest = BigInt.asUintN(size * 8, value)
  for (let index = 0; index < size; index++) {
    bytes[index] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}
