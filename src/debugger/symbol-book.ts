/**
 * Every symbol that the debugger knows: of ELF files with their debugging information (a kernel, its modules, user
 * programs), and of the guest's own tables. Addresses are the guest's; a file's slide can change at any time.
 * A file that turns out to be damaged answers nothing more where it is; what is wrong with it stands in `problems`.
 */

import type { SymbolLookup } from '../inspect/disassembly.ts'
import { DebugFile } from '../symbols/dwarf/debug-file.ts'
import type {
  DebugInfo,
  DwarfRegisters,
  FunctionPlace,
  LineAddress,
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

export type ModuleRole = 'kernel' | 'module' | 'program' | 'tables'

/** One source of symbols, as people see it. */
export interface SymbolModule {
  /** Unique in the book. */
  readonly name: string
  readonly role: ModuleRole
  /** undefined for tables that are no file's. */
  readonly file: DebugFile | undefined
  /** What is wrong with it: a mismatch with the guest, or a part that can't be read. */
  readonly message: string | undefined
}

export class SymbolBook implements SymbolLookup {
  readonly #files = new Map<string, DebugFile>()
  readonly #tables = new Map<string, SymbolTable>()
  readonly #roles = new Map<string, ModuleRole>()
  readonly #problems = new Set<string>()
  /** Told of each problem once, as it is found. */
  onProblem: ((problem: string) => void) | undefined

  /** @param origin what messages call the table; a table of that name is replaced. */
  add(origin: string, table: SymbolTable): void {
    this.#tables.set(origin, table)
  }

  /** Throws ElfError when its table of symbols can't be read. The book closes the file in the end. */
  addFile(file: DebugFile, role?: ModuleRole): void {
    file.symbolNamed('_start')
    this.removeFile(file.path)
    this.#files.set(file.path, file)
    this.#roles.set(file.path, role ?? (isKernel(file) ? 'kernel' : 'program'))
  }

  /** Forgets and closes a file, such as that of a module that the guest has unloaded. */
  removeFile(path: string): void {
    this.#files.get(path)?.close()
    this.#files.delete(path)
    this.#roles.delete(path)
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

  /** Files first, in the order in which they were given. */
  get modules(): readonly SymbolModule[] {
    const files = [...this.#files].map(([name, file]): SymbolModule => {
      const message = [...this.#problems].find(problem => problem.startsWith(`${file.path}: `))
      return { name, role: this.#roles.get(name) ?? 'program', file, message }
    })
    const tables = [...this.#tables.keys()].map(
      (name): SymbolModule => ({ name, role: 'tables', file: undefined, message: undefined }),
    )
    return [...files, ...tables]
  }

  /** The module whose symbol is nearest below an address. */
  moduleAt(address: bigint): SymbolModule | undefined {
    const symbol = this.containing(address)
    if (symbol === undefined) return undefined
    return this.modules.find(({ name, file }) => {
      const place =
        file === undefined ? this.#tables.get(name)?.at(address) : this.#ask(file, () => file.symbolAt(address))
      return place?.symbol.name === symbol.name && place.symbol.address === symbol.address
    })
  }

  /** Says what is wrong with a file, such as a part that can't be read. */
  report(file: DebugFile, problem: string): void {
    this.complain(`${file.path}: ${problem}`)
  }

  /** Leaves out a file that does not belong to the guest: its addresses would be wrong. */
  refuse(file: DebugFile, problem: string): void {
    this.removeFile(file.path)
    this.report(file, `${problem}; its symbols are not used`)
  }

  complain(problem: string): void {
    if (this.#problems.size >= MOST_PROBLEMS || this.#problems.has(problem)) return
    this.#problems.add(problem)
    this.onProblem?.(problem)
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

  /** Names that begin so, for completion; the search ends when there are `limit`. */
  namesStarting(prefix: string, limit: number): string[] {
    const names = new Set<string>()
    const take = (symbols: Iterable<CodeSymbol>): void => {
      for (const { name } of symbols) {
        if (names.size >= limit) return
        if (name.startsWith(prefix)) names.add(name)
      }
    }
    for (const file of this.files) this.#ask(file, () => take(file.symbols()))
    for (const table of this.#tables.values()) take(table.symbols)
    return [...names].sort()
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

  /** Sections that files have in the guest's memory. */
  sections(): { readonly start: bigint; readonly end: bigint }[] {
    return this.files.flatMap(file => this.#ask(file, () => [...file.loadedSections()]) ?? [])
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

  /** Every place in lines `first` to `last` where a statement begins. */
  statementsIn(source: string, first: number, last: number): LineAddress[] {
    return this.files.flatMap(file => this.#ask(file, () => file.statementsIn(source, first, last)) ?? [])
  }

  sourceFiles(): string[] {
    return [...new Set(this.files.flatMap(file => this.#ask(file, () => file.sourceFiles()) ?? []))]
  }

  // Names of the file `near`, that of the frame which asks, come before those of others.

  variableNamed(name: string, near?: DebugInfo): { readonly file: DebugFile; readonly variable: Variable } | undefined {
    return this.#first(file => {
      const variable = file.variableNamed(name)
      return variable && { file, variable }
    }, near)
  }

  findType(name: string, near?: DebugInfo): Type | undefined {
    return this.#first(file => file.findType(name), near)
  }

  findEnumerator(name: string, near?: DebugInfo): { readonly value: bigint; readonly type: Type } | undefined {
    return this.#first(file => file.findEnumerator(name), near)
  }

  /** @param bits of the code: registers are numbered differently in files of 32 and of 64 bits. */
  unwind(registers: DwarfRegisters, bits: 32 | 64, read: ReadMemory, isCaller: boolean): UnwoundFrame | undefined {
    return this.#first(file => (file.bits === bits ? file.unwind(registers, read, isCaller) : undefined))
  }

  #first<T>(question: (file: DebugFile) => T | undefined, near?: DebugInfo): T | undefined {
    const nearFirst = this.files.toSorted((a, b) => Number(b === near) - Number(a === near))
    for (const file of nearFirst) {
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
      this.report(file, error.message)
      return undefined
    }
  }
}

function isKernel(file: DebugFile): boolean {
  return KERNEL_LANDMARKS.every(name => file.symbolNamed(name) !== undefined)
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
