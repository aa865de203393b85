/**
 * Generates the interpreter: one WebAssembly function that runs decoded blocks, with the hot handlers in its loop
 * behind one `br_table`; the others are called through a table (`called-handlers.ts`).
 */

import * as R from '../decoder/record.ts'
import type { Definitions } from '../isa/definition.ts'
import { type Handler, listHandlers } from '../isa/handlers.ts'
import { type Continuation, RecordScope } from '../isa/record-scope.ts'
import { JUMP_CACHE, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_SIZE } from '../layout.ts'
import * as S from '../state.ts'
import type { FunctionBuilder } from '../wasm/function-builder.ts'
import { ModuleBuilder } from '../wasm/module-builder.ts'
import { i32, type Value } from '../wasm/value.ts'
import { CALLED_JUMPED, CALLED_LEFT } from './called-handlers.ts'
import { listFusions } from './fusion.ts'
import { addRuntimeFunctions } from './runtime-functions.ts'

/** Why `run` returned. */
export const RETURN_LOOKUP = 0
export const RETURN_BUDGET = 1
export const RETURN_LEFT = 2
/** The block that LINK_SLOT names has become hot; nothing of it has run, BLOCK_RIP and RIP are its. */
export const RETURN_HOT = 3

/** Room in the table of called handlers for compiled regions, unless a processor is told otherwise. */
const COMPILED_REGIONS = 32768

export interface GeneratedInterpreter {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Handler numbers by key. */
  readonly handlers: ReadonlyMap<string, number>
  /** Handlers by entry of the exported `table`, which is empty at first, and the handler number of entry 0. */
  readonly called: readonly Handler[]
  readonly firstCalled: number
}

/**
 * Hash of a RIP into the jump cache, as an offset from its start. What was there before may have moved to its neighbour,
 * which is the other entry of the same 32 bytes.
 */
export function jumpCacheSlot(ripLow: number): number {
  return ((ripLow ^ (ripLow >>> 11)) & (JUMP_CACHE_ENTRIES - 1)) << 4
}

export function generateInterpreter(
  definitions: Definitions,
  memoryPages: number,
  compiledRegions = COMPILED_REGIONS,
): GeneratedInterpreter {
  const module = new ModuleBuilder()
  const runtime = addRuntimeFunctions(module)
  const listed = listHandlers(definitions)
  const inline = listed.filter(handler => handler.inline)
  const called = listed.filter(handler => !handler.inline)
  const fusions = listFusions(definitions)

  const numbers = new Map<string, number>()
  for (const { key } of [...inline, ...fusions, ...called]) numbers.set(key, numbers.size)
  const firstCalled = inline.length + fusions.length

  const run = module.declare(['i32'], 'i32', 'run')
  module.setTable(called.length + compiledRegions, 'table')

  const f = run.builder
  const record = f.parameter(0, 'i32')
  const target = f.local('i64')
  const link = f.local('i32')
  const calledType = module.typeIndex(['i32'], 'i32')

  f.loop(enter => {
    const heat = f.let(f.load('i32', record, R.BLOCK_HEAT).sub(1))
    f.store(record, heat, R.BLOCK_HEAT)
    f.if(
      heat.eqz(),
      () => {
        f.store(i32(0), f.load('i64', i32(0), S.BLOCK_RIP), S.RIP)
        f.store(i32(0), record, S.LINK_SLOT)
        f.return(i32(RETURN_HOT))
      },
      undefined,
      false,
    )
    const left = f.let(f.load('i32', i32(0), S.BUDGET).sub(f.load('i32', record, R.BLOCK_COUNT)))
    f.if(
      left.ltS(0),
      () => {
        f.store(i32(0), f.load('i64', i32(0), S.BLOCK_RIP), S.RIP)
        f.return(i32(RETURN_BUDGET))
      },
      undefined,
      false,
    )
    f.store(i32(0), left, S.BUDGET)
    f.set(record, record.add(R.RECORD_SIZE))
    f.loop(next => {
      f.block(lookUp => {
        const continuation: Continuation = {
          enter: (block, rip) => {
            f.store(i32(0), rip, S.BLOCK_RIP)
            f.set(record, block)
            f.br(enter)
          },
          lookUp: (rip, where) => {
            f.set(link, where)
            f.set(target, rip)
            f.br(lookUp)
          },
          leave: rip => {
            if (rip !== undefined) f.store(i32(0), rip, S.RIP)
            f.return(i32(RETURN_LEFT))
          },
        }
        const bodies: (() => void)[] = inline.map(({ definition, shape, long }) => () => {
          definition.emit(new RecordScope({ f, runtime, bits: definition.bits, shape, long, continuation }, record))
          if (definition.ends === 'jump') return
          f.set(record, record.add(R.RECORD_SIZE))
          f.br(next)
        })
        for (const { first, second, shape } of fusions)
          bodies.push(() => {
            const options = { f, runtime, long: true, continuation }
            const a = new RecordScope({ ...options, bits: first.bits, shape }, record)
            first.emit(a)
            const b = new RecordScope({ ...options, bits: second.bits, shape: 'b' }, record, R.RECORD_SIZE)
            b.recent = a.recent
            second.emit(b)
          })
        bodies.push(() => {
          const index = f.load('i32', record, R.HANDLER, 2).sub(firstCalled)
          const status = f.let(f.callIndirect('i32', calledType, index, record))
          f.if(status.eqz(), () => {
            f.set(record, record.add(R.RECORD_SIZE))
            f.br(next)
          })
          f.if(status.eq(CALLED_LEFT), () => f.return(i32(RETURN_LEFT)), undefined, false)
          f.if(status.ne(CALLED_JUMPED), () => {
            f.set(record, status)
            f.br(enter)
          })
          f.set(link, f.load('i32', i32(0), S.LINK_SLOT))
          f.set(target, f.load('i64', i32(0), S.RIP))
          f.br(lookUp)
        })
        nestBodies(f, bodies, () => f.load('i32', record, R.HANDLER, 2))
      })
      const first = f.let(hashOf(target.wrap()))
      for (const slot of [first, f.let(first.xor(JUMP_CACHE_ENTRY_SIZE))]) {
        const hit = f
          .load('i64', slot, JUMP_CACHE)
          .eq(target)
          .and(f.load('i32', slot, JUMP_CACHE + 8).eq(f.load('i32', i32(0), S.FETCH_CONTEXT)))
        f.if(hit, () => {
          const block = f.let(f.load('i32', slot, JUMP_CACHE + 12))
          f.if(link.and(f.load('i32', block, R.BLOCK_LINKABLE)), () => f.store(link, block))
          f.store(i32(0), target, S.BLOCK_RIP)
          f.set(record, block)
          f.br(enter)
        })
      }
      f.store(i32(0), target, S.RIP)
      f.store(i32(0), link, S.LINK_SLOT)
      f.return(i32(RETURN_LOOKUP))
    })
  })
  f.unreachable()
  return { bytes: module.encode(memoryPages), handlers: numbers, called, firstCalled }
}

/** The same hash at run time. */
export function hashOf(rip: Value<'i32'>): Value<'i32'> {
  return rip
    .xor(rip.shrU(11))
    .and(JUMP_CACHE_ENTRIES - 1)
    .shl(4)
}

/** `switch (index)` over bodies that never fall through: a block each, the last body for every larger index. */
export function nestBodies(f: FunctionBuilder, bodies: readonly (() => void)[], index: () => Value<'i32'>): void {
  f.nest(
    bodies.length,
    ends => f.brTable(index(), ends.slice(0, -1), ends[ends.length - 1]),
    body => f.scope(bodies[body]),
  )
}
