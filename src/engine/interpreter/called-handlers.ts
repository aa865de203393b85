/**
 * Handlers outside the interpreter's loop. There are thousands and a guest uses a few hundred, so that each is generated
 * when an instruction that needs it is decoded for the first time: one small module for all that a block needs.
 */

import type { Handler } from '../isa/handlers.ts'
import { type Continuation, RecordScope } from '../isa/record-scope.ts'
import type { Runtime } from '../isa/runtime.ts'
import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { ModuleBuilder } from '../wasm/module-builder.ts'
import { i32, type Value } from '../wasm/value.ts'
import { importRuntimeFunctions } from './runtime-functions.ts'

/** What a called handler says; larger numbers are the address of the block to enter, BLOCK_RIP being set. */
export const CALLED_NEXT = 0
export const CALLED_LEFT = 1
/** RIP is set, and LINK_SLOT says where to remember its block. */
export const CALLED_JUMPED = 2

/** Where handlers go once the interpreter is there. */
export interface HandlerHome {
  readonly table: WebAssembly.Table
  readonly imports: WebAssembly.ModuleImports
  readonly memoryPages: number
}

export class CalledHandlers {
  readonly #handlers: readonly Handler[]
  readonly #first: number
  /** By table entry: 1 once it is generated, or about to be. */
  readonly #known: Uint8Array
  #missing: number[] = []
  #home: HandlerHome | undefined

  /** @param handlers by table entry; @param first handler number of entry 0 */
  constructor(handlers: readonly Handler[], first: number) {
    this.#handlers = handlers
    this.#first = first
    this.#known = new Uint8Array(handlers.length)
  }

  connect(home: HandlerHome): void {
    this.#home = home
  }

  /** Notes that a record names a handler: it is there after the next {@link install}. */
  require(number: number): void {
    const entry = number - this.#first
    if (entry < 0 || entry >= this.#known.length || this.#known[entry] !== 0) return
    this.#known[entry] = 1
    this.#missing.push(entry)
  }

  install(): void {
    if (this.#missing.length === 0) return
    const entries = this.#missing
    this.#missing = []
    if (this.#home === undefined) throw new Error('handlers are needed before there is an interpreter to call them')
    const { table, imports, memoryPages } = this.#home
    const module = new ModuleBuilder()
    const runtime = importRuntimeFunctions(module)
    entries.forEach((entry, i) => {
      emitHandler(module.declare(['i32'], 'i32', `handler${i}`).builder, runtime, this.#handlers[entry])
    })
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode(memoryPages)), { env: imports })
    entries.forEach((entry, i) => {
      table.set(entry, exports[`handler${i}`])
    })
  }
}

function emitHandler(f: FunctionBuilder, runtime: Runtime, { definition, shape, long }: Handler): void {
  const leave = (code: number) => (rip: Value<'i64'> | undefined) => {
    if (rip !== undefined) f.store(i32(0), rip, S.RIP)
    f.return(i32(code))
  }
  const continuation: Continuation = {
    lookUp: (rip, link) => {
      f.store(i32(0), link, S.LINK_SLOT)
      leave(CALLED_JUMPED)(rip)
    },
    leave: leave(CALLED_LEFT),
  }
  const options = { f, runtime, bits: definition.bits, shape, long, continuation }
  definition.emit(new RecordScope(options, f.parameter(0, 'i32')))
  f.return(i32(CALLED_NEXT))
  f.unreachable()
}
