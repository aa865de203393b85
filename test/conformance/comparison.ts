/** Runs cells: makes their cases, executes them on the host and in the engine, and keeps what differs. */

import { Decoder, DecoderOptions } from 'iced-x86'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { SoftwareProcessor } from '../../src/engine/software-processor.ts'
import { type Case, CaseMaker } from './cases.ts'
import { type Cell, nameOf, possibleCells } from './cells.ts'
import { differences } from './compare.ts'
import { type Forms, formsToCompare } from './forms.ts'
import { HostProcessor } from './native.ts'
import { LanePool } from './random.ts'
import type { CaseRecord } from './record.ts'
import { EngineRunner, HOST_MEMORY_NEEDED } from './run-in-engine.ts'

/** Everything that the engine has. Five-level paging makes more bases of segments canonical, and the host lacks it. */
const MODEL = 'max,-la57'
/** Cases that the host executes in one run of the program. */
const CHUNK = 20_000
/** A block is compiled when it is entered for the third time; compiled code is what the fourth entry executes. */
const HOT_ENTRIES = 2
const ENTRIES_UNTIL_COMPILED = 4

export interface ComparisonOptions {
  readonly seed: number
  readonly casesPerCell: number
  /** One of so many cases is executed in compiled code as well; 0 for none. */
  readonly compiledEvery: number
  /** Called after each chunk with the number of cases so far. */
  readonly onProgress?: (cases: number) => void
}

export interface ComparisonResult {
  readonly cases: number
  /** Cases for which a region was compiled, and so executed in it. */
  readonly compiledCases: number
  /** Count of cases, by cell; only cells that there are. */
  readonly cells: ReadonlyMap<Cell, number>
  /** Cases that differ, by form and mode: the first of each, told in words. */
  readonly failures: ReadonlyMap<string, string>
  readonly differing: number
}

export const hostCanCompare = process.arch === 'x64' && process.platform === 'linux'

export class Comparison {
  readonly forms: Forms
  readonly cells: readonly Cell[]
  readonly #processor: SoftwareProcessor
  readonly #runner: EngineRunner
  readonly #compilingProcessor: SoftwareProcessor
  readonly #compiling: EngineRunner
  readonly #host = new HostProcessor()

  constructor() {
    const createProcessor = (hotEntries: number) =>
      new SoftwareProcessor(new HostMemory(Math.ceil(HOST_MEMORY_NEEDED / 65536) * 65536), {
        model: parseCpuModel(MODEL),
        hotEntries,
      })
    this.#processor = createProcessor(0)
    this.#runner = new EngineRunner(this.#processor)
    this.#compilingProcessor = createProcessor(HOT_ENTRIES)
    this.#compiling = new EngineRunner(this.#compilingProcessor)
    this.forms = formsToCompare(this.#processor.definitions)
    this.cells = possibleCells(this.forms.compared)
  }

  release(): void {
    this.#host.release()
  }

  run(options: ComparisonOptions, cells: readonly Cell[] = this.cells): ComparisonResult {
    const { seed, casesPerCell, compiledEvery, onProgress } = options
    const maker = new CaseMaker(new LanePool(seed))
    const counts = new Map<Cell, number>()
    const failures = new Map<string, string>()
    const { compiler } = this.#compilingProcessor
    const compiledBefore = compiler.compiled
    let [total, differing] = [0, 0]
    let chunk: Case[] = []
    const runChunk = () => {
      const results = this.#host.execute(chunk.map(({ record }) => record))
      chunk.forEach((each, index) => {
        const inCompiledCode = compiledEvery > 0 && total % compiledEvery === 0
        total++
        const found = this.#compare(each, results[index], inCompiledCode)
        if (found.length === 0) return
        differing++
        const key = `${each.cell.form.name} in ${each.cell.mode}-bit code`
        if (!failures.has(key)) failures.set(key, describe(each, found))
      })
      chunk = []
      onProgress?.(total)
    }
    for (const cell of cells) {
      const cases = maker.make(cell, casesPerCell, seed)
      if (cases.length > 0) counts.set(cell, cases.length)
      chunk.push(...cases)
      if (chunk.length >= CHUNK) runChunk()
    }
    if (chunk.length > 0) runChunk()
    return { cases: total, compiledCases: compiler.compiled - compiledBefore, cells: counts, failures, differing }
  }

  #compare(each: Case, host: CaseRecord, inCompiledCode: boolean): readonly string[] {
    const found = differences(each, host, this.#runner.execute(each.record))
    if (found.length > 0 || !inCompiledCode) return found
    const { compiler, code } = this.#compilingProcessor
    const before = compiler.compiled
    let result = this.#compiling.execute(each.record, ENTRIES_UNTIL_COMPILED)
    if (compiler.compiled === before) {
      // There is no room for another region until all are dropped.
      code.dropAll()
      result = this.#compiling.execute(each.record, ENTRIES_UNTIL_COMPILED)
    }
    const compiled = differences(each, host, result)
    return compiled.map(line => `compiled: ${line}`)
  }
}

function describe({ cell, record }: Case, found: readonly string[]): string {
  const decoder = new Decoder(cell.mode, record.code, DecoderOptions.None)
  decoder.ip = record.rip
  const instruction = decoder.decode()
  const text = `${nameOf(cell)}: ${instruction.toString()}   [${Buffer.from(record.code).toString('hex')}]`
  instruction.free()
  decoder.free()
  return [text, ...found].join('\n  ')
}
