/** Compiles definitions alone: one function for each form, operands constant, memory addressed as it is. */

import { HostMemory } from '../../../src/engine/host-memory.ts'
import type { Definition } from '../../../src/engine/isa/definition.ts'
import { InstructionScope } from '../../../src/engine/isa/instruction-scope.ts'
import type { Runtime } from '../../../src/engine/isa/runtime.ts'
import { TLB_ADDRESSES } from '../../../src/engine/isa/runtime.ts'
import * as S from '../../../src/engine/state.ts'
import type { FunctionBuilder } from '../../../src/engine/wasm/function-builder.ts'
import { ModuleBuilder } from '../../../src/engine/wasm/module-builder.ts'
import { i32, i64, type Value } from '../../../src/engine/wasm/value.ts'

/** Where the immediate and the memory operand of the form that runs lie. */
export const IMMEDIATE_AT = 0x800
export const MEMORY_AT = 0x10_0000

const PAGES = 32

/** A scope whose registers are constants, and whose immediate is only known at run time, as in the interpreter. */
class TestScope extends InstructionScope {
  readonly #addresses: readonly number[]
  readonly #memory: number

  constructor(f: FunctionBuilder, runtime: Runtime, definition: Definition, form: CompiledForm) {
    super(f, runtime, definition.bits, form.shape, true)
    this.#addresses = form.addresses
    this.#memory = form.memory ?? MEMORY_AT
  }

  registerAddress(operand: number): Value<'i32'> {
    return i32(this.#addresses[operand])
  }
  immediate(): Value<'i32'> {
    return this.f.load('i32', i32(IMMEDIATE_AT))
  }
  effectiveOffset(): Value<'i64'> {
    return i64(this.#memory)
  }
  record(): Value<'i32'> {
    return i32(0)
  }
  wideImmediate(): never {
    throw new Error('no wide immediate here')
  }
  nextRip(): never {
    throw new Error('no RIP here')
  }
  rip(): never {
    throw new Error('no RIP here')
  }
  branchTarget(): never {
    throw new Error('no branches here')
  }
  jumpDirect(): never {
    throw new Error('no branches here')
  }
  jumpIf(): never {
    throw new Error('no branches here')
  }
  jumpTo(): never {
    throw new Error('no branches here')
  }
  leaveIf(): never {
    throw new Error('no exits here')
  }
  leaveAtRip(): never {
    throw new Error('no exits here')
  }
  leaveHere(): never {
    throw new Error('no exits here')
  }
  attributes(): never {
    throw new Error('no attributes here')
  }
  segmentAddress(): never {
    throw new Error('no segments here')
  }
}

export interface CompiledForm {
  readonly definition: Definition
  readonly shape: string
  /** State address of each register operand. */
  readonly addresses: readonly number[]
  /** Linear address of the memory operand, {@link MEMORY_AT} unless given. */
  readonly memory?: number
}

/** Thrown where the guest would see an exception. */
export class Raised {
  readonly vector: number
  constructor(vector: number) {
    this.vector = vector
  }
}

/** The forms as functions over one memory; running one throws {@link Raised} for an exception. */
export async function compileForms(
  forms: readonly CompiledForm[],
  sseSlow: (memory: HostMemory) => (operation: number, record: number) => void,
): Promise<{ memory: HostMemory; run: (index: number) => void }> {
  const module = new ModuleBuilder()
  const runtime: Runtime = {
    ...TLB_ADDRESSES,
    slowRead: module.import('slowRead', ['i64', 'i32', 'i32'], 'i32'),
    slowWrite: module.import('slowWrite', ['i64', 'i32', 'i32'], 'i32'),
    commit: module.import('commit', ['i32'], 'void'),
    linear: module.import('linear', ['i32', 'i32', 'i64', 'i32', 'i32'], 'i64'),
    stackTop: module.import('stackTop', ['i32', 'i32'], 'i64'),
    frameTop: module.import('frameTop', ['i32', 'i32'], 'i64'),
    stackFromFrame: module.import('stackFromFrame', [], 'void'),
    push: module.import('push', ['i64', 'i32', 'i32'], 'void'),
    stackAdjust: module.import('stackAdjust', ['i64'], 'void'),
    divideWide: module.import('divideWide', ['i32', 'i32', 'i32'], 'void'),
    raise: module.import('raise', ['i32', 'i32'], 'void'),
    assist: module.import('assist', ['i32'], 'void'),
    sseSlow: module.import('sseSlow', ['i32', 'i32'], 'void'),
  }
  forms.forEach((form, index) => {
    const { builder } = module.declare([], 'void', `form${index}`)
    form.definition.emit(new TestScope(builder, runtime, form.definition, form))
  })
  const memory = new HostMemory(PAGES * 65536)
  const unused = () => {
    throw new Error('an SSE definition has no business here')
  }
  const env = {
    memory: memory.memory,
    slowRead: (linear: bigint) => Number(linear),
    slowWrite: (linear: bigint) => Number(linear),
    commit: unused,
    linear: unused,
    stackTop: unused,
    frameTop: unused,
    stackFromFrame: unused,
    push: unused,
    stackAdjust: unused,
    divideWide: unused,
    raise: (vector: number) => {
      throw new Raised(vector)
    },
    assist: unused,
    sseSlow: sseSlow(memory),
  }
  const { instance } = await WebAssembly.instantiate(module.encode(PAGES), { env })
  // No tag of the TLB matches, so that every access goes to the slow path.
  memory.u64[S.ASID >> 3] = 1n
  return {
    memory,
    run: index => {
      const compiled = instance.exports[`form${index}`]
      if (typeof compiled !== 'function') throw new Error(`form ${index} was not compiled`)
      compiled()
    },
  }
}
