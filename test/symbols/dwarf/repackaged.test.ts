/** 64-bit code in an ELF32 file: Multiboot's loaders take no other, so kernels are repackaged with objcopy. */

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'

const TOUR = fileURLToPath(new URL('../../../guests/prebuilt/tour.elf', import.meta.url))
const DWARF_RBP = 6
const DWARF_RSP = 7
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
