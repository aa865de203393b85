/**
 * Every symbol that the debugger knows: of ELF files with their debugging information, and of the guest's own tables.
 * A file that turns out to be damaged answers nothing more where it is; what is wrong with it stands in `problems`.
 */

import type { SymbolLookup } from '../inspect/disassembly.ts'
import { DebugFile } from '../symbols/dwarf/debug-file.ts'
import type {
  DwarfRegisters,
  FunctionPlace,
  LineBreakpoint,
  LinePlace,
  ReadMemory,
  SourceFrame,
  UnwoundFrame,
  Variable,
} from '../symbols/dwarf/debug-info.ts'
import type { Type } from '../symbols/dwarf/type-model.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import type { KernelSymbol } from '../symbols/kallsyms.ts'
import { type CodeSymbol, SymbolTable } from '../symbols/symbol-table.ts'

/** A symbol of unknown size reaches at most so far when nothing follows it. */
const FARTHEST_OFFSET = 1n << 20n

/** Symbols that every Linux kernel has: a file and a running kernel whose distances agree in all are the same build. */
const KERNEL_LANDMARKS = ['_stext', 'start_kernel', 'init_task'] as const

/** Messages about one file are kept as long as they are few. */
const MOST_PROBLEMS = 100

export class SymbolBook implements SymbolLookup {
  readonly #files = new Map<string, DebugFile>()
  readonly #tables = new Map<string, SymbolTable>()
  readonly #problems = new Set<string>()

  /** @param origin what messages call the table; a table of that name is replaced. */
  add(origin: string, table: SymbolTable): void {
    this.#tables.set(origin, table)
  }

  /** Throws ElfError when its table of symbols can't be read. The book closes the file in the end. */
  addFile(file: DebugFile): void {
    file.symbolNamed('_start')
    this.#files.set(file.path, file)
  }

  /** Throws ElfError when `bytes` is no ELF file that can be read. */
  addElf(origin: string, bytes: Uint8Array, slide = 0n): void {
    const file = DebugFile.of(origin, bytes)
    file.slide = slide
    this.addFile(file)
  }

  /** The running kernel's own tables. A file of the same kernel moves to where that runs. */
  addKernel(origin: string, symbols: readonly KernelSymbol[]): void {
    const table = new SymbolTable(kernelSymbols(symbols))
    this.add(origin, table)
    for (const file of this.#files.values()) this.#ask(file, () => followKernel(file, table))
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  has(origin: string): boolean {
    return this.#tables.has(origin) || this.#files.has(origin)
  }

  /** In the order in which they were given. */
  get files(): readonly DebugFile[] {
    return [...this.#files.values()]
  }

  /** What is wrong with files, for the user. */
  get problems(): readonly string[] {
    return [...this.#problems]
  }

  get size(): number {
    const inFiles = this.files.reduce((sum, file) => sum + file.symbolCount, 0)
    return [...this.#tables.values()].reduce((sum, table) => sum + table.symbols.length, inFiles)
  }

  /** The symbol that an expression means by this name: of several the first file's, and there the best. */
  byName(name: string): CodeSymbol | undefined {
    const symbol = this.#first(file => file.symbolNamed(name))
    if (symbol !== undefined) return symbol
    for (const table of this.#tables.values()) {
      const found = table.byName(name)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** First instructions of every function or label of this name: static functions may share one. */
  functionsNamed(name: string): bigint[] {
    const addresses = new Set<bigint>()
    for (const file of this.files) {
      for (const symbol of this.#ask(file, () => file.symbolsNamed(name)) ?? [])
        if (symbol.kind !== 'object') addresses.add(symbol.address)
    }
    for (const table of this.#tables.values()) {
      if (table.byName(name) === undefined) continue
      for (const symbol of table.symbols)
        if (symbol.name === name && symbol.kind !== 'object') addresses.add(symbol.address)
    }
    if (addresses.size === 0) for (const place of this.functionPlaces(name)) addresses.add(place.bodyAddress)
    return [...addresses]
  }

  /** Functions of this name as the debugging information has them, inlined copies and Rust paths among them. */
  functionPlaces(name: string): FunctionPlace[] {
    return this.files.flatMap(file => this.#ask(file, () => file.functionsNamed(name)) ?? [])
  }

  /** Of several tables the symbol nearest below the address. */
  containing(address: bigint): CodeSymbol | undefined {
    let best: CodeSymbol | undefined
    const places = [
      ...this.files.map(file => this.#ask(file, () => file.symbolAt(address))),
      ...[...this.#tables.values()].map(table => table.at(address)),
    ]
    for (const place of places) {
      if (place === undefined || place.offset > FARTHEST_OFFSET) continue
      if (best === undefined || place.symbol.address > best.address) best = place.symbol
    }
    return best
  }

  /** `name` or `name+0x1c`; undefined when no symbol covers the address. */
  describe(address: bigint): string | undefined {
    const symbol = this.containing(address)
    if (symbol === undefined) return undefined
    return address === symbol.address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`
  }

  /** The source frames at an address, innermost first, and the file that knows them: it also has their variables. */
  framesAt(address: bigint): { readonly file: DebugFile; readonly frames: readonly SourceFrame[] } | undefined {
    return this.#first(file => {
      const frames = file.framesAt(address)
      return frames.length === 0 ? undefined : { file, frames }
    })
  }

  lineAt(address: bigint): LinePlace | undefined {
    return this.#first(file => file.lineAt(address))
  }

  /** Of the files that know the source those with the nearest line. */
  breakpointsAt(source: string, line: number): LineBreakpoint | undefined {
    const found = this.files.flatMap(file => this.#ask(file, () => file.breakpointsAt(source, line)) ?? [])
    if (found.length === 0) return undefined
    const nearest = Math.min(...found.map(breakpoint => breakpoint.line))
    const places = found.filter(breakpoint => breakpoint.line === nearest).flatMap(breakpoint => breakpoint.places)
    return { line: nearest, places }
  }

  variableNamed(name: string): { readonly file: DebugFile; readonly variable: Variable } | undefined {
    return this.#first(file => {
      const variable = file.variableNamed(name)
      return variable && { file, variable }
    })
  }

  findType(name: string): Type | undefined {
    return this.#first(file => file.findType(name))
  }

  findEnumerator(name: string): { readonly value: bigint; readonly type: Type } | undefined {
    return this.#first(file => file.findEnumerator(name))
  }

  unwind(registers: DwarfRegisters, read: ReadMemory, isCaller: boolean): UnwoundFrame | undefined {
    return this.#first(file => file.unwind(registers, read, isCaller))
  }

  #first<T>(question: (file: DebugFile) => T | undefined): T | undefined {
    for (const file of this.#files.values()) {
      const answer = this.#ask(file, () => question(file))
      if (answer !== undefined) return answer
    }
    return undefined
  }

  /** A damaged part of a file is a message, not the end of the session. */
  #ask<T>(file: DebugFile, question: () => T): T | undefined {
    try {
      return question()
    } catch (error) {
      if (!(error instanceof ElfError)) throw error
      if (this.#problems.size < MOST_PROBLEMS) this.#problems.add(`${file.path}: ${error.message}`)
      return undefined
    }
  }
}

/** Kernels are linked for one address and may run at another (KASLR): all their symbols move alike. */
function followKernel(file: DebugFile, running: SymbolTable): void {
  const distances = KERNEL_LANDMARKS.map(name => {
    const [own, there] = [file.symbolNamed(name), running.byName(name)]
    return own === undefined || there === undefined ? undefined : there.address - own.address
  })
  const [distance] = distances
  if (distance === undefined || distances.some(other => other !== distance)) return
  file.slide = BigInt.asIntN(64, file.slide + distance)
}

/** Absolute symbols are left out: per-CPU variables have an offset for an address. */
function* kernelSymbols(symbols: readonly KernelSymbol[]): Generator<CodeSymbol> {
  for (const { name, address, type } of symbols) {
    const lower = type.toLowerCase()
    if (lower === 'a') continue
    const kind = lower === 't' || lower === 'w' ? 'function' : 'object'
    yield { name, address, size: 0n, kind, global: type !== lower || lower === 'w' }
  }
}
