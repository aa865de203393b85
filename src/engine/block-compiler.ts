/**
 * The compiled tier: blocks that run often become WebAssembly functions, together with the blocks of the same page that
 * they lead to (a region), made from the same definitions that the interpreter is generated from, with the operands of
 * their records as constants. A region is a handler like any other: the interpreter enters a block of it, takes its
 * instructions from the budget, and calls the function instead of the first record's handler. Counts, faults and exits
 * are the interpreter's to the instruction.
 */

import * as R from './decoder/record.ts'
import type { HostMemory } from './host-memory.ts'
import { importRuntimeFunctions } from './interpreter/runtime-functions.ts'
import type { Definitions } from './isa/definition.ts'
import { type Handler, listHandlers } from './isa/handlers.ts'
import { isDirect, type RegionBlock, RegionEmitter, type RegionRecord } from './region-emitter.ts'
import { ModuleBuilder } from './wasm/module-builder.ts'

/** Where compiled functions go: the interpreter's table, and the number of its first entry as a handler. */
export interface HandlerTable {
  readonly table: WebAssembly.Table
  /** Handler number of table entry 0. */
  readonly firstNumber: number
  /** Entries that the interpreter itself uses. */
  readonly used: number
}

/** Handler numbers have 16 bits. */
const LAST_HANDLER = 0xffff

/** Records in a region at most: TurboFan takes 10 ms for 15 KB of WebAssembly, and more than in proportion beyond. */
const REGION_RECORDS = 120
/** A block that ran in less than this part of its neighbour's entries when that became hot is left out. */
const COLD_PART = 1 / 20

export class BlockCompiler {
  readonly #memory: HostMemory
  readonly #imports: WebAssembly.ModuleImports
  readonly #target: HandlerTable
  readonly #hotEntries: number
  readonly #excluded: (header: number) => boolean
  /** Handlers by number; a fused handler stands for the first of its two, the second has its own record. */
  readonly #handlers = new Map<number, Handler>()
  #next: number
  /** Blocks that became hot and are not compiled yet. */
  #hot: number[] = []
  compiled = 0

  /**
   * @param numbers handler numbers by key, as the decoder writes them into records
   * @param imports functions that generated code calls, the interpreter's own among them
   * @param hotEntries that blocks start to count down from
   * @param excluded must a block (address of its header) stay with the interpreter?
   */
  constructor(
    memory: HostMemory,
    definitions: Definitions,
    numbers: ReadonlyMap<string, number>,
    imports: WebAssembly.ModuleImports,
    target: HandlerTable,
    hotEntries: number,
    excluded: (header: number) => boolean = () => false,
  ) {
    this.#excluded = excluded
    this.#memory = memory
    this.#imports = imports
    this.#target = target
    this.#hotEntries = hotEntries
    this.#next = target.used
    const listed = new Map(listHandlers(definitions).map(handler => [handler.key, handler]))
    for (const [key, number] of numbers) {
      const handler = listed.get(key.split('+')[0])
      if (handler === undefined) throw new Error(`handler ${key} has no definition`)
      this.#handlers.set(number, handler)
    }
  }

  /** Compiled functions of blocks that are gone may be overwritten. */
  dropAll(): void {
    this.#next = this.#target.used
    this.#hot = []
  }

  /** Notes a block to be compiled with others: one module for several is cheaper than one for each. */
  note(block: number): void {
    this.#hot.push(block)
  }

  /** Compiles what was noted. */
  installNoted(): void {
    if (this.#hot.length === 0) return
    const blocks = this.#hot
    this.#hot = []
    this.install(blocks)
  }

  /** Compiles the regions around blocks (addresses of their headers) and makes the interpreter call them. */
  install(blocks: readonly number[]): void {
    const room = Math.min(this.#target.table.length, LAST_HANDLER - this.#target.firstNumber) - this.#next
    const regions = blocks.slice(0, Math.max(room, 0)).map(block => this.#region(block))
    if (regions.length === 0) return
    const module = new ModuleBuilder()
    const runtime = importRuntimeFunctions(module)
    regions.forEach((region, i) => {
      const { builder } = module.declare(['i32'], 'i32', `region${i}`)
      new RegionEmitter(builder, runtime, this.#memory, region, this.#next + i).emit()
    })
    const compiled = new WebAssembly.Module(module.encode(this.#memory.size / 65536))
    const instance = new WebAssembly.Instance(compiled, { env: this.#imports })
    regions.forEach((region, i) => {
      this.#target.table.set(this.#next, instance.exports[`region${i}`])
      this.#enter(region, this.#next)
      this.#next++
    })
    this.compiled += regions.length
  }

  /** Makes a table entry the handler of a region's blocks. */
  #enter(region: readonly RegionBlock[], entry: number): void {
    const { u16, i32: words } = this.#memory
    region.forEach(({ header, records }, index) => {
      words[(header + R.BLOCK_REGION) >> 2] = entry
      words[(header + R.BLOCK_REGION_INDEX) >> 2] = index
      words[(header + R.BLOCK_FIRST_HANDLER) >> 2] = records[0].number
      u16[(header + R.RECORD_SIZE + R.HANDLER) >> 1] = this.#target.firstNumber + entry
    })
  }

  /** The blocks that a block leads to over links, the nearest first, but for those that hardly ever run. */
  #region(first: number): RegionBlock[] {
    const { i32: words } = this.#memory
    const region: RegionBlock[] = []
    const seen = new Set([first])
    const queue = [first]
    let records = 0
    for (let header = queue.shift(); header !== undefined; header = queue.shift()) {
      const block = { header, records: this.#records(header) }
      records += block.records.length
      if (region.length > 0 && records > REGION_RECORDS) break
      region.push(block)
      const last = block.records[block.records.length - 1].address
      for (const slot of [R.LINK_TAKEN, R.LINK_NEXT]) {
        const next = words[(last + slot) >> 2]
        if (!isDirect(block) || next <= 1 || seen.has(next) || this.#excluded(next)) continue
        const entries = this.#hotEntries - words[(next + R.BLOCK_HEAT) >> 2]
        if (entries < this.#hotEntries * COLD_PART) continue
        seen.add(next)
        queue.push(next)
      }
    }
    return region
  }

  /** The records of a block up to the one that ends it: a jump, or the decoder's jump to what follows. */
  #records(header: number): RegionRecord[] {
    const records: RegionRecord[] = []
    for (let address = header + R.RECORD_SIZE; ; address += R.RECORD_SIZE) {
      let number = this.#memory.u16[(address + R.HANDLER) >> 1]
      // The first record of a block that is compiled already names the region; its own handler is kept in the header.
      if (!this.#handlers.has(number)) number = this.#memory.i32[(header + R.BLOCK_FIRST_HANDLER) >> 2]
      const handler = this.#handlers.get(number)
      if (handler === undefined) throw new Error(`record at 0x${address.toString(16)} names no handler: ${number}`)
      records.push({ address, number, handler })
      if (handler.definition.ends === 'jump') return records
    }
  }
}
