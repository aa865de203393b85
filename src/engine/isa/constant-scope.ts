/**
 * A scope whose operands are constants: the fields of a record that is already decoded. What the interpreter loads at
 * run time is known when a block is compiled, so addresses of registers fold and absent operands disappear.
 */

import type { HostMemory } from '../host-memory.ts'
import * as S from '../state.ts'
import { i32, i64, type Value } from '../wasm/value.ts'
import { RecordScope, type ScopeOptions } from './record-scope.ts'

export class ConstantScope extends RecordScope {
  readonly #memory: HostMemory
  readonly #address: number

  /** @param address of the decoded record, which must not change while the code made from it is used. */
  constructor(options: ScopeOptions, memory: HostMemory, address: number) {
    super(options, i32(address))
    this.#memory = memory
    this.#address = address
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
    return at === S.ZERO ? i64(0) : super.register64(offset)
  }
}
