/** 64-bit code in an ELF32 file: Multiboot's loaders take no other, so kernels are repackaged with objcopy. */

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { compile, isInstalled, scratchDirectory } from './compiled.ts'

const TOUR = fileURLToPath(new URL('../../../guests/prebuilt/tour.elf', import.meta.url))
const DWARF_RBP = 6
const DWARF_RSP = 7
const DWARF_RIP = 16
const RBP = 0x10_8f00n

test('the code is of 64 bits, whatever the container says, and variables are found by its registers', () => {
  const file = DebugFile.open(TOUR, { cache: false })
  try {
    expect(file.elf.bits).toBe(32)
    expect(file.bits).toBe(64)
    const [place] = file.functionsNamed('give_page')
    // Behind the prologue, where the frame pointer stands.
    const pc = file.statementsIn('tour/paging.c', 54, 54)[0]?.address ?? 0n
    const [frame] = file.framesAt(pc)
    expect(frame.name).toBe(place.name)
    const [address] = file.variablesOf(frame)
    const register = (number: number) => (number === DWARF_RBP ? RBP : number === DWARF_RSP ? RBP - 0x20n : 0n)
    const location = file.locate(address, { pc, register, read: () => undefined })
    expect(location).toMatchObject({ kind: 'memory' })
    // At -O0 gcc keeps arguments below the frame pointer.
    expect(location.kind === 'memory' && location.address < RBP && location.address >= RBP - 0x20n).toBe(true)
  } finally {
    file.close()
  }
})

const HIGHER_HALF = 0xffff_ffff_8010_0000n

describe.skipIf(!isInstalled('gcc') || !isInstalled('objcopy'))('a higher-half kernel in an ELF32 file', () => {
  const directory = scratchDirectory()
  const files: DebugFile[] = []
  const open = (path: string): DebugFile => {
    const file = DebugFile.open(path, { cache: false })
    files.push(file)
    return file
  }
  afterAll(() => {
    for (const file of files) file.close()
  })

  const repackaged = (): { whole: DebugFile; cut: DebugFile } => {
    const options = ['-g', '-O0', '-mcmodel=kernel', '-fno-pic', '-fasynchronous-unwind-tables']
    const path = compile(directory, 'kernel64', ...options, `-Wl,-Ttext=0x${HIGHER_HALF.toString(16)}`)
    execFileSync('objcopy', ['-O', 'elf32-i386', path, join(directory, 'kernel32')], { stdio: 'ignore' })
    return { whole: open(path), cut: open(join(directory, 'kernel32')) }
  }

  test('is where it was linked, although the container has the low halves of its addresses only', () => {
    const { whole, cut } = repackaged()
    expect(cut.elf.bits).toBe(32)
    const leaf = whole.symbolNamed('leaf')
    const address = leaf?.address ?? 0n
    expect(address).toBeGreaterThanOrEqual(HIGHER_HALF)
    expect(cut.symbolNamed('leaf')).toEqual(leaf)
    expect(cut.symbolAt(address + 1n)).toEqual({ symbol: leaf, offset: 1n })
    expect(cut.functionsNamed('leaf')).toEqual(whole.functionsNamed('leaf'))
    expect(cut.framesAt(address).map(({ name }) => name)).toEqual(['leaf'])
    expect(cut.lineAt(address)).toEqual(whole.lineAt(address))
    expect(cut.lineAt(address)).toBeDefined()
    expect(cut.symbolAt(BigInt.asUintN(32, address))).toBeUndefined()
  })

  test('is unwound by its .eh_frame, whose addresses count from the section', () => {
    const { cut } = repackaged()
    const pc = cut.symbolNamed('leaf')?.address ?? 0n
    const registers: bigint[] = Array.from({ length: 17 }, () => 0n)
    registers[DWARF_RSP] = RBP
    registers[DWARF_RIP] = pc
    const returnAddress = HIGHER_HALF + 0x123n
    const read = (address: bigint, length: number) => {
      if (address !== RBP || length !== 8) return undefined
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(returnAddress)
      return bytes
    }
    expect(cut.unwind(registers, read, false)?.registers[DWARF_RIP]).toBe(returnAddress)
  })
})

test.skipIf(!isInstalled('gcc'))('32-bit code can run above 4 GiB, where a 64-bit kernel has mapped it', () => {
  const file = DebugFile.open(compile(scratchDirectory(), 'code32', '-g', '-m32'), { cache: false })
  try {
    const linked = file.symbolNamed('leaf')?.address ?? 0n
    file.slide = -0x8000_0000_0000n
    const address = BigInt.asUintN(64, linked - 0x8000_0000_0000n)
    expect(file.symbolNamed('leaf')?.address).toBe(address)
    expect(file.symbolAt(address)?.symbol.name).toBe('leaf')
    expect(file.lineAt(address)).toMatchObject({ low: address })
    expect(file.lineAt(linked)).toBeUndefined()
  } finally {
    file.close()
  }
})
