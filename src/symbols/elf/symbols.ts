/** ELF symbol tables (gABI, chapter 4, "Symbol Table"). */

import { BoundedReader } from './bounded-reader.ts'

export interface ElfSymbol {
  readonly name: string
  readonly value: bigint
  readonly size: bigint
  /** STT_FUNC and its like. */
  readonly type: number
  /** STB_GLOBAL and its like. */
  readonly binding: number
  /** Index of the section that defines it; SHN_UNDEF when none of this file does. */
  readonly section: number
}

/** A last entry that is cut off is ignored, like the padding it may be. Throws ElfError for a name outside `strings`. */
export function parseSymbols(table: Uint8Array, strings: Uint8Array, bits: 32 | 64): readonly ElfSymbol[] {
  const reader = new BoundedReader(table)
  const entrySize = bits === 32 ? 16 : 24
  return Array.from({ length: Math.floor(table.length / entrySize) }, (_, index) => {
    const at = index * entrySize
    const what = `symbol ${index}`
    const name = BoundedReader.string(strings, reader.u32(at, what), `name of ${what}`)
    const info = reader.u8(at + (bits === 32 ? 12 : 4), what)
    const section = reader.u16(at + (bits === 32 ? 14 : 6), what)
    return {
      name,
      value: bits === 32 ? BigInt(reader.u32(at + 4, what)) : reader.u64(at + 8, what),
      size: bits === 32 ? BigInt(reader.u32(at + 8, what)) : reader.u64(at + 16, what),
      type: info & 0xf,
      binding: info >> 4,
      section,
    }
  })
}
