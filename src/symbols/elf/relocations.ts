/**
 * Relocations of the sections of a relocatable file, such as a kernel module: references of its debugging information
 * to addresses and to other sections are filled in only by a linker, or here.
 */

import { EM_386, EM_IAMCU, EM_X86_64 } from './constants.ts'
import { ElfError } from './elf-error.ts'
import type { ElfFile, ElfSection } from './elf-file.ts'

const SHT_RELA = 4
const SHT_REL = 9

/** How a relocation's place is computed (x86-64 psABI 4.4.1, i386 psABI 4.4.1): width in bytes, minus the place or not. */
interface Rule {
  readonly size: 4 | 8
  readonly relative: boolean
}

const X86_64_RULES: Readonly<Record<number, Rule>> = {
  1: { size: 8, relative: false }, // R_X86_64_64
  2: { size: 4, relative: true }, // R_X86_64_PC32
  4: { size: 4, relative: true }, // R_X86_64_PLT32
  10: { size: 4, relative: false }, // R_X86_64_32
  11: { size: 4, relative: false }, // R_X86_64_32S
  17: { size: 8, relative: false }, // R_X86_64_DTPOFF64
  21: { size: 4, relative: false }, // R_X86_64_DTPOFF32
  24: { size: 8, relative: true }, // R_X86_64_PC64
}

const I386_RULES: Readonly<Record<number, Rule>> = {
  1: { size: 4, relative: false }, // R_386_32
  2: { size: 4, relative: true }, // R_386_PC32
  4: { size: 4, relative: true }, // R_386_PLT32
  32: { size: 4, relative: false }, // R_386_TLS_LDO_32
}

/**
 * Applies every relocation of `section` to `bytes`, its contents. `addressOf` tells where each section lies. Throws
 * ElfError for a type that has no meaning in debugging information.
 */
export function applyRelocations(
  elf: ElfFile,
  section: ElfSection,
  bytes: Buffer,
  addressOf: (section: ElfSection) => bigint,
): void {
  for (const table of elf.sections) {
    if (table.info !== section.index || (table.type !== SHT_RELA && table.type !== SHT_REL)) continue
    applyTable(elf, table, section, bytes, addressOf)
  }
}

function applyTable(
  elf: ElfFile,
  table: ElfSection,
  section: ElfSection,
  bytes: Buffer,
  addressOf: (section: ElfSection) => bigint,
): void {
  const wide = elf.bits === 64
  const rules = elf.machine === EM_X86_64 ? X86_64_RULES : I386_RULES
  if (elf.machine !== EM_X86_64 && elf.machine !== EM_386 && elf.machine !== EM_IAMCU) {
    throw new ElfError(`${table.name}: relocations of machine ${elf.machine} are not known`)
  }
  const relocations = toBuffer(elf.sectionBytes(table))
  const symbolTable = elf.sections[table.link]
  if (symbolTable === undefined) throw new ElfError(`${table.name}: its symbol table ${table.link} does not exist`)
  const symbols = toBuffer(elf.sectionBytes(symbolTable))
  const withAddend = table.type === SHT_RELA
  const entrySize = (wide ? 16 : 8) + (withAddend ? (wide ? 8 : 4) : 0)
  for (let at = 0; at + entrySize <= relocations.length; at += entrySize) {
    const place = wide ? Number(relocations.readBigUInt64LE(at)) : relocations.readUInt32LE(at)
    const type = wide ? relocations.readUInt32LE(at + 8) : relocations[at + 4]
    const symbol = wide ? relocations.readUInt32LE(at + 12) : relocations.readUInt32LE(at + 4) >>> 8
    if (type === 0) continue
    const rule = rules[type]
    if (rule === undefined) throw new ElfError(`${table.name}: relocation type ${type} is not known`)
    if (place + rule.size > bytes.length) {
      throw new ElfError(`${table.name}: a relocation at 0x${place.toString(16)} lies outside ${section.name}`)
    }
    const addend = withAddend
      ? wide
        ? relocations.readBigInt64LE(at + 16)
        : BigInt(relocations.readInt32LE(at + 8))
      : rule.size === 8
        ? bytes.readBigInt64LE(place)
        : BigInt(bytes.readInt32LE(place))
    const from = rule.relative ? addressOf(section) + BigInt(place) : 0n
    const value = symbolValue(elf, symbols, symbol, addressOf) + addend - from
    if (rule.size === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, value), place)
    else bytes.writeUInt32LE(Number(BigInt.asUintN(32, value)), place)
  }
}

/** Of a symbol of another file 0: its address is not known here. */
function symbolValue(elf: ElfFile, symbols: Buffer, index: number, addressOf: (section: ElfSection) => bigint): bigint {
  const wide = elf.bits === 64
  const at = index * (wide ? 24 : 16)
  if (at + (wide ? 24 : 16) > symbols.length) throw new ElfError(`relocation: symbol ${index} does not exist`)
  const value = wide ? symbols.readBigUInt64LE(at + 8) : BigInt(symbols.readUInt32LE(at + 4))
  const section = elf.sections[symbols.readUInt16LE(at + (wide ? 6 : 14))]
  return section === undefined || section.index === 0 ? value : value + addressOf(section)
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
