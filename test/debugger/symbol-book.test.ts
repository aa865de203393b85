import { describe, expect, test } from 'vitest'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { SymbolTable } from '../../src/symbols/symbol-table.ts'
import { buildElf, symbolSections } from '../boot/image-builders.ts'

const symbol = (name: string, address: bigint, size = 0n, kind: 'function' | 'object' = 'function') => {
  return { name, address, size, kind, global: true }
}

describe('the symbols a debugger knows', () => {
  const book = new SymbolBook()
  book.add(
    'kernel',
    new SymbolTable([symbol('start', 0x1000n, 0x20n), symbol('init', 0x2000n), symbol('init', 0x3000n)]),
  )
  book.add('program', new SymbolTable([symbol('main', 0x2800n, 0x100n), symbol('data', 0x5000n, 8n, 'object')]))

  test('describe an address by the nearest one below it, of all files', () => {
    expect(book.describe(0x1000n)).toBe('start')
    expect(book.describe(0x1004n)).toBe('start+0x4')
    expect(book.describe(0x2810n)).toBe('main+0x10')
    expect(book.describe(0x2900n)).toBe('init+0x900')
  })

  test('do not reach beyond their size, nor too far without one', () => {
    expect(book.describe(0x1020n)).toBeUndefined()
    expect(book.describe(0x5008n)).toBe('init+0x2008')
    expect(book.describe(0x20_0000n)).toBeUndefined()
    expect(book.describe(0x10n)).toBeUndefined()
  })

  test('give every function of a name, and no data', () => {
    expect(book.functionsNamed('init')).toEqual([0x2000n, 0x3000n])
    expect(book.functionsNamed('data')).toEqual([])
    expect(book.byName('data')?.address).toBe(0x5000n)
  })

  test("take a kernel's own tables without per-CPU offsets", () => {
    const kernel = new SymbolBook()
    kernel.addKernel('kernel tables', [
      { name: 'cpu_info', address: 0x4000n, type: 'A' },
      { name: '_text', address: 0xffff_ffff_8100_0000n, type: 'T' },
      { name: 'jiffies', address: 0xffff_ffff_8200_0000n, type: 'D' },
    ])
    expect(kernel.describe(0x4000n)).toBeUndefined()
    expect(kernel.functionsNamed('_text')).toEqual([0xffff_ffff_8100_0000n])
    expect(kernel.functionsNamed('jiffies')).toEqual([])
    expect(kernel.has('kernel tables')).toBe(true)
  })
})

describe('files with debugging information', () => {
  const vmlinux = () => {
    const book = new SymbolBook()
    book.addElf(
      'vmlinux',
      elfWithSymbols([
        ['_stext', 0x1000],
        ['start_kernel', 0x2000],
        ['init_task', 0x3000],
      ]),
    )
    return book
  }
  const running = (slide: bigint) => [
    { name: '_stext', address: 0x1000n + slide, type: 'T' },
    { name: 'start_kernel', address: 0x2000n + slide, type: 'T' },
    { name: 'init_task', address: 0x3000n + slide, type: 'D' },
  ]

  test('move with the running kernel of the same build', () => {
    const book = vmlinux()
    book.addKernel('kernel tables', running(0x20_0000n))
    expect(book.files[0].slide).toBe(0x20_0000n)
    expect(book.byName('start_kernel')?.address).toBe(0x20_2000n)
    expect(book.functionsNamed('start_kernel')).toEqual([0x20_2000n])
    book.addKernel('kernel tables', running(-0x1000n))
    expect(book.files[0].slide).toBe(-0x1000n)
  })

  test('stay where they are beside another kernel', () => {
    const book = vmlinux()
    const [stext, ...others] = running(0x20_0000n)
    book.addKernel('kernel tables', [{ ...stext, address: 0x4000n }, ...others])
    expect(book.files[0].slide).toBe(0n)
  })

  test('that are damaged are a message, and what is whole still answers', () => {
    const book = new SymbolBook()
    book.addElf('damaged', elfWithSymbols([['_stext', 0x1000]], Uint8Array.of(0xff, 0, 0, 0, 9, 0, 0, 0)))
    expect(book.problems).toEqual([])
    expect(book.framesAt(0x1000n)).toBeUndefined()
    expect(book.problems).toEqual(['damaged: .debug_info: unit at 0x0: version 9 of DWARF is not known'])
    expect(book.byName('_stext')?.address).toBe(0x1000n)
    expect(() => book.addElf('text', Uint8Array.of(1, 2, 3))).toThrow('not an ELF file')
  })
})

function elfWithSymbols(symbols: readonly (readonly [string, number])[], debugInfo?: Uint8Array): Uint8Array {
  const specs = symbols.map(([name, address]) => ({ name, value: BigInt(address), size: 0x100n }))
  const debug = debugInfo === undefined ? [] : [{ name: '.debug_info', type: 1, bytes: debugInfo }]
  const segments = [{ physical: 0x1000, virtual: 0x1000n, bytes: new Uint8Array(16) }]
  return buildElf({ bits: 64, entry: 0x1000n, segments, sections: [...symbolSections(64, specs, 1), ...debug] })
}
