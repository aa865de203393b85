/** Every symbol that the debugger knows, from several files and from the guest's own tables. */

import type { SymbolLookup } from '../inspect/disassembly.ts'
import { ElfFile } from '../symbols/elf/elf-file.ts'
import type { KernelSymbol } from '../symbols/kallsyms.ts'
import { type CodeSymbol, SymbolTable } from '../symbols/symbol-table.ts'

/** A symbol of unknown size reaches at most so far when nothing follows it. */
const FARTHEST_OFFSET = 1n << 20n

export class SymbolBook implements SymbolLookup {
  readonly #tables = new Map<string, SymbolTable>()

  /** @param origin what messages call the table; a table of that name is replaced. */
  add(origin: string, table: SymbolTable): void {
    this.#tables.set(origin, table)
  }

  /** Throws ElfError when `bytes` is no ELF file that can be read. */
  addElf(origin: string, bytes: Uint8Array, slide = 0n): void {
    this.add(origin, SymbolTable.fromElf(new ElfFile(bytes), slide))
  }

  addKernel(origin: string, symbols: readonly KernelSymbol[]): void {
    this.add(origin, new SymbolTable(kernelSymbols(symbols)))
  }

  has(origin: string): boolean {
    return this.#tables.has(origin)
  }

  get size(): number {
    return [...this.#tables.values()].reduce((sum, table) => sum + table.symbols.length, 0)
  }

  /** The symbol that an expression means by this name: of several the first table's, and there the best. */
  byName(name: string): CodeSymbol | undefined {
    for (const table of this.#tables.values()) {
      const symbol = table.byName(name)
      if (symbol !== undefined) return symbol
    }
    return undefined
  }

  /** Addresses of every function or label of this name: static functions may share one. */
  functionsNamed(name: string): bigint[] {
    const addresses = new Set<bigint>()
    for (const table of this.#tables.values()) {
      if (table.byName(name) === undefined) continue
      for (const symbol of table.symbols)
        if (symbol.name === name && symbol.kind !== 'object') addresses.add(symbol.address)
    }
    return [...addresses]
  }

  /** Of several tables the symbol nearest below the address. */
  containing(address: bigint): CodeSymbol | undefined {
    let best: CodeSymbol | undefined
    for (const table of this.#tables.values()) {
      const place = table.at(address)
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
