/** What the debugger knows to lie in an address space. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { linearAreas } from '../../src/debugger/linear-areas.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import type { KernelSymbol } from '../../src/symbols/kallsyms.ts'
import { FakeMachine } from '../support/fake-machine.ts'
import { GUESTS } from '../support/markers.ts'

const bytes = readFileSync(`${GUESTS}prebuilt/tour.elf`)
const machine = new FakeMachine()
const areasOf = (book: SymbolBook) => linearAreas(book, machine, machine.vcpu, () => true)

describe('areas of an address space', () => {
  test('are the sections of a symbol file, where the guest has them', () => {
    const book = new SymbolBook()
    book.addElf('tour.elf', bytes, 0x1000_0000n)
    const areas = areasOf(book)
    const text = areas.find(({ name }) => name === '.text')
    expect(text).toMatchObject({ kind: 'section', start: 0x1010_0000n })
    const main = book.byName('kernel_main')?.address ?? 0n
    expect(main > (text?.start ?? 0n) && main < (text?.end ?? 0n)).toBe(true)
    expect(areas.some(({ name }) => name.startsWith('.debug') || name === '.symtab')).toBe(false)
  })

  test('say of which file a section is where there are several', () => {
    const book = new SymbolBook()
    book.addElf('/a/one.elf', bytes)
    book.addElf('/a/two.elf', bytes, 0x1000_0000n)
    expect(areasOf(book).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['.text of one.elf', '.text of two.elf']),
    )
  })

  test("are between the symbols of a kernel's own tables, without its file", () => {
    const symbol = (name: string, address: bigint): KernelSymbol => ({ name, address, type: 'T' })
    const book = new SymbolBook()
    book.addKernel('kernel tables', [
      ...[symbol('_stext', 0x1000n), symbol('_etext', 0x3000n), symbol('__bss_start', 0x9000n)],
      ...[symbol('_sdata', 0x8000n), symbol('_edata', 0x8000n)],
    ])
    expect(areasOf(book)).toEqual([{ kind: 'section', name: '.text', start: 0x1000n, end: 0x3000n }])
  })

  test('are none without symbols', () => {
    expect(areasOf(new SymbolBook())).toEqual([])
  })
})
