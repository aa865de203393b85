/** One ELF file with its symbols and debugging information, as `debug-info.ts` describes it. */

import { ElfFile } from '../elf/elf-file.ts'
import { FileSource } from '../elf/file-source.ts'
import { ElfSections } from '../elf/section-contents.ts'
import { demangleRust } from '../rust-names.ts'
import type { CodeSymbol, SymbolPlace } from '../symbol-table.ts'
import { AddressMemo } from './address-memo.ts'
import { CallSites } from './call-sites.ts'
import * as C from './constants.ts'
import type {
  CallOfFunction,
  DebugInfo,
  DwarfRegisters,
  EvaluationContext,
  FunctionPlace,
  LineAddress,
  LineBreakpoint,
  LinePlace,
  ReadMemory,
  SourceFrame,
  UnwoundFrame,
  ValueLocation,
  Variable,
} from './debug-info.ts'
import { Definitions } from './definitions.ts'
import { DwarfProgram } from './dwarf-program.ts'
import { IndexCache } from './index-cache.ts'
import { LineLookup } from './line-lookup.ts'
import { SourceFrames } from './source-frames.ts'
import type { Type } from './type-model.ts'
import { TypeFactory } from './types.ts'
import { Unwinder } from './unwinder.ts'
import { VariableLocator } from './variable-locator.ts'

export interface DebugFileOptions {
  /** Where the sections of a relocatable file (a kernel module) lie in the guest, by name. */
  readonly sectionAddresses?: ReadonlyMap<string, bigint>
  /** Where searches are remembered, instead of the user's cache; `false`: nowhere. */
  readonly cache?: string | false
}

export class DebugFile implements DebugInfo {
  readonly path: string
  readonly elf: ElfFile
  readonly buildId: string | undefined
  readonly #program: DwarfProgram
  readonly #lines: LineLookup
  readonly #definitions: Definitions
  readonly #types: TypeFactory
  readonly #frames: SourceFrames
  readonly #unwinder: Unwinder
  readonly #locator: VariableLocator
  readonly #calls: CallSites
  /** By address of the file. */
  readonly #symbolsAt = new AddressMemo<SymbolPlace | undefined>()

  private constructor(path: string, source: FileSource, options: DebugFileOptions) {
    this.path = path
    this.elf = new ElfFile(source)
    this.buildId = this.elf.buildId
    const cache = options.cache === false ? new IndexCache(undefined) : new IndexCache(this.#cacheKey(), options.cache)
    this.#program = new DwarfProgram(new ElfSections(this.elf, options.sectionAddresses), cache)
    this.#lines = new LineLookup(this.#program)
    this.#definitions = new Definitions(this.#program)
    this.#types = new TypeFactory(die => this.#definitions.resolve(die))
    this.#frames = new SourceFrames(this.#program, this.#lines, this.#definitions, this.#types)
    this.#unwinder = new Unwinder(this.#program)
    this.#locator = new VariableLocator(this.#program, this.#unwinder)
    this.#calls = new CallSites(this.#program, this.#locator)
  }

  /** Reads headers only. Throws ElfError, or Node's error when there is no such file. Call `close` at the end. */
  static open(path: string, options: DebugFileOptions = {}): DebugFile {
    const source = FileSource.open(path)
    try {
      return new DebugFile(path, source, options)
    } catch (error) {
      source.close()
      throw error
    }
  }

  /** A file in memory; `name` is what messages call it. Throws ElfError. */
  static of(name: string, bytes: Uint8Array, options: DebugFileOptions = {}): DebugFile {
    return new DebugFile(name, FileSource.of(bytes), options)
  }

  close(): void {
    this.elf.source.close()
  }

  get bits(): 32 | 64 {
    return this.#unwinder.abi.addressSize === 8 ? 64 : 32
  }

  get slide(): bigint {
    return this.#program.slide.value
  }

  set slide(value: bigint) {
    this.#program.slide.value = value
  }

  /** Whether there is more to ask than symbols. */
  get hasDebugInfo(): boolean {
    return this.#program.sections.named('.debug_info') !== undefined
  }

  get symbolCount(): number {
    return this.#program.symbols.count
  }

  /** Sections as they lie in the guest, in the order of the file; without those whose place is not known. */
  *loadedSections(): Generator<{ readonly name: string; readonly start: bigint; readonly end: bigint }> {
    const { sections, slide } = this.#program
    for (const { name, address, size } of sections.loaded()) {
      const start = slide.toGuest(address)
      // Per-CPU variables are linked at an offset, and lie elsewhere for each processor.
      if (!slide.isOffset(address)) yield { name, start, end: start + BigInt(size) }
    }
  }

  symbolNamed(name: string): CodeSymbol | undefined {
    const symbol = this.#program.symbols.named(name)
    return symbol && this.#guestSymbol(symbol)
  }

  symbolsNamed(name: string): readonly CodeSymbol[] {
    return this.#program.symbols.allNamed(name).map(symbol => this.#guestSymbol(symbol))
  }

  symbolAt(address: bigint): SymbolPlace | undefined {
    const { symbols, slide } = this.#program
    const inFile = slide.toFile(address)
    const place = this.#symbolsAt.of(inFile, () => symbols.at(inFile))
    return place && { symbol: this.#guestSymbol(place.symbol), offset: place.offset }
  }

  *symbols(): Generator<CodeSymbol> {
    for (const symbol of this.#program.symbols.all()) yield this.#guestSymbol(symbol)
  }

  lineAt(address: bigint): LinePlace | undefined {
    const { slide } = this.#program
    const place = this.#lines.lineAt(slide.toFile(address))
    if (place === undefined) return undefined
    const statements = place.statements.map(statement => slide.toGuest(statement))
    return { ...place, low: slide.toGuest(place.low), high: slide.toGuest(place.high), statements }
  }

  breakpointsAt(file: string, line: number): LineBreakpoint | undefined {
    const found = this.#lines.breakpointsAt(file, line)
    return found && { line: found.line, places: found.places.map(place => this.#guestLine(place)) }
  }

  statementsIn(file: string, first: number, last: number): readonly LineAddress[] {
    return this.#lines.statementsIn(file, first, last).map(place => this.#guestLine(place))
  }

  sourceFiles(): readonly string[] {
    return this.#lines.sourceFiles()
  }

  /** The same unit by unit, and those of several more than once: for whoever has other things to do meanwhile. */
  sourceFilesByUnit(): Iterable<readonly string[]> {
    return this.#lines.sourceFilesByUnit()
  }

  framesAt(address: bigint): readonly SourceFrame[] {
    return this.#frames.framesAt(address)
  }

  functionsNamed(name: string): readonly FunctionPlace[] {
    return this.#frames.functionsNamed(name)
  }

  variablesOf(frame: SourceFrame): readonly Variable[] {
    return this.#frames.variablesOf(frame)
  }

  variableNamed(name: string): Variable | undefined {
    const die = this.#definitions.variable(name)
    return die && this.#frames.variable(die, 0, undefined)
  }

  locate(variable: Variable, context: EvaluationContext): ValueLocation {
    return this.#locator.locate(variable, context)
  }

  calledEntry(address: bigint): bigint | undefined {
    return this.#calls.entryAt(address)
  }

  entryValue(call: CallOfFunction, register: number, context: EvaluationContext): bigint | undefined {
    return this.#calls.entryValue(call, register, context)
  }

  readLocation(location: ValueLocation, size: number, context: EvaluationContext): Uint8Array | undefined {
    return this.#locator.readLocation(location, size, context)
  }

  findType(name: string): Type | undefined {
    const die = this.#definitions.type(name)
    return die && this.#types.type(die)
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: Type } | undefined {
    const found = this.#definitions.enumerator(name)
    const value = found?.enumerator.constant(C.DW_AT_const_value)
    return found === undefined || value === undefined ? undefined : { value, type: this.#types.type(found.type) }
  }

  unwind(registers: DwarfRegisters, read: ReadMemory, isCaller: boolean): UnwoundFrame | undefined {
    return this.#unwinder.unwind(registers, read, isCaller)
  }

  /** The name in source of a function whose symbol is mangled; undefined for a symbol that is not. */
  sourceName(symbol: CodeSymbol): string | undefined {
    return this.#frames.sourceName(symbol.address, symbol.name) ?? demangleRust(symbol.name)
  }

  #guestSymbol(symbol: CodeSymbol): CodeSymbol {
    return { ...symbol, address: this.#program.slide.toGuest(symbol.address) }
  }

  #guestLine(place: LineAddress): LineAddress {
    return { ...place, address: this.#program.slide.toGuest(place.address) }
  }

  /** Stripping changes offsets but not the build id: the size of what they point into belongs to the key. */
  #cacheKey(): string | undefined {
    const size = this.elf.section('.debug_info')?.size
    return this.buildId === undefined || size === undefined ? undefined : `${this.buildId}-${size.toString(16)}`
  }
}
