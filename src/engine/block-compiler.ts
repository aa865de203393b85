/**
 * Compiles one decoded block to a WebAssembly function from the same definitions that the interpreter is generated
 * from, with the operands of its records as constants. It behaves like the interpreter's run of that block, for callers
 * that enter it in the same way, and it imports the same functions.
 */

import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import { RETURN_BUDGET, RETURN_LEFT, RETURN_LOOKUP } from './interpreter/generate.ts'
import { addRuntimeFunctions } from './interpreter/runtime-functions.ts'
import { ConstantScope } from './isa/constant-scope.ts'
import type { Definitions } from './isa/definition.ts'
import { type Handler, listHandlers } from './isa/handlers.ts'
import type { Continuation } from './isa/record-scope.ts'
import type { Runtime } from './isa/runtime.ts'
import type { Imports } from './software-processor.ts'
import * as S from './state.ts'
import type { FunctionBuilder } from './wasm/function-builder.ts'
import { ModuleBuilder } from './wasm/module-builder.ts'
import { i32 } from './wasm/value.ts'

export interface CompiledBlock {
  /** Enters the block as `execute` of the processor does: BLOCK_RIP and BUDGET set; returns a `RETURN_...`. */
  readonly run: () => number
  /** Bytes of the module. */
  readonly size: number
}

export class BlockCompiler {
  readonly #memory: HostMemory
  readonly #imports: Imports
  /** Handlers by number; a fused handler stands for the first of its two, the second has its own record. */
  readonly #handlers = new Map<number, { readonly handler: Handler; readonly fused: boolean }>()

  /**
   * @param numbers handler numbers by key, as the decoder writes them into records
   * @param imports functions that generated code calls
   */
  constructor(memory: HostMemory, definitions: Definitions, numbers: ReadonlyMap<string, number>, imports: Imports) {
    this.#memory = memory
    this.#imports = imports
    const listed = new Map(listHandlers(definitions).map(handler => [handler.key, handler]))
    for (const [key, number] of numbers) {
      const [first, second] = key.split('+')
      const handler = listed.get(first)
      if (handler === undefined) throw new Error(`handler ${key} has no definition`)
      this.#handlers.set(number, { handler, fused: second !== undefined })
    }
  }

  /** @param block address of the block's header; its records must outlive the compiled function. */
  compile(block: number): CompiledBlock {
    const module = new ModuleBuilder()
    const runtime = addRuntimeFunctions(module)
    const { builder: f } = module.declare([], 'i32', 'run')
    const count = this.#memory.i32[(block + R.BLOCK_COUNT) >> 2]
    const left = f.let(f.load('i32', i32(0), S.BUDGET).sub(count))
    f.if(left.ltS(0), () => {
      f.store(i32(0), f.load('i64', i32(0), S.BLOCK_RIP), S.RIP)
      f.return(i32(RETURN_BUDGET))
    })
    f.store(i32(0), left, S.BUDGET)
    this.#emitRecords(f, runtime, block + R.RECORD_SIZE)
    f.unreachable()
    const bytes = module.encode(this.#memory.size / 65536)
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { ...this.#imports, memory: this.#memory.memory },
    })
    const { run } = instance.exports
    if (typeof run !== 'function') throw new Error('the compiled block exports no run function')
    return { run: () => run(), size: bytes.length }
  }

  /** Emits records from `first` to the one that ends the block: a jump, or the decoder's jump to what follows. */
  #emitRecords(f: FunctionBuilder, runtime: Runtime, first: number): void {
    const continuation: Continuation = {
      lookUp: rip => {
        f.store(i32(0), rip, S.RIP)
        f.return(i32(RETURN_LOOKUP))
      },
      leave: rip => {
        if (rip !== undefined) f.store(i32(0), rip, S.RIP)
        f.return(i32(RETURN_LEFT))
      },
    }
    for (let record = first, open = true; open; record += R.RECORD_SIZE) {
      const { handler, fused } = this.#handlerOf(record)
      f.scope(() => {
        const { definition, shape, long } = handler
        const options = { f, runtime, bits: definition.bits, shape, long, continuation }
        const scope = new ConstantScope(options, this.#memory, record)
        definition.emit(scope)
        open = definition.ends !== 'jump'
        if (!fused) return
        record += R.RECORD_SIZE
        const branch = this.#handlerOf(record).handler
        const next = new ConstantScope(
          { ...options, bits: branch.definition.bits, shape: branch.shape, long: branch.long },
          this.#memory,
          record,
        )
        next.recent = scope.recent
        branch.definition.emit(next)
        open = false
      })
    }
  }

  #handlerOf(record: number): { readonly handler: Handler; readonly fused: boolean } {
    const number = this.#memory.u16[(record + R.HANDLER) >> 1]
    const found = this.#handlers.get(number)
    if (found === undefined) throw new Error(`record at 0x${record.toString(16)} names no handler: ${number}`)
    return found
  }
}
