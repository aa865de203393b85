import { describe, expect, test } from 'vitest'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { SymbolTable } from '../../src/symbols/symbol-table.ts'

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
