/** A 32-bit Linux kernel is found before it has paging, and by what the processor knows of it after. */

import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import { KernelFollower } from '../../../src/debugger/linux/follow-kernel.ts'
import type { LinuxImage } from '../../../src/debugger/linux/kernel-tables.ts'
import { SymbolBook } from '../../../src/debugger/symbol-book.ts'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { FakeMachine } from '../../support/fake-machine.ts'
import { kallsymsImage } from '../../support/kallsyms-image.ts'
import { buildGuest } from '../support/c-guest.ts'

const PAGE_OFFSET = 0xc000_0000
const ALIGNMENT = 0x10_0000
const LINKED_AT = 0x10_0000
/** Where this boot has put it. */
const START = 0x50_0000
const IMAGE: LinuxImage = { start: LINKED_AT, length: 0x8_0000, alignment: ALIGNMENT, bits: 32 }
const PAGE_TABLES = START + 0x7_0000
const IDT = START + 0x6_0000

let machine: FakeMachine
beforeEach(() => {
  machine = new FakeMachine(8 * 2 ** 20)
  machine.vcpu.protectedMode()
})

/** In startup_32, behind its write of CR3. */
const loadsTables = () => machine.vcpu.set({ rip: BigInt(START + 0xf0), cr3: BigInt(PAGE_TABLES) })

/** In its own C code: 4 MiB pages map the low memory. */
function hasPaging(): void {
  const directory = new DataView(new ArrayBuffer(4096))
  for (let page = 0; page < 2; page++)
    directory.setUint32((PAGE_OFFSET >>> 20) + page * 4, page * 0x40_0000 + 0x83, true)
  machine.write(PAGE_TABLES, new Uint8Array(directory.buffer))
  machine.vcpu.set({
    rip: BigInt(PAGE_OFFSET + START + 0x2000),
    cr0: 0x8000_0011n,
    cr4: 0x10n,
    cr3: BigInt(PAGE_TABLES),
  })
}

/** An interrupt gate of 32 bits (SDM vol. 3, figure 6-2). */
function handlesPageFaults(handler: number): void {
  const gate = new DataView(new ArrayBuffer(8))
  gate.setUint32(0, 0x60_0000 | (handler & 0xffff), true)
  gate.setUint32(4, (handler & 0xffff_0000) | 0x8e00, true)
  machine.write(IDT + 14 * 8, new Uint8Array(gate.buffer))
  machine.vcpu.tables.idtr = { base: BigInt(PAGE_OFFSET + IDT), limit: 0x7ff }
}

describe('the own symbols of a 32-bit kernel', () => {
  const tables = kallsymsImage({ start_kernel: 0x18_2468n }, { base: BigInt(PAGE_OFFSET + START), word: 4 })
  const follow = () => {
    const book = new SymbolBook()
    return { book, follower: new KernelFollower(book, { image: IMAGE }) }
  }

  test('are read when it loads CR3, from where its code runs', () => {
    const { book, follower } = follow()
    machine.write(START + 0x4000, tables)
    loadsTables()
    expect(follower.seek(machine, machine.vcpu)).toBe(true)
    expect(book.byName('start_kernel')?.address).toBe(BigInt(PAGE_OFFSET + START + 0x18_2468))
  })

  test('are not looked for at stops before, however many there are', () => {
    const { follower } = follow()
    machine.write(START + 0x4000, tables)
    machine.vcpu.set({ rip: BigInt(START + 0xf0), cr3: 0n })
    for (let stop = 0; stop < 10; stop++) expect(follower.locate(machine, machine.vcpu)).toBe(false)
    machine.vcpu.set({ rip: 0x7c00n })
    for (let stop = 0; stop < 10; stop++) expect(follower.locate(machine, machine.vcpu)).toBe(false)
    loadsTables()
    expect(follower.locate(machine, machine.vcpu)).toBe(true)
  })

  test('are read around its handler of page faults when it has paging', () => {
    const { book, follower } = follow()
    machine.write(START + 0x4000, tables)
    hasPaging()
    for (let stop = 0; stop < 10; stop++) expect(follower.locate(machine, machine.vcpu)).toBe(false)
    handlesPageFaults(0x1000)
    for (let stop = 0; stop < 10; stop++) expect(follower.locate(machine, machine.vcpu)).toBe(false)
    handlesPageFaults(PAGE_OFFSET + START + 0x3000)
    expect(follower.locate(machine, machine.vcpu)).toBe(true)
    expect(book.byName('start_kernel')?.address).toBe(BigInt(PAGE_OFFSET + START + 0x18_2468))
  })

  test('are not looked for in the memory of a 64-bit kernel that is still in protected mode', () => {
    const book = new SymbolBook()
    const follower = new KernelFollower(book, { image: { ...IMAGE, bits: 64 } })
    machine.write(START + 0x4000, tables)
    loadsTables()
    expect(follower.seek(machine, machine.vcpu)).toBe(false)
  })
})

describe('the vmlinux of a 32-bit kernel', () => {
  const built = (build = '#1') =>
    buildGuest(
      `const char linux_banner[] = "Linux version 6.1.0-test (me@here) ${build} SMP";
      unsigned long init_task; void _text(void) {} void _stext(void) {} void start_kernel(void) {} void _start(void) {}
      extern const char __start_notes[], __stop_notes[];`,
      [
        ...['-m32', '-O1', `-Wl,-Ttext-segment=0x${(PAGE_OFFSET + LINKED_AT).toString(16)}`],
        ...['-Wl,--defsym=__start_notes=ADDR(.note.gnu.build-id)'],
        ...['-Wl,--defsym=__stop_notes=ADDR(.note.gnu.build-id)+SIZEOF(.note.gnu.build-id)'],
      ],
    ).program

  /** The decompressor's work: the segments where they are to be, and nothing relocated that is looked at. */
  function decompress(path: string): void {
    const file = DebugFile.open(path)
    for (const { type, offset, virtual, fileSize } of file.elf.segments)
      if (type === 1)
        machine.write(
          Number(virtual) - PAGE_OFFSET - LINKED_AT + START,
          readFileSync(path).subarray(offset, offset + fileSize),
        )
    file.close()
  }

  function follow(path: string) {
    const book = new SymbolBook()
    const file = DebugFile.open(path)
    book.addFile(file)
    // The file counts from _text, and nothing promises that it is first.
    const text = Number(file.symbolNamed('_text')?.address) - PAGE_OFFSET
    return { book, file, follower: new KernelFollower(book, { image: { ...IMAGE, start: text } }) }
  }

  test('is moved with it when it loads CR3', () => {
    const path = built()
    const { file, follower } = follow(path)
    loadsTables()
    expect(follower.seek(machine, machine.vcpu)).toBe(false)
    decompress(path)
    expect(follower.seek(machine, machine.vcpu)).toBe(true)
    expect(file.slide).toBe(BigInt(START - LINKED_AT))
    file.close()
  })

  test('is moved with it when it has paging', () => {
    const path = built()
    const { file, follower } = follow(path)
    decompress(path)
    hasPaging()
    expect(follower.locate(machine, machine.vcpu)).toBe(true)
    expect(file.slide).toBe(BigInt(START - LINKED_AT))
    file.close()
  })

  test('of another build is said and left out', () => {
    const { book, follower } = follow(built('#2'))
    decompress(built())
    loadsTables()
    expect(follower.seek(machine, machine.vcpu)).toBe(false)
    expect(book.problems).toEqual([expect.stringContaining('is of another build than the running kernel')])
    expect(book.files).toEqual([])
  })
})
