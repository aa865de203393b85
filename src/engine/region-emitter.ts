/**
 * Emits a region, blocks of one page that lead to each other, as one function: a loop around a `br_table` over its
 * blocks. A transition inside the region keeps BLOCK_RIP and the budget as the interpreter does.
 */

import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import { CALLED_JUMPED, CALLED_LEFT } from './interpreter/called-handlers.ts'
import { hashOf, nestBodies } from './interpreter/generate.ts'
import { ConstantScope, RegisterLocals } from './isa/constant-scope.ts'
import { flagsAreDead } from './isa/flag-use.ts'
import type { Handler } from './isa/handlers.ts'
import type { Continuation } from './isa/record-scope.ts'
import type { Runtime } from './isa/runtime.ts'
import { JUMP_CACHE } from './layout.ts'
import * as S from './state.ts'
import type { FunctionBuilder, Label, Local } from './wasm/function-builder.ts'
import { i32, type Value } from './wasm/value.ts'

export interface RegionRecord {
  readonly address: number
  /** Number of the record's handler before the region replaced it. */
  readonly number: number
  readonly handler: Handler
}

export interface RegionBlock {
  /** Address of the block's header. */
  readonly header: number
  readonly records: readonly RegionRecord[]
}

/** Does a block end in a branch whose targets are links? */
export function isDirect({ records }: RegionBlock): boolean {
  return records[records.length - 1].handler.shape === 'b'
}

export class RegionEmitter {
  readonly #f: FunctionBuilder
  readonly #runtime: Runtime
  readonly #memory: HostMemory
  readonly #region: readonly RegionBlock[]
  /** Number of the region: its entry in the table of called handlers. */
  readonly #number: number
  readonly #indices: ReadonlyMap<number, number>
  readonly #which: Local<'i32'>
  readonly #registers: Local<'i64'>[] = []

  /** @param f a function that takes the first record of the block to enter, and returns what a called handler does */
  constructor(
    f: FunctionBuilder,
    runtime: Runtime,
    memory: HostMemory,
    region: readonly RegionBlock[],
    number: number,
  ) {
    this.#f = f
    this.#runtime = runtime
    this.#memory = memory
    this.#region = region
    this.#number = number
    this.#indices = new Map(region.map(({ header }, index) => [header, index]))
    this.#which = f.local('i32')
    for (let i = 0; i < 16; i++) this.#registers.push(f.local('i64'))
  }

  emit(): void {
    const f = this.#f
    const header = f.parameter(0, 'i32').sub(R.RECORD_SIZE)
    f.set(this.#which, f.load('i32', header, R.BLOCK_REGION_INDEX))
    f.loop(again => {
      nestBodies(
        f,
        this.#region.map(block => () => this.#emitBlock(block, again)),
        () => this.#which,
      )
    })
    f.unreachable()
  }

  #emitBlock({ records }: RegionBlock, again: Label): void {
    const continuation = this.#continuation(records[records.length - 1], again)
    const registers = new RegisterLocals(this.#f, this.#registers)
    const names = records.map(({ handler }) => ({ name: handler.definition.name, shape: handler.shape }))
    let recent: ConstantScope['recent']
    records.forEach(({ address, handler: { definition, shape, long } }, i) => {
      const options = {
        ...{ f: this.#f, runtime: this.#runtime, bits: definition.bits, shape, long, continuation },
        ...{ memory: this.#memory, registers, flagsDead: flagsAreDead(names.slice(i + 1)) },
      }
      const scope = new ConstantScope(options, address)
      scope.recent = recent
      definition.emit(scope)
      recent = scope.recent
    })
  }

  #continuation(last: RegionRecord, again: Label): Continuation {
    const f = this.#f
    return {
      follow: (slot, rip) => this.#follow(last.address, slot, rip, again),
      lookUp: rip => this.#jump(rip, again),
      leave: rip => {
        if (rip !== undefined) f.store(i32(0), rip, S.RIP)
        f.return(i32(CALLED_LEFT))
      },
    }
  }

  /** A direct branch: to a block of the region, to another one that the link names, or to one to be looked up. */
  #follow(record: number, slot: number, rip: Value<'i64'>, again: Label): void {
    const f = this.#f
    const linked = this.#memory.i32[(record + slot) >> 2]
    const index = this.#indices.get(linked)
    if (index !== undefined) {
      f.store(i32(0), rip, S.BLOCK_RIP)
      const count = i32(this.#memory.i32[(linked + R.BLOCK_COUNT) >> 2])
      this.#stay(count, i32(index), again)
      f.return(i32(linked))
      return
    }
    const link = f.let(f.load('i32', i32(record), slot))
    f.if(link.gtU(1), () => {
      f.store(i32(0), rip, S.BLOCK_RIP)
      f.return(link)
    })
    f.if(link, () => this.#jump(rip, again))
    f.store(i32(0), rip, S.RIP)
    f.store(i32(0), i32(record + slot), S.LINK_SLOT)
    f.return(i32(CALLED_JUMPED))
  }

  /** Goes on with a block of the region while the budget has room for it; BLOCK_RIP is set. */
  #stay(count: Value<'i32'>, index: Value<'i32'>, again: Label): void {
    const f = this.#f
    const left = f.let(f.load('i32', i32(0), S.BUDGET).sub(count))
    f.if(
      left.geS(0),
      () => {
        f.store(i32(0), left, S.BUDGET)
        f.set(this.#which, index)
        f.br(again)
      },
      undefined,
      true,
    )
  }

  /**
   * A transfer to a RIP known at run time: the jump cache may know its block, and that may be one of the region. Entries
   * that have moved to their neighbours are the interpreter's to find.
   */
  #jump(rip: Value<'i64'>, again: Label): void {
    const f = this.#f
    const target = f.let(rip)
    const slot = f.let(hashOf(target.wrap()))
    const hit = f
      .load('i64', slot, JUMP_CACHE)
      .eq(target)
      .and(f.load('i32', slot, JUMP_CACHE + 8).eq(f.load('i32', i32(0), S.FETCH_CONTEXT)))
    f.if(
      hit,
      () => {
        const block = f.let(f.load('i32', slot, JUMP_CACHE + 12))
        f.store(i32(0), target, S.BLOCK_RIP)
        f.if(f.load('i32', block, R.BLOCK_REGION).eq(this.#number), () =>
          this.#stay(f.load('i32', block, R.BLOCK_COUNT), f.load('i32', block, R.BLOCK_REGION_INDEX), again),
        )
        f.return(block)
      },
      undefined,
      true,
    )
    f.store(i32(0), target, S.RIP)
    f.store(i32(0), i32(0), S.LINK_SLOT)
    f.return(i32(CALLED_JUMPED))
  }
}
