/**
 * What a definition of an instruction is written against. Operands are abstract: the interpreter reads them from the
 * decoded record, a compiled block has them as constants. Values of 8, 16 and 32 bits are i32, zero-extended; 64 bits
 * i64; 128 bits v128. A definition translates and checks everything before its first side effect, stores to memory
 * before it writes registers or flags, and must not read an operand after writing another that may alias it.
 */

import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { i32, i64, type Value } from '../wasm/value.ts'
import { READ_FIRST, type Runtime } from './runtime.ts'
import {
  apply,
  type Bits,
  equal,
  isZero,
  ltS,
  ltU,
  signExtend,
  signOf,
  truncate,
  type Word,
  word,
  xorOf,
} from './word.ts'

const STACK_FAULT = 12

/** Condition codes in encoding order (SDM vol. 2, appendix B.1.4.7). */
export const CONDITIONS = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
] as const
export type Condition = (typeof CONDITIONS)[number]

/** Operation whose flags are current and whose operands are still at hand, so that a condition needs no flag words. */
interface RecentFlags {
  readonly kind: 'sub' | 'logic'
  readonly bits: Bits
  readonly a: Word
  readonly b: Word
  readonly result: Word
}

/** An operand that is read and then written. */
export interface Place {
  readonly value: Word
  set(value: Word): void
}

export abstract class InstructionScope {
  readonly f: FunctionBuilder
  readonly runtime: Runtime
  /** Operand sizes in bits, as the definition states them. */
  readonly bits: readonly Bits[]
  /** Is operand i a register (r), an immediate (i), or memory (m: 64-bit flat, g: any)? */
  readonly shape: string
  /** 64-bit mode with flat operands: implicit operands (stack, strings) are linear addresses as they are. */
  readonly long: boolean
  recent: RecentFlags | undefined
  /** Floating-point exceptions are to be collected, to be raised for all lanes together; and there is code that does. */
  collectsExceptions = false
  hasCollected = false

  constructor(f: FunctionBuilder, runtime: Runtime, bits: readonly Bits[], shape: string, long: boolean) {
    this.f = f
    this.runtime = runtime
    this.bits = bits
    this.shape = shape
    this.long = long
  }

  /** Address of register operand i in the processor's state. */
  abstract registerAddress(operand: number): Value<'i32'>
  /** The 32-bit immediate. */
  abstract immediate(): Value<'i32'>
  /** 64-bit immediate or absolute address. */
  abstract wideImmediate(): Value<'i64'>
  /** base + index * scale + displacement, neither wrapped nor checked. */
  abstract effectiveOffset(): Value<'i64'>
  /** The decoded record, for slow paths and assists. */
  abstract record(): Value<'i32'>
  /** Instructions of the block from this one on: taken from the budget when it was entered, not retired yet. */
  abstract unretired(): Value<'i32'>
  abstract nextRip(): Value<'i64'>
  abstract rip(): Value<'i64'>
  /** Target of a direct branch. */
  abstract branchTarget(): Value<'i64'>
  abstract jumpDirect(): void
  abstract jumpIf(condition: Value<'i32'>): void
  /** Goes on at a RIP known at run time, which {@link requireTarget} has let pass. */
  abstract jumpTo(rip: Value<'i64'>): void
  /** Raises #GP(0) where a near branch may not go: beyond the limit of CS, or not canonical. Precedes its side effects. */
  abstract requireTarget(rip: Value<'i64'>): void
  /** The same for the target of a direct branch that has side effects, when `condition` holds. */
  abstract requireBranchTarget(condition?: Value<'i32'>): void
  /** Returns to TypeScript with RIP at the next instruction, when `condition` holds. */
  abstract leaveIf(condition: Value<'i32'>): void
  /** Returns to TypeScript, which has set RIP itself. */
  abstract leaveAtRip(): void
  /** Returns to TypeScript with RIP at this instruction: a string instruction that was interrupted. */
  abstract leaveHere(): void
  /** Attributes byte of the record: operand and address size, repeat prefix. */
  abstract attributes(): Value<'i32'>
  /** State address of the memory operand's segment cache. */
  abstract segmentAddress(): Value<'i32'>

  get isMemory(): boolean {
    return this.memoryOperand >= 0
  }
  get memoryOperand(): number {
    return this.shape.search(/[mg]/)
  }

  // --- operands

  read(operand: number): Word {
    const bits = this.bits[operand]
    switch (this.shape[operand]) {
      case 'r':
        return this.name(this.loadState(this.registerAddress(operand), bits))
      case 'i':
        return this.name(bits === 64 ? this.immediate().extendS() : truncate(this.immediate(), bits))
      default:
        return this.load(bits, this.address(bits, false))
    }
  }

  read32(operand: number): Value<'i32'> {
    return this.read(operand).wrap()
  }

  read64(operand: number): Value<'i64'> {
    return this.read(operand).extendU()
  }

  readVector(operand: number): Value<'v128'> {
    if (this.shape[operand] === 'r') return this.f.let(this.f.load('v128', this.registerAddress(operand)))
    return this.loadVector(this.address(128, false))
  }

  write(operand: number, value: Word): void {
    const bits = this.bits[operand]
    if (this.shape[operand] === 'r') this.storeRegister(this.registerAddress(operand), bits, value)
    else this.store(bits, this.address(bits, true), value)
  }

  writeVector(operand: number, value: Value<'v128'>): void {
    if (this.shape[operand] === 'r') this.f.store(this.registerAddress(operand), value)
    else this.storeVector(this.address(128, true), value)
  }

  /** An operand to be read, then written. A memory operand is translated for writing at once. */
  place(operand: number): Place {
    const bits = this.bits[operand]
    if (this.shape[operand] === 'r') {
      const at = this.f.let(this.registerAddress(operand))
      return { value: this.name(this.loadState(at, bits)), set: value => this.storeRegister(at, bits, value) }
    }
    return this.placeAt(bits, this.address(bits, true))
  }

  placeAt(bits: Bits, linear: Value<'i64'>): Place {
    const host = this.f.let(this.hostForWrite(bits, linear))
    return {
      value: this.name(this.loadState(host, bits)),
      set: value => {
        this.f.store(host, value, 0, bits / 8)
        this.f.if(host.eq(S.ACCESS_BUFFER), () => this.f.call(this.runtime.commit, this.record()), undefined, false)
      },
    }
  }

  /** Evaluates once: see {@link FunctionBuilder.let}. */
  name(value: Word): Word {
    return value.type === 'i64' ? this.f.let(value) : this.f.let(value)
  }

  protected loadState(at: Value<'i32'>, bits: Bits): Word {
    return bits === 64 ? this.f.load('i64', at) : this.f.load('i32', at, 0, bits / 8)
  }

  /** General register by number, for instructions with fixed registers. */
  gpr(index: number, bits: Bits): Word {
    return this.name(this.loadState(i32(S.GPR + index * 8), bits))
  }
  setGpr(index: number, bits: Bits, value: Word): void {
    this.storeRegister(i32(S.GPR + index * 8), bits, value)
  }

  /** Writes of 32 bits clear the upper half; of 8 and 16 keep the rest (SDM vol. 1, 3.4.1.1). */
  storeRegister(at: Value<'i32'>, bits: Bits, value: Word): void {
    if (bits === 32) this.f.store(at, value.extendU())
    else this.f.store(at, value, 0, bits / 8)
  }

  state32(at: number): Value<'i32'> {
    return this.f.load('i32', i32(0), at)
  }
  state64(at: number): Value<'i64'> {
    return this.f.load('i64', i32(0), at)
  }
  setState(at: number, value: Word): void {
    this.f.store(i32(0), value, at)
  }

  /** General registers or flags may have been changed by a call: to be told after it. */
  registersChanged(): void {}

  // --- memory

  /** Linear address of the memory operand, plus `extra` bytes before wrapping and checks. */
  address(bits: number, write: boolean, extra: Value<'i64'> = i64(0)): Value<'i64'> {
    const offset = this.effectiveOffset().add(extra)
    if (this.shape.includes('m')) return this.f.let(offset)
    return this.f.let(this.linear(this.segmentAddress(), offset, bits / 8, write))
  }

  /** Linear address of an operand that is an absolute offset (moffs). */
  absoluteAddress(bits: number, write: boolean): Value<'i64'> {
    if (this.shape.includes('m')) return this.f.let(this.wideImmediate())
    return this.f.let(this.linear(this.segmentAddress(), this.wideImmediate(), bits / 8, write))
  }

  /** Linear address of an offset in a segment, wrapped to the address size and checked as the record says. */
  linear(segment: Value<'i32'>, offset: Value<'i64'>, bytes: number, write: boolean): Value<'i64'> {
    return this.f.callValue(this.runtime.linear, this.record(), segment, offset, i32(bytes), i32(write ? 1 : 0))
  }

  /** Host address of `bits` at a linear address, readable; faults otherwise. */
  hostForRead(bits: Bits, linear: Value<'i64'>): Value<'i32'> {
    return this.translate(this.runtime.readTlb, bits, linear, this.runtime.slowRead, bits / 8)
  }

  /** The same, to be read and then written. */
  hostForWrite(bits: Bits, linear: Value<'i64'>): Value<'i32'> {
    return this.translate(this.runtime.writeTlb, bits, linear, this.runtime.slowWrite, (bits / 8) | READ_FIRST)
  }

  private translate(
    table: number,
    bits: Bits,
    linear: Value<'i64'>,
    slow: Runtime['slowRead'],
    bytes: number,
  ): Value<'i32'> {
    const f = this.f
    const address = f.let(linear)
    const slot = f.let(this.tlbSlot(address))
    return f.choose(
      this.tlbHit(table, bits, address, slot),
      () => address.wrap().add(f.load('i32', slot, table + 8)),
      () => f.callValue(slow, address.wrap(), address.shrU(32).wrap(), i32(bytes), this.record()),
      'i32',
      true,
    )
  }

  tlbSlot(address: Value<'i64'>): Value<'i32'> {
    return address
      .shrU(8)
      .wrap()
      .and((this.runtime.tlbEntries - 1) << 4)
  }

  tlbHit(table: number, bits: Bits, address: Value<'i64'>, slot: Value<'i32'>): Value<'i32'> {
    // One compare decides: an access that crosses into the next page has that page's tag, which is never in this slot.
    return address
      .add(bits / 8 - 1)
      .and(-4096)
      .or(this.state64(S.ASID))
      .eq(this.f.load('i64', slot, table))
  }

  load(bits: Bits, linear: Value<'i64'>): Word {
    return this.name(this.loadState(this.hostForRead(bits, linear), bits))
  }

  loadVector(linear: Value<'i64'>): Value<'v128'> {
    return this.f.let(this.f.load('v128', this.hostForRead(128, linear)))
  }

  store(bits: Bits, linear: Value<'i64'>, value: Word): void {
    this.storeAny(bits, linear, [value])
  }

  storeVector(linear: Value<'i64'>, value: Value<'v128'>): void {
    this.storeAny(128, linear, [value])
  }

  /** One store of 128 bits, or of 256: the low half and the high one. */
  storeVectors(linear: Value<'i64'>, values: readonly Value<'v128'>[]): void {
    this.storeAny(values.length === 2 ? 256 : 128, linear, values)
  }

  private storeAny(bits: Bits, linear: Value<'i64'>, values: readonly (Word | Value<'v128'>)[]): void {
    const f = this.f
    const address = f.let(linear)
    const stored = values.map(value => (value.type === 'v128' ? f.let(value) : value))
    const bytes = Math.min(bits / 8, 16)
    const put = (host: Value<'i32'>) =>
      stored.forEach((value, i) => {
        f.store(host, value, i * bytes, bytes)
      })
    const slot = f.let(this.tlbSlot(address))
    f.if(
      this.tlbHit(this.runtime.writeTlb, bits, address, slot),
      () => {
        const host = address.wrap().add(f.load('i32', slot, this.runtime.writeTlb + 8))
        put(stored.length === 1 ? host : f.let(host))
      },
      () => {
        const host = f.let(
          f.callValue(this.runtime.slowWrite, address.wrap(), address.shrU(32).wrap(), i32(bits / 8), this.record()),
        )
        put(host)
        f.if(host.eq(S.ACCESS_BUFFER), () => f.call(this.runtime.commit, this.record()))
      },
      true,
    )
  }

  /** Raises an exception of the guest without an error code when `condition` holds. */
  raiseIf(condition: Value<'i32'>, vector: number): void {
    this.f.if(condition, () => this.f.call(this.runtime.raise, i32(vector), this.record()), undefined, false)
  }

  // --- stack

  /** Bits of the stack pointer where the stack needs no segment: its addresses are linear ones. */
  get flatStack(): 64 | 32 | undefined {
    return this.long ? 64 : undefined
  }

  /** Linear address on a flat stack, of `bits` at a pointer of {@link flatStack} bits; #SS where they go beyond 4 GiB. */
  stackAddress(bits: Bits, pointer: Word): Value<'i64'> {
    if (pointer.type === 'i32') this.raiseIf(pointer.gtU(-(bits / 8)), STACK_FAULT)
    return pointer.extendU()
  }

  /** Reads the top of the stack without popping it. */
  stackTop(bits: Bits): Word {
    if (this.flatStack !== undefined) return this.load(bits, this.stackAddress(bits, this.gpr(4, this.flatStack)))
    const value = this.f.let(this.f.callValue(this.runtime.stackTop, i32(bits / 8), this.record()))
    return bits === 64 ? value : this.name(value.wrap())
  }

  /** Adds to the stack pointer, in the width of the stack. */
  stackAdjust(bytes: Value<'i64'>): void {
    if (this.flatStack === 64) this.setGpr(4, 64, this.gpr(4, 64).extendU().add(bytes))
    else if (this.flatStack === 32) this.setGpr(4, 32, this.gpr(4, 32).wrap().add(bytes.wrap()))
    else {
      this.f.call(this.runtime.stackAdjust, bytes)
      this.registersChanged()
    }
  }

  push(bits: Bits, value: Word): void {
    if (this.flatStack === undefined) {
      this.f.call(this.runtime.push, value.extendU(), i32(bits / 8), this.record())
      this.registersChanged()
      return
    }
    const top = this.name(apply('sub', this.gpr(4, this.flatStack), word(this.flatStack, bits / 8)))
    this.store(bits, this.stackAddress(bits, top), value)
    this.setGpr(4, this.flatStack, top)
  }

  // --- flags (state.ts: FLAG_RESULT, FLAG_XOR, FLAG_CARRY)

  setFlags(result: Value<'i64'>, xor: Value<'i64'>, carry: Value<'i32'>): void {
    this.recent = undefined
    this.setState(S.FLAG_RESULT, result)
    this.setState(S.FLAG_XOR, xor)
    this.setState(S.FLAG_CARRY, carry)
  }

  flagsLogic(bits: Bits, result: Word): void {
    const wide = this.f.let(signExtend(result, bits))
    this.setFlags(wide, wide, i32(0))
    this.recent = { kind: 'logic', bits, a: result, b: result, result }
  }

  flagsAdd(bits: Bits, a: Word, b: Word, result: Word): void {
    this.setFlags(signExtend(result, bits), signExtend(xorOf(a, b), bits), ltU(result, a))
  }

  flagsAdc(bits: Bits, a: Word, b: Word, carryIn: Value<'i32'>, result: Word): void {
    this.setFlags(
      signExtend(result, bits),
      signExtend(xorOf(a, b), bits),
      ltU(result, a).or(carryIn.and(equal(result, a))),
    )
  }

  flagsSub(bits: Bits, a: Word, b: Word, result: Word): void {
    this.setFlags(signExtend(result, bits), signExtend(xorOf(a, b), bits), ltU(a, b))
    this.recent = { kind: 'sub', bits, a, b, result }
  }

  flagsSbb(bits: Bits, a: Word, b: Word, carryIn: Value<'i32'>, result: Word): void {
    this.setFlags(signExtend(result, bits), signExtend(xorOf(a, b), bits), ltU(a, b).or(carryIn.and(equal(a, b))))
  }

  /** INC and DEC: CF stays. `carryOut` is the carry or borrow that the operation would have given. */
  flagsCount(bits: Bits, a: Word, result: Word, carryOut: Value<'i32'>): void {
    const carry = this.f.let(this.state32(S.FLAG_CARRY).and(1))
    const wide = signExtend(result, bits)
    const one = bits === 64 ? (a as Value<'i64'>).xor(1) : (a as Value<'i32'>).xor(1)
    this.setFlags(wide, signExtend(one, bits).xor(carry.xor(carryOut).extendU().shl(63)), carry)
  }

  /** ZF, SF and PF from the result, CF and OF (both 0 or 1) given, AF clear. */
  flagsResult(bits: Bits, result: Word, carry: Value<'i32'>, overflow: Value<'i32'>): void {
    const wide = this.f.let(signExtend(result, bits))
    const cf = this.f.let(carry)
    this.setFlags(wide, wide.xor(overflow.xor(cf).extendU().shl(63)), cf)
  }

  /** CF and OF alone; the others stay. */
  flagsCarryOverflow(carry: Value<'i32'>, overflow: Value<'i32'>): void {
    this.recent = undefined
    const cf = this.f.let(carry)
    const sign = this.state64(S.FLAG_RESULT).shrU(63)
    const xor = this.state64(S.FLAG_XOR).and(0x7fff_ffff_ffff_ffffn).or(overflow.xor(cf).extendU().xor(sign).shl(63))
    this.setState(S.FLAG_XOR, xor)
    this.setState(S.FLAG_CARRY, this.state32(S.FLAG_CARRY).and(-2).or(cf))
  }

  /** CF alone; OF is kept by flipping the XOR word's sign with it. */
  flagsCarry(carry: Value<'i32'>): void {
    this.recent = undefined
    const old = this.f.let(this.state32(S.FLAG_CARRY))
    const flip = this.f.let(old.xor(carry).and(1))
    this.setState(S.FLAG_XOR, this.state64(S.FLAG_XOR).xor(flip.extendU().shl(63)))
    this.setState(S.FLAG_CARRY, old.xor(flip))
  }

  carry(): Value<'i32'> {
    return this.state32(S.FLAG_CARRY).and(1)
  }

  zero(): Value<'i32'> {
    return this.state64(S.FLAG_RESULT).eqz()
  }

  sign(): Value<'i32'> {
    return this.state64(S.FLAG_RESULT).shrU(63).wrap().xor(this.state32(S.FLAG_CARRY).shrU(7).and(1))
  }

  parity(): Value<'i32'> {
    const even = this.state32(S.FLAG_RESULT).and(0xff).popcnt().xor(1).and(1)
    return even.xor(this.state32(S.FLAG_CARRY).shrU(2).and(1))
  }

  auxiliary(): Value<'i32'> {
    return this.state32(S.FLAG_RESULT).xor(this.state32(S.FLAG_XOR)).shrU(4).and(1)
  }

  overflow(): Value<'i32'> {
    const sign = this.state64(S.FLAG_RESULT).xor(this.state64(S.FLAG_XOR)).shrU(63).wrap()
    return sign.xor(this.carry())
  }

  /** SF != OF: the signs of the result cancel. */
  private less(): Value<'i32'> {
    const carry = this.f.let(this.state32(S.FLAG_CARRY))
    return this.state64(S.FLAG_XOR)
      .shrU(63)
      .wrap()
      .xor(carry.xor(carry.shrU(7)).and(1))
  }

  /** 0 or 1. */
  condition(condition: Condition): Value<'i32'> {
    const direct = this.recentCondition(condition)
    if (direct) return direct
    switch (condition) {
      case 'o':
        return this.overflow()
      case 'no':
        return this.overflow().eqz()
      case 'b':
        return this.carry()
      case 'ae':
        return this.carry().eqz()
      case 'e':
        return this.zero()
      case 'ne':
        return this.zero().eqz()
      case 'be':
        return this.carry().or(this.zero())
      case 'a':
        return this.carry().or(this.zero()).eqz()
      case 's':
        return this.sign()
      case 'ns':
        return this.sign().eqz()
      case 'p':
        return this.parity()
      case 'np':
        return this.parity().eqz()
      case 'l':
        return this.less()
      case 'ge':
        return this.less().eqz()
      case 'le':
        return this.less().or(this.zero())
      case 'g':
        return this.less().or(this.zero()).eqz()
    }
  }

  private recentCondition(condition: Condition): Value<'i32'> | undefined {
    const recent = this.recent
    if (recent === undefined) return undefined
    const { bits, result } = recent
    switch (condition) {
      case 'e':
        return isZero(result)
      case 'ne':
        return isZero(result).eqz()
      case 's':
        return signOf(result, bits)
      case 'ns':
        return signOf(result, bits).eqz()
    }
    if (recent.kind === 'logic') {
      switch (condition) {
        case 'l':
          return signOf(result, bits)
        case 'ge':
          return signOf(result, bits).eqz()
        case 'b':
          return i32(0)
        case 'ae':
          return i32(1)
        case 'be':
          return isZero(result)
        case 'a':
          return isZero(result).eqz()
        case 'le':
          return isZero(result).or(signOf(result, bits))
        case 'g':
          return isZero(result).or(signOf(result, bits)).eqz()
      }
      return undefined
    }
    const [a, b] = [recent.a, recent.b]
    switch (condition) {
      case 'b':
        return ltU(a, b)
      case 'ae':
        return ltU(a, b).eqz()
      case 'be':
        return ltU(b, a).eqz()
      case 'a':
        return ltU(b, a)
      case 'l':
        return ltS(a, b, bits)
      case 'ge':
        return ltS(a, b, bits).eqz()
      case 'le':
        return ltS(b, a, bits).eqz()
      case 'g':
        return ltS(b, a, bits)
    }
    return undefined
  }
}
