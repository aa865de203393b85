/**
 * A plain static ELF file without any boot protocol: its segments go to their physical addresses and the processor
 * starts at the entry point, in flat 32-bit protected mode (ELF32) or in 64-bit mode with the first 4 GiB
 * identity-mapped (ELF64), with interrupts off and a small stack.
 */

import { EM_386, EM_IAMCU, EM_X86_64 } from '../symbols/elf/constants.ts'
import { ElfFile } from '../symbols/elf/elf-file.ts'
import type { Loader } from './boot-target.ts'
import { loadElf, openElf, physicalEntry } from './elf-image.ts'
import { longModeEntry, protectedModeEntry } from './entry-state.ts'
import { refuseInitrd } from './initrd.ts'
import { Placement } from './placement.ts'

const STACK_SIZE = 0x4000
/** e_machine in the ELF header. */
const MACHINE_OFFSET = 18

export const elfDirect: Loader = {
  protocol: 'elf',

  recognizes(image) {
    if (!ElfFile.hasMagic(image) || image.length < MACHINE_OFFSET + 2) return false
    const machine = image[MACHINE_OFFSET] | (image[MACHINE_OFFSET + 1] << 8)
    return machine === EM_386 || machine === EM_IAMCU || machine === EM_X86_64
  },

  load(request, ram) {
    refuseInitrd(request, 'a plain ELF image')
    const placement = new Placement(request, ram)
    const elf = openElf(request)
    const entry = physicalEntry(request, elf)
    loadElf(request, elf, ram, placement)
    const stack = placement.allocateStructure(STACK_SIZE, 'the boot stack')
    const enter = elf.bits === 64 ? longModeEntry : protectedModeEntry
    return enter(ram, placement, entry, { rsp: stack + STACK_SIZE })
  },
}
