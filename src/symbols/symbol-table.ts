/** Names of addresses: from name to address, and from any address to the symbol that covers it. */

import { SHN_UNDEF, STB_GLOBAL, STT_FILE, STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_SECTION } from './elf/constants.ts'
import type { ElfFile } from './elf/elf-file.ts'

export interface CodeSymbol {
  readonly name: string
  readonly address: bigint
  /** Bytes; 0n when unknown, as in hand-written assembly: then it reaches up to the next symbol. */
  readonly size: bigint
  readonly kind: 'function' | 'object' | 'label'
  readonly global: boolean
}

export interface SymbolPlace {
  readonly symbol: CodeSymbol
  /** Bytes from the symbol's address. */
  readonly offset: bigint
}

export class SymbolTable {
  /** Ascending by address; of several at one address the best to show comes last. */
  readonly symbols: readonly CodeSymbol[]
  readonly #byName = new Map<string, CodeSymbol>()

  constructor(symbols: Iterable<CodeSymbol>) {
    this.symbols = [...symbols].sort(byAddressThenRank)
    for (const symbol of this.symbols) {
      const known = this.#byName.get(symbol.name)
      if (!known || rank(symbol) > rank(known)) this.#byName.set(symbol.name, symbol)
    }
  }

  /**
   * The symbols that an ELF file defines. `slide` is added to every address: the displacement of a kernel that
   * randomises its base. Throws ElfError.
   */
  static fromElf(elf: ElfFile, slide = 0n): SymbolTable {
    const symbols: CodeSymbol[] = []
    for (const { name, value, size, type, binding, section } of elf.symbols()) {
      if (section === SHN_UNDEF || name === '' || type === STT_FILE || type === STT_SECTION) continue
      if (type !== STT_FUNC && type !== STT_OBJECT && type !== STT_NOTYPE) continue
      symbols.push({
        name,
        address: BigInt.asUintN(64, value + slide),
        size,
        kind: type === STT_FUNC ? 'function' : type === STT_OBJECT ? 'object' : 'label',
        global: binding === STB_GLOBAL,
      })
    }
    return new SymbolTable(symbols)
  }

  /** A global symbol before a local one of the same name, a function before data. */
  byName(name: string): CodeSymbol | undefined {
    return this.#byName.get(name)
  }

  /** The symbol that covers `address`; undefined below the first one and past the end of a sized one. */
  at(address: bigint): SymbolPlace | undefined {
    let low = 0
    let high = this.symbols.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.symbols[middle].address <= address) low = middle + 1
      else high = middle
    }
    // Symbols nest (a label with a size inside a function), so the nearest one below need not be the one that covers.
    for (let index = low - 1; index >= Math.max(0, low - NESTING); index--) {
      const symbol = this.symbols[index]
      const offset = address - symbol.address
      if (offset < symbol.size || (symbol.size === 0n && index === low - 1)) return { symbol, offset }
    }
    return undefined
  }

  /** `name` or `name+0x1c`, as kernels print it; undefined when no symbol covers the address. */
  describe(address: bigint): string | undefined {
    const place = this.at(address)
    if (!place) return undefined
    return place.offset === 0n ? place.symbol.name : `${place.symbol.name}+0x${place.offset.toString(16)}`
  }
}

/** How many symbols below an address are asked whether they cover it. */
const NESTING = 16

const KIND_RANK = { label: 0, object: 1, function: 2 } as const

function rank(symbol: CodeSymbol): number {
  return KIND_RANK[symbol.kind] * 4 + (symbol.size > 0n ? 2 : 0) + (symbol.global ? 1 : 0)
}

function byAddressThenRank(a: CodeSymbol, b: CodeSymbol): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1
  return rank(a) - rank(b)
}
