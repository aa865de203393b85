/** Compiles definitions alone, as the interpreter would call them: one function for each form, on a decoded record. */

import * as R from '../../../src/engine/decoder/record.ts'
import { HostMemory } from '../../../src/engine/host-memory.ts'
import { addRuntimeFunctions } from '../../../src/engine/interpreter/runtime-functions.ts'
import { type Definition, type Definitions, DefinitionTable } from '../../../src/engine/isa/definition.ts'
import { defineMmx } from '../../../src/engine/isa/mmx.ts'
import { RecordScope } from '../../../src/engine/isa/record-scope.ts'
import { defineSse } from '../../../src/engine/isa/sse.ts'
import { createStringComparison } from '../../../src/engine/packed-strings.ts'
import * as S from '../../../src/engine/state.ts'
import { ModuleBuilder } from '../../../src/engine/wasm/module-builder.ts'

/** Linear and host address of memory operands. */
export const MEMORY_AT = 0x10_0000

const PAGES = 32
const RECORD_AT = 0x18_0000
const RDI = S.GPR + 7 * 8

export interface CompiledForm {
  readonly definition: Definition
  /** As in `InstructionScope`. */
  readonly shape: string
  /** State address of each register operand. */
  readonly addresses: readonly number[]
}

function createTable(): Definitions {
  const table = new DefinitionTable()
  defineSse(table)
  defineMmx(table)
  return table.entries
}

export const definitions = createTable()

/** A form of the instruction `code`; `registers` are the numbers of register operands, each in its file. */
export function formOf(code: string, shape: string, registers: readonly number[]): CompiledForm {
  const definition = definitions.get(code)
  if (definition === undefined || 'assist' in definition) throw new Error(`${code} has no definition`)
  const files = code.split('_').slice(1)
  const addresses = registers.map((number, operand) => {
    const file = files[operand] ?? ''
    if (file.startsWith('xmm')) return S.VECTORS + number * S.VECTOR_STRIDE
    if (file.startsWith('mm')) return S.X87_REGISTERS + number * 16
    return S.GPR + number * 8
  })
  return { definition, shape, addresses }
}

/** Thrown where the guest would see an exception. */
export class Raised {
  readonly vector: number
  constructor(vector: number) {
    this.vector = vector
  }
}

export interface CompiledForms {
  readonly memory: HostMemory
  /** Runs a form with the memory operand at `address`; throws {@link Raised} for an exception. */
  run(index: number, immediate?: number, address?: number): void
}

/** The forms as functions over one memory. Addresses of memory operands from `unmapped` on fault with vector 14. */
export async function compileForms(
  forms: readonly CompiledForm[],
  sseSlow: (memory: HostMemory) => (operation: number, record: number) => void,
  unmapped = MEMORY_AT + 4096,
): Promise<CompiledForms> {
  const module = new ModuleBuilder()
  const runtime = addRuntimeFunctions(module)
  forms.forEach(({ definition, shape }, index) => {
    const { builder: f } = module.declare(['i32'], 'void', `form${index}`)
    const continuation = { lookUp: unreachable, leave: unreachable }
    const options = { f, runtime, bits: definition.bits, shape, long: true, continuation }
    definition.emit(new RecordScope(options, f.parameter(0, 'i32')))
  })
  const memory = new HostMemory(PAGES * 65536)
  const translate = (low: number, _high: number, bytes: number) => {
    if (low + bytes > unmapped) throw new Raised(14)
    return low
  }
  const env: WebAssembly.ModuleImports = {
    memory: memory.memory,
    slowRead: translate,
    slowWrite: translate,
    raise: (vector: number) => {
      throw new Raised(vector)
    },
    sseSlow: sseSlow(memory),
    compareStrings: createStringComparison(memory),
  }
  const compiled = new WebAssembly.Module(module.encode(PAGES))
  for (const { name } of WebAssembly.Module.imports(compiled)) env[name] ??= unreachable
  const instance = await WebAssembly.instantiate(compiled, { env })
  // No tag of the TLB matches, so that every access goes to the slow path.
  memory.u64[S.ASID >> 3] = 1n
  return {
    memory,
    run: (index, immediate = 0, address = MEMORY_AT) => {
      const form = instance.exports[`form${index}`]
      if (typeof form !== 'function') throw new Error(`form ${index} was not compiled`)
      writeRecord(memory, forms[index].addresses, immediate)
      memory.u64[RDI >> 3] = BigInt(address)
      form(RECORD_AT)
    },
  }
}

/** A record whose memory operand is [RDI]. */
function writeRecord({ view, u8 }: HostMemory, addresses: readonly number[], immediate: number): void {
  u8.fill(0, RECORD_AT, RECORD_AT + R.RECORD_SIZE)
  addresses.forEach((address, operand) => {
    view.setUint16(RECORD_AT + R.OPERAND[operand], address, true)
  })
  view.setUint16(RECORD_AT + R.BASE, RDI, true)
  view.setUint16(RECORD_AT + R.INDEX, S.ZERO, true)
  view.setInt32(RECORD_AT + R.IMMEDIATE, immediate, true)
}

function unreachable(): never {
  throw new Error('an SSE or MMX definition has no business here')
}
