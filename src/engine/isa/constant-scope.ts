/**
 * A scope whose operands are constants: the fields of a record that is already decoded. What the interpreter loads at
 * run time is known when a block is compiled, so addresses of registers fold and absent operands disappear. General
 * registers are read once and kept in locals; every write still goes to the state as well, so that a fault, a call or
 * the end of the block finds it complete.
 */

import * as R from '../decoder/record.ts'
import type { HostMemory } from '../host-memory.ts'
import { MODE_FLAT_DATA, MODE_LIMITED_CODE } from '../mode.ts'
import * as S from '../state.ts'
import type { FunctionBuilder, Local } from '../wasm/function-builder.ts'
import { i32, i64, type Value } from '../wasm/value.ts'
import { RecordScope, type ScopeOptions } from './record-scope.ts'
import type { Bits, Word } from './word.ts'

const REGISTERS = 16

/** General registers that locals of a compiled function hold, at the point that is being emitted. */
export class RegisterLocals {
  readonly #f: FunctionBuilder
  readonly #locals: readonly Local<'i64'>[]
  readonly #valid = new Uint8Array(REGISTERS)
  /** Control depth at which code runs whenever the block does: only there a register may be taken into a local. */
  readonly #depth: number

  /** @param locals one for each general register */
  constructor(f: FunctionBuilder, locals: readonly Local<'i64'>[]) {
    this.#f = f
    this.#locals = locals
    this.#depth = f.depth
  }

  /** The register's local, loaded if it has none yet; undefined where it can't be had. */
  get(index: number): Local<'i64'> | undefined {
    if (this.#valid[index] === 0) {
      if (this.#f.depth !== this.#depth) return undefined
      this.#f.set(this.#locals[index], this.#f.load('i64', i32(S.GPR + index * 8)))
      this.#valid[index] = 1
    }
    return this.#locals[index]
  }

  /** The register's local if it holds the register now. */
  held(index: number): Local<'i64'> | undefined {
    return this.#valid[index] === 0 ? undefined : this.#locals[index]
  }

  /** Takes a value that has just been stored into the register. */
  take(index: number, value: Value<'i64'>): void {
    if (this.#valid[index] === 0 && this.#f.depth !== this.#depth) return
    this.#f.set(this.#locals[index], value)
    this.#valid[index] = 1
  }

  /** The registers may have changed behind the locals. */
  forget(): void {
    this.#valid.fill(0)
  }
}

export interface ConstantScopeOptions extends ScopeOptions {
  readonly memory: HostMemory
  readonly registers: RegisterLocals
  /** Nobody reads the status flags that this instruction sets. */
  readonly flagsDead: boolean
}

export class ConstantScope extends RecordScope {
  readonly #memory: HostMemory
  readonly #address: number
  readonly #registers: RegisterLocals
  readonly #flagsDead: boolean

  /** @param address of the decoded record, of which only links change while the code made from it is used. */
  constructor(options: ConstantScopeOptions, address: number) {
    super(options, i32(address))
    this.#memory = options.memory
    this.#address = address
    this.#registers = options.registers
    this.#flagsDead = options.flagsDead
  }

  override field(offset: number, bytes: 1 | 2 | 4): Value<'i32'> {
    const { view } = this.#memory
    const at = this.#address + offset
    return i32(bytes === 1 ? view.getUint8(at) : bytes === 2 ? view.getUint16(at, true) : view.getInt32(at, true))
  }

  override signedField(offset: number): Value<'i64'> {
    return i64(this.#memory.view.getInt32(this.#address + offset, true))
  }

  override wideField(offset: number): Value<'i64'> {
    return i64(this.#memory.view.getBigInt64(this.#address + offset, true))
  }

  override register64(offset: number): Value<'i64'> {
    const at = this.#memory.view.getUint16(this.#address + offset, true)
    if (at === S.ZERO) return i64(0)
    const index = registerIndex(at)
    return (index === undefined ? undefined : this.#registers.get(index)) ?? super.register64(offset)
  }

  /** In a flat segment nothing is to be added or checked: no call is needed, as `linear` of the runtime would find. */
  override linear(segment: Value<'i32'>, offset: Value<'i64'>, bytes: number, write: boolean): Value<'i64'> {
    switch (this.#memory.u8[this.#address + R.ADDRESS_KIND]) {
      case R.AddressKind.flat32:
        return offset.and(0xffff_ffff)
      case R.AddressKind.flat16:
        return offset.and(0xffff)
      default:
        return super.linear(segment, offset, bytes, write)
    }
  }

  override get flatStack(): 64 | 32 | undefined {
    if (this.long) return 64
    return (this.#mode & MODE_FLAT_DATA) === 0 ? undefined : 32
  }

  /** Without a limit every target of 32 bits will do. */
  override requireTarget(rip: Value<'i64'>): void {
    if (this.long || (this.#mode & MODE_LIMITED_CODE) !== 0) super.requireTarget(rip)
  }

  override unretired(): Value<'i32'> {
    const slot = this.#memory.u8[this.#address + R.SLOT]
    return i32(this.#memory.i32[(this.#header + R.BLOCK_COUNT) >> 2] - slot)
  }

  /** Of the block. */
  get #header(): number {
    return this.#address - (this.#memory.u8[this.#address + R.SLOT] + 1) * R.RECORD_SIZE
  }

  get #mode(): number {
    return this.#memory.u16[(this.#header + R.BLOCK_MODE) >> 1]
  }

  protected override loadState(at: Value<'i32'>, bits: Bits): Word {
    const address = at.constant === undefined ? undefined : Number(at.constant)
    const index = address === undefined ? undefined : registerIndex(address)
    const local = index === undefined ? undefined : this.#registers.get(index)
    if (local === undefined || address === undefined) return super.loadState(at, bits)
    // A copy: the local changes when the register is written, what was read does not.
    if (bits === 64) return this.f.variable(local)
    if (bits === 32) return this.f.variable(local.wrap())
    const shifted = address & 1 ? local.shrU(8) : local
    return this.f.variable(shifted.wrap().and(bits === 8 ? 0xff : 0xffff))
  }

  override storeRegister(at: Value<'i32'>, bits: Bits, value: Word): void {
    const address = at.constant === undefined ? undefined : Number(at.constant)
    const index = address === undefined ? undefined : registerIndex(address)
    if (index === undefined || address === undefined) {
      super.storeRegister(at, bits, value)
      return
    }
    if (bits >= 32) {
      const whole = this.f.let(value.extendU())
      this.f.store(at, whole)
      this.#registers.take(index, whole)
      return
    }
    const held = this.#registers.held(index)
    const part = this.name(value)
    super.storeRegister(at, bits, part)
    if (held === undefined) return
    const shift = address & 1 ? 8 : 0
    const mask = (bits === 8 ? 0xff : 0xffff) << shift
    const inserted = part
      .extendU()
      .and(bits === 8 ? 0xff : 0xffff)
      .shl(shift)
    this.#registers.take(index, held.and(~BigInt(mask)).or(inserted))
  }

  override setFlags(result: Value<'i64'>, xor: Value<'i64'>, carry: Value<'i32'>): void {
    if (this.#flagsDead) this.recent = undefined
    else super.setFlags(result, xor, carry)
  }

  override registersChanged(): void {
    this.#registers.forget()
    this.recent = undefined
  }
}

/** Index of the general register that an address of the state lies in. */
function registerIndex(address: number): number | undefined {
  const index = (address - S.GPR) >> 3
  return index >= 0 && index < REGISTERS ? index : undefined
}
