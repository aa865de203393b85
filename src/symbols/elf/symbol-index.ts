/**
 * The symbols of a file without an object for each: a kernel has a hundred thousand, of which a session asks for a few.
 * By name the table of strings is searched; by address an index of numbers is sorted when first needed.
 */

import type { CodeSymbol, SymbolPlace } from '../symbol-table.ts'
import { BoundedReader } from './bounded-reader.ts'
import {
  ET_REL,
  SHN_ABS,
  SHN_UNDEF,
  SHT_DYNSYM,
  SHT_SYMTAB,
  STB_GLOBAL,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from './constants.ts'
import { ElfError } from './elf-error.ts'
import { perCpuOffsets } from './per-cpu.ts'
import type { ElfSections } from './section-contents.ts'

/** How many symbols below an address are asked whether they cover it: symbols nest. */
const NESTING = 16

export class SymbolIndex {
  readonly #sections: ElfSections
  readonly #isCut: () => boolean
  #tables: { readonly symbols: Buffer; readonly strings: Buffer } | undefined
  #byAddress: { readonly keys: Float64Array; readonly indices: Uint32Array } | undefined

  /** @param isCut are addresses of an ELF32 file the low halves of 64-bit ones, and to be sign-extended? */
  constructor(sections: ElfSections, isCut: () => boolean) {
    this.#sections = sections
    this.#isCut = isCut
  }

  get count(): number {
    return Math.floor(this.#load().symbols.length / this.#entrySize)
  }

  /** Of several a global one before a local one, a function before data. Throws ElfError. */
  named(name: string): CodeSymbol | undefined {
    let best: CodeSymbol | undefined
    for (const symbol of this.allNamed(name)) if (best === undefined || rank(symbol) > rank(best)) best = symbol
    return best
  }

  allNamed(name: string): readonly CodeSymbol[] {
    const { symbols, strings } = this.#load()
    if (name === '' || name.includes('\0')) return []
    const text = Buffer.from(`${name}\0`)
    // Linkers let a string be the end of another, so every occurrence counts.
    const offsets = new Set<number>()
    for (let at = strings.indexOf(text); at >= 0; at = strings.indexOf(text, at + 1)) offsets.add(at)
    if (offsets.size === 0) return []
    const found: CodeSymbol[] = []
    const size = this.#entrySize
    for (let at = 0; at + size <= symbols.length; at += size) {
      if (!offsets.has(symbols.readUInt32LE(at))) continue
      const symbol = this.#symbol(at / size)
      if (symbol !== undefined) found.push(symbol)
    }
    return found
  }

  /** The symbol that covers an address; constants don't. undefined below the first one and past the end of a sized one. */
  at(address: bigint): SymbolPlace | undefined {
    this.#byAddress ??= this.#sort()
    const { keys, indices } = this.#byAddress
    const key = addressKey(address)
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keys[middle] <= key) low = middle + 1
      else high = middle
    }
    let best: CodeSymbol | undefined
    for (let index = low - 1; index >= Math.max(0, low - NESTING); index--) {
      const symbol = this.#symbol(indices[index])
      if (symbol === undefined || symbol.address > address) continue
      if (best !== undefined && symbol.address < best.address) break
      const unsized = symbol.size === 0n && keys[index] === keys[low - 1]
      if (address - symbol.address >= symbol.size && !unsized) continue
      if (best === undefined || rank(symbol) > rank(best)) best = symbol
    }
    return best && { symbol: best, offset: address - best.address }
  }

  *all(): Generator<CodeSymbol> {
    for (let index = 0; index < this.count; index++) {
      const symbol = this.#symbol(index)
      if (symbol !== undefined) yield symbol
    }
  }

  get #entrySize(): number {
    return this.#sections.elf.bits === 32 ? 16 : 24
  }

  /** undefined for what is no name of an address in this file. */
  #symbol(index: number): CodeSymbol | undefined {
    const { symbols, strings } = this.#load()
    const wide = this.#sections.elf.bits === 64
    const at = index * this.#entrySize
    const info = symbols[at + (wide ? 4 : 12)]
    const type = info & 0xf
    if (type !== STT_FUNC && type !== STT_OBJECT && type !== STT_NOTYPE) return undefined
    if (symbols.readUInt16LE(at + (wide ? 6 : 14)) === SHN_UNDEF) return undefined
    const nameAt = symbols.readUInt32LE(at)
    const name = BoundedReader.string(strings, nameAt, `name of symbol ${index}`)
    if (name === '') return undefined
    return {
      name,
      address: this.#address(at),
      size: wide ? symbols.readBigUInt64LE(at + 16) : BigInt(symbols.readUInt32LE(at + 8)),
      kind: type === STT_FUNC ? 'function' : type === STT_OBJECT ? 'object' : 'label',
      global: info >> 4 === STB_GLOBAL,
    }
  }

  /** A relocatable file's symbols count from their sections. */
  #address(at: number): bigint {
    const { symbols } = this.#load()
    const { elf } = this.#sections
    const value = this.#value(at)
    if (elf.type !== ET_REL) return value
    const section = elf.sections[symbols.readUInt16LE(at + (elf.bits === 64 ? 6 : 14))]
    return section === undefined ? value : BigInt.asUintN(64, value + this.#sections.addressOf(section))
  }

  #value(at: number): bigint {
    const { symbols } = this.#load()
    if (this.#sections.elf.bits === 64) return symbols.readBigUInt64LE(at + 8)
    if (this.#isCut()) return BigInt.asUintN(64, BigInt(symbols.readInt32LE(at + 4)))
    return BigInt(symbols.readUInt32LE(at + 4))
  }

  #sort(): { keys: Float64Array; indices: Uint32Array } {
    const { symbols } = this.#load()
    const wide = this.#sections.elf.bits === 64
    const byIndex = new Float64Array(this.count)
    const named: number[] = []
    const offsets = perCpuOffsets(this.#sections.elf)?.index
    for (let index = 0; index < this.count; index++) {
      const at = index * this.#entrySize
      const type = symbols[at + (wide ? 4 : 12)] & 0xf
      if (type !== STT_FUNC && type !== STT_OBJECT && type !== STT_NOTYPE) continue
      const section = symbols.readUInt16LE(at + (wide ? 6 : 14))
      if (symbols.readUInt32LE(at) === 0 || section === SHN_UNDEF) continue
      // Constants and offsets have names, but are no places.
      if (section === SHN_ABS || section === offsets) continue
      byIndex[index] = this.#key(at)
      named.push(index)
    }
    const indices = Uint32Array.from(named).sort((a, b) => byIndex[a] - byIndex[b])
    return { keys: Float64Array.from(indices, index => byIndex[index]), indices }
  }

  /** {@link addressKey} of a symbol, without a bigint for each of a hundred thousand. */
  #key(at: number): number {
    const { symbols } = this.#load()
    const { elf } = this.#sections
    if (elf.type === ET_REL) return addressKey(this.#address(at))
    if (elf.bits === 64) return symbols.readInt32LE(at + 12) * 2 ** 32 + symbols.readUInt32LE(at + 8)
    return this.#isCut() ? symbols.readInt32LE(at + 4) : symbols.readUInt32LE(at + 4)
  }

  #load(): { symbols: Buffer; strings: Buffer } {
    if (this.#tables !== undefined) return this.#tables
    const { elf } = this.#sections
    const table =
      elf.sections.find(section => section.type === SHT_SYMTAB) ??
      elf.sections.find(section => section.type === SHT_DYNSYM)
    if (table === undefined) return (this.#tables = { symbols: Buffer.alloc(0), strings: Buffer.alloc(0) })
    const strings = elf.sections[table.link]
    if (strings === undefined) throw new ElfError(`${table.name}: its string table ${table.link} does not exist`)
    return (this.#tables = { symbols: toBuffer(elf.sectionBytes(table)), strings: toBuffer(elf.sectionBytes(strings)) })
  }
}

/**
 * Addresses in an order that numbers can have: as signed, those of kernels and of programs are exact. For others the
 * order is right to within rounding, and the symbol itself is compared exactly.
 */
function addressKey(address: bigint): number {
  return Number(BigInt.asIntN(64, address))
}

const KIND_RANK = { label: 0, object: 1, function: 2 } as const

function rank(symbol: CodeSymbol): number {
  return KIND_RANK[symbol.kind] * 4 + (symbol.size > 0n ? 2 : 0) + (symbol.global ? 1 : 0)
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
