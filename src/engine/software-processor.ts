/**
 * The processor in software behind the {@link Processor} interface: one memory, TLB, code cache and interpreter, shared
 * by the vCPUs, of which one at a time has its state where generated code works on it.
 */

import { setFlagsFromString } from 'node:v8'
import type { VirtualClock } from '../util/virtual-clock.ts'
import { BlockCompiler } from './block-compiler.ts'
import { BlockFinder } from './block-finder.ts'
import { CodeCache } from './code-cache.ts'
import { type CpuModel, DEFAULT_MODEL, parseCpuModel } from './cpu-model.ts'
import { CpuState } from './cpu-state.ts'
import { BlockDecoder, HOT_ENTRIES, MAX_LENGTH } from './decoder/block-decoder.ts'
import * as R from './decoder/record.ts'
import { ExecutionContext } from './execution-context.ts'
import type { HostMemory } from './host-memory.ts'
import { CalledHandlers } from './interpreter/called-handlers.ts'
import { generateInterpreter } from './interpreter/generate.ts'
import type { Definitions } from './isa/definition.ts'
import { createDefinitions } from './isa/definitions.ts'
import { AddressSpaces } from './mmu/address-spaces.ts'
import { GuestPhysical } from './mmu/guest-physical.ts'
import { Mmu } from './mmu/mmu.ts'
import { pagingControl } from './mmu/page-walk.ts'
import { PeekMemory } from './mmu/peek.ts'
import { createStringComparison } from './packed-strings.ts'
import type { ApicBus, CodeStops, ControlBlock, Processor, ProcessorStatistics, Vcpu, Watchpoint } from './processor.ts'
import { SoftwareVcpu } from './software-vcpu.ts'
import { createSseSlowPath } from './sse-slow-path.ts'
import * as S from './state.ts'
import { BreakpointSites } from './stops/breakpoint-sites.ts'

/** Functions that generated code imports; they act on the vCPU that runs. */
export type Imports = Readonly<Record<string, (...operands: number[]) => number | undefined>>

export interface ProcessorOptions {
  /** {@link DEFAULT_MODEL} if absent. */
  readonly model?: CpuModel
  /** Entries after which a block is compiled; 0 for never. What the guest sees does not depend on it. */
  readonly hotEntries?: number
  /** Compiled regions at most; further blocks stay with the interpreter until all code is dropped. */
  readonly compiledRegions?: number
}

export class SoftwareProcessor implements Processor {
  readonly memory: HostMemory
  readonly model: CpuModel
  readonly state: CpuState
  readonly code: CodeCache
  readonly decoder: BlockDecoder
  readonly physical: GuestPhysical
  readonly addressSpaces: AddressSpaces
  readonly mmu: Mmu
  readonly context: ExecutionContext
  readonly compiler: BlockCompiler
  /** Runs blocks from the one at an address; returns a `RETURN_...`. Tests replace it. */
  execute: (block: number) => number
  readonly definitions: Definitions
  /** Handler numbers by key. */
  readonly handlers: ReadonlyMap<string, number>
  /** Functions that generated code calls, of whichever tier. */
  readonly imports: Imports
  readonly finder: BlockFinder
  readonly sites: BreakpointSites
  readonly peek: PeekMemory
  #current: SoftwareVcpu | undefined

  constructor(memory: HostMemory, options: ProcessorOptions = {}) {
    const { model = parseCpuModel(DEFAULT_MODEL), hotEntries = HOT_ENTRIES, compiledRegions } = options
    this.memory = memory
    this.model = model
    this.state = new CpuState(memory)
    this.definitions = createDefinitions(model)
    const generated = generateInterpreter(this.definitions, memory.size / 65536, compiledRegions)
    const { handlers } = generated
    this.handlers = handlers
    const called = new CalledHandlers(generated.called, generated.firstCalled)
    this.decoder = new BlockDecoder(memory, model, this.definitions, handlers, called, hotEntries)
    this.code = new CodeCache(memory, this.decoder)
    this.physical = new GuestPhysical(memory)
    const context = {
      control: pagingControl(0, 0, 0, 0),
      asid: 0,
      access: 0,
      systemAsid: 0,
      systemAccess: 0,
      longMode: false,
      canonicalShift: 15,
      a20Mask: 0,
      checksAlignment: false,
    }
    this.mmu = new Mmu(memory, this.physical, this.code, context, { base: undefined, read: () => 0, write: () => {} })
    this.peek = new PeekMemory(memory, this.physical, context)
    this.sites = new BreakpointSites(memory, hotEntries)
    this.finder = new BlockFinder(memory, this.mmu, this.code, this.decoder, this.sites)
    this.addressSpaces = new AddressSpaces(() => {
      this.mmu.tlb.empty()
      this.code.emptyJumpCache()
      this.context.forget()
    })
    this.context = new ExecutionContext(this.state, this.addressSpaces, context, model)
    this.imports = this.#createImports()
    heedBranchHints()
    const imports = { memory: memory.memory, ...this.imports }
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(generated.bytes), { env: imports })
    const { run, table } = exports
    if (typeof run !== 'function' || !(table instanceof WebAssembly.Table))
      throw new Error('the generated interpreter lacks an export')
    this.execute = block => run(block)
    const everyImport = { ...imports, ...exports }
    called.connect({ table, imports: everyImport, memoryPages: memory.size / 65536 })
    this.compiler = new BlockCompiler(
      memory,
      this.definitions,
      handlers,
      everyImport,
      { table, firstNumber: generated.firstCalled, used: generated.called.length },
      hotEntries,
      block => this.sites.isSite(block),
    )
    this.code.onDropAll = () => {
      this.compiler.dropAll()
      this.sites.dropAll()
    }
  }

  get statistics(): ProcessorStatistics {
    return { tlbFills: this.mmu.tlb.fills, blocksDecoded: this.code.blocksDecoded }
  }

  createVcpu(options: { index: number; clock: VirtualClock; bus: ApicBus; controls: ControlBlock }): Vcpu {
    return new SoftwareVcpu(this, options)
  }

  /** Brings a vCPU's state to where generated code works on it. */
  activate(vcpu: SoftwareVcpu): void {
    if (this.#current === vcpu) return
    this.#current?.storeState()
    this.#current = vcpu
    vcpu.loadState()
  }

  isCurrent(vcpu: SoftwareVcpu): boolean {
    return this.#current === vcpu
  }

  invept(_eptPointer: number): void {
    // Combined mappings of the guest carry the EPT's translations in the TLB too (SDM vol. 3, 29.4.3.1).
    this.physical.flush()
    this.addressSpaces.dropAll()
    this.#current?.translationsDropped()
  }

  frameWritten(hpa: number, length: number): void {
    for (let frame = hpa >>> 12; frame <= (hpa + length - 1) >>> 12; frame++) {
      if (!this.code.isCode(frame)) continue
      const from = Math.max(hpa, frame * 4096)
      const bytes = Math.min(hpa + length, (frame + 1) * 4096) - from
      if (this.code.touchesCode(from, bytes)) this.code.dropFrame(frame)
    }
  }

  setCodeStops({ breakpoints, ...instructions }: CodeStops): void {
    const { sites, code } = this
    const before = sites.instructions
    sites.instructions = instructions
    const { pages, frames } = sites.set(breakpoints)
    // They may be anywhere, in code that was decoded without regard to them.
    if (before.int3 !== instructions.int3 || before.magic !== instructions.magic) code.dropAll()
    for (const page of pages) code.dropPage(page)
    for (const frame of frames) code.dropFrame(frame)
  }

  setWatchpoints(watchpoints: readonly Watchpoint[]): void {
    this.mmu.setWatchpoints(watchpoints)
  }

  #running(): SoftwareVcpu {
    if (this.#current === undefined) throw new Error('generated code runs without a vCPU')
    return this.#current
  }

  #createImports(): Imports {
    const { mmu } = this
    const sseSlow = createSseSlowPath(this.state)
    return {
      slowRead: (low, high, bytes, record) => {
        this.#running().record = record
        return mmu.slowRead(low, high, bytes, record)
      },
      slowWrite: (low, high, bytes, record) => {
        this.#running().record = record
        return mmu.slowWrite(low, high, bytes, record)
      },
      commit: record => {
        this.#running().record = record
        mmu.commit()
        return undefined
      },
      raise: (vector, record) => this.#running().raiseFault(vector, record),
      assist: record => {
        this.#running().runAssist(record)
        return undefined
      },
      // More than 15 bytes are #GP (SDM vol. 2, 2.3.11); the decoder gives up after 15.
      undefinedInstruction: record =>
        this.#running().raiseFault(this.memory.u8[record + R.LENGTH] < MAX_LENGTH ? 6 : 13, record),
      divideWide: (signed, record) => {
        this.#running().divideWide(signed !== 0, record)
        return undefined
      },
      sseSlow: (operation, record) => {
        this.#running().record = record
        sseSlow(operation, record)
        return undefined
      },
      compareStrings: createStringComparison(this.memory),
      segmentSlow: (record, segment, offset, bytes, write) => {
        this.#running().checkSegment(record, segment, offset >>> 0, bytes, write !== 0)
        return undefined
      },
    }
  }
}

/** Lets V8 move slow paths out of the way; where the flag is unknown or there is no V8, code is only slower. */
function heedBranchHints(): void {
  setFlagsFromString('--experimental-wasm-branch-hinting')
}

/** The software processor over host memory. */
export function createProcessor(memory: HostMemory, options?: ProcessorOptions): Processor {
  // STATE_BASE to the frames is the processor's own.
  if (memory.size < S.STATE_BASE + S.STATE_SIZE)
    throw new RangeError('host memory is too small for the processor itself')
  return new SoftwareProcessor(memory, options)
}
