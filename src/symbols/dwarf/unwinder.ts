/** The unwind tables of a file, each read when first needed. */

import { EM_X86_64 } from '../elf/constants.ts'
import { CallFrames, type FrameSection } from './call-frames.ts'
import type { DwarfRegisters, ReadMemory, UnwoundFrame } from './debug-info.ts'
import type { DwarfProgram } from './dwarf-program.ts'
import { OrcTable } from './orc.ts'
import { canonicalFrameAddress, frameScope, I386_ABI, type UnwindAbi, unwindByTable, X86_64_ABI } from './unwind.ts'

export class Unwinder {
  readonly #program: DwarfProgram
  #abi: UnwindAbi | undefined
  #frames: readonly CallFrames[] | undefined
  #orc: OrcTable | 'none' | undefined

  constructor(program: DwarfProgram) {
    this.#program = program
  }

  /** That of the code. 64-bit kernels come in ELF32 files too, for Multiboot's sake. */
  get abi(): UnwindAbi {
    const { sections, isCut } = this.#program
    this.#abi ??= sections.elf.machine === EM_X86_64 || isCut ? X86_64_ABI : I386_ABI
    return this.#abi
  }

  /** Addresses in `registers` are the guest's. */
  unwind(registers: DwarfRegisters, read: ReadMemory, isCaller: boolean): UnwoundFrame | undefined {
    const pc = registers[this.abi.programCounter]
    if (pc === undefined) return undefined
    const place = this.#program.slide.toFile(isCaller ? pc - 1n : pc)
    for (const frames of this.#tables()) {
      const found = unwindByTable(frames, this.abi, place, registers, read)
      if (found !== undefined) return found
    }
    return this.#orcTable()?.unwind(place, registers, read)
  }

  /** The canonical frame address, as location expressions ask for it. `pc` is the guest's. */
  frameAddress(pc: bigint, register: (number: number) => bigint | undefined, read: ReadMemory): bigint | undefined {
    const place = this.#program.slide.toFile(pc)
    for (const frames of this.#tables()) {
      const rules = frames.rulesAt(place)
      if (rules === undefined) continue
      const registers = Array.from({ length: this.abi.count }, (_, number) => register(number))
      return canonicalFrameAddress(rules, frameScope(this.abi, registers, read))
    }
    return undefined
  }

  #tables(): readonly CallFrames[] {
    this.#frames ??= (['.debug_frame', '.eh_frame'] as const).flatMap(name => this.#table(name) ?? [])
    return this.#frames
  }

  #table(name: FrameSection['name']): CallFrames | undefined {
    const section = this.#program.sections.named(name)
    if (section === undefined) return undefined
    const { addressSize } = this.abi
    const address = this.#program.isCut ? BigInt.asUintN(64, BigInt.asIntN(32, section.address)) : section.address
    return new CallFrames({ name, bytes: section.all(), address, addressSize })
  }

  #orcTable(): OrcTable | undefined {
    if (this.#orc === undefined) {
      const { sections } = this.#program
      const ips = sections.named('.orc_unwind_ip')
      const entries = sections.named('.orc_unwind')
      if (sections.elf.machine !== EM_X86_64 || ips === undefined || entries === undefined) this.#orc = 'none'
      else this.#orc = new OrcTable(ips.all(), ips.address, entries.all())
    }
    return this.#orc === 'none' ? undefined : this.#orc
  }
}
