import { describe, expect, it } from 'vitest'
import { ElfError } from '../../src/symbols/elf/elf-error.ts'
import { ElfFile } from '../../src/symbols/elf/elf-file.ts'
import { SymbolTable } from '../../src/symbols/symbol-table.ts'
import { buildElf, note, symbolSections, words } from '../boot/image-builders.ts'

const code = Uint8Array.of(1, 2, 3, 4)
const symbols = [
  { name: 'start', value: 0x100000n, size: 0x10n },
  { name: 'loop', value: 0x100004n, type: 0, binding: 0 },
  { name: 'external', value: 0n, section: 0 },
  { name: 'table', value: 0x100020n, size: 8n, type: 1 },
]

const build = (bits: 32 | 64) =>
  buildElf({
    bits,
    entry: 0x100002n,
    segments: [
      { physical: 0x100000, virtual: bits === 64 ? 0xffffffff80100000n : 0xc0100000n, bytes: code, memorySize: 64 },
      { type: 4, physical: 0, bytes: note('GNU', 3, words(0x44332211, 0x88776655)) },
    ],
    sections: [...symbolSections(bits, symbols, 1), { name: '.bss', type: 8, bytes: new Uint8Array(0) }],
  })

describe.each([32, 64] as const)('an ELF%i file', bits => {
  const elf = new ElfFile(build(bits))

  it('has a header, segments and sections', () => {
    expect([elf.bits, elf.type, elf.machine, elf.entry]).toEqual([bits, 2, bits === 64 ? 62 : 3, 0x100002n])
    expect(elf.segments.map(segment => segment.type)).toEqual([1, 4])
    expect(elf.segments[0].physical).toBe(0x100000n)
    expect(elf.segments[0].virtual).toBe(bits === 64 ? 0xffffffff80100000n : 0xc0100000n)
    expect([elf.segments[0].fileSize, elf.segments[0].memorySize]).toEqual([4, 64])
    expect(elf.segmentBytes(elf.segments[0])).toEqual(code)
    expect(elf.sections.map(section => section.name)).toEqual(['', '.symtab', '.strtab', '.bss', '.shstrtab'])
    expect(elf.section('.symtab')?.index).toBe(1)
  })

  it('has symbols and a build id', () => {
    expect(elf.symbols().map(symbol => symbol.name)).toEqual(['', 'start', 'loop', 'external', 'table'])
    expect(elf.symbols()[1]).toEqual({ name: 'start', value: 0x100000n, size: 0x10n, type: 2, binding: 1, section: 1 })
    expect(elf.buildId).toBe('1122334455667788')
  })

  it('cut off anywhere, or with any byte damaged, is an ElfError or still readable, never anything else', () => {
    const readAll = (bytes: Uint8Array) => {
      try {
        const file = new ElfFile(bytes)
        for (const segment of file.segments) file.segmentBytes(segment)
        for (const section of file.sections) file.sectionBytes(section)
        return `${file.symbols().length} ${[...file.notes()].length}`
      } catch (error) {
        if (error instanceof ElfError) return error.message
        throw error
      }
    }
    const whole = build(bits)
    for (let length = 0; length < whole.length; length++) expect(readAll(whole.subarray(0, length))).toMatch(/[a-z]/)
    for (let index = 4; index < whole.length; index++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const damaged = whole.slice()
        damaged[index] = value
        readAll(damaged)
      }
    }
  })
})

describe('the ELF reader', () => {
  it('says what is wrong', () => {
    expect(() => new ElfFile(code)).toThrow('not an ELF file')
    expect(() => new ElfFile(build(64).subarray(0, 60))).toThrow(/ELF header: .* outside the file of 60 bytes/)
    const bigEndian = build(64)
    bigEndian[5] = 2
    expect(() => new ElfFile(bigEndian)).toThrow('not little-endian')
    expect(() => new ElfFile(build(64).subarray(0, 300)).sections).toThrow(/section header 0: .* outside the file/)
  })
})

describe('a symbol table', () => {
  const table = SymbolTable.fromElf(new ElfFile(build(64)))

  it('finds addresses by name, leaving out what the file does not define', () => {
    expect(table.byName('start')?.address).toBe(0x100000n)
    expect(table.byName('table')?.kind).toBe('object')
    expect(table.byName('external')).toBeUndefined()
  })

  it('names any address that a symbol covers', () => {
    expect(table.describe(0x100000n)).toBe('start')
    expect(table.describe(0x100003n)).toBe('start+0x3')
    expect(table.describe(0x100024n)).toBe('table+0x4')
    expect(table.describe(0xfffffn)).toBeUndefined()
    expect(table.describe(0x100028n)).toBeUndefined()
  })

  it('lets a label without a size reach up to the next symbol', () => {
    expect(table.describe(0x100008n)).toBe('loop+0x4')
  })

  it('moves all addresses by the slide of a relocated kernel', () => {
    const moved = SymbolTable.fromElf(new ElfFile(build(64)), 0x200000n)
    expect(moved.describe(0x300001n)).toBe('start+0x1')
  })

  it('prefers functions with a size at an address, and global symbols of a name', () => {
    const label = { name: 'label', address: 16n, size: 0n, kind: 'label', global: true } as const
    const local = { name: 'same', address: 16n, size: 4n, kind: 'function', global: false } as const
    const global = { name: 'same', address: 32n, size: 4n, kind: 'function', global: true } as const
    const both = new SymbolTable([global, local, label])
    expect(both.describe(16n)).toBe('same')
    expect(both.byName('same')?.address).toBe(32n)
  })

  it('finds the function around a smaller symbol inside it', () => {
    const outer = { name: 'outer', address: 0n, size: 100n, kind: 'function', global: true } as const
    const inner = { name: 'inner', address: 10n, size: 4n, kind: 'label', global: false } as const
    const nested = new SymbolTable([outer, inner])
    expect([nested.describe(12n), nested.describe(20n), nested.describe(100n)]).toEqual([
      'inner+0x2',
      'outer+0x14',
      undefined,
    ])
  })
})
