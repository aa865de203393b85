/** Between the addresses that a file was linked at and those where the guest has it. */

import { ET_REL, SHF_ALLOC } from '../elf/constants.ts'
import type { ElfFile } from '../elf/elf-file.ts'

export class Slide {
  /** Guest's address minus the file's. */
  value = 0n
  readonly #mask: number
  /**
   * Addresses below stay as they are. A Linux kernel links its per-CPU variables at 0: their addresses are offsets,
   * which no randomization changes.
   */
  readonly #fixedBelow: bigint

  constructor(elf: ElfFile) {
    this.#mask = elf.bits
    const perCpu = elf.type === ET_REL ? undefined : elf.section('.data..percpu')
    const isOffset = perCpu !== undefined && perCpu.address === 0n && (perCpu.flags & SHF_ALLOC) !== 0
    this.#fixedBelow = isOffset ? BigInt(perCpu.size) : 0n
  }

  toGuest(address: bigint): bigint {
    return address < this.#fixedBelow ? address : BigInt.asUintN(this.#mask, address + this.value)
  }

  toFile(address: bigint): bigint {
    return address < this.#fixedBelow ? address : BigInt.asUintN(this.#mask, address - this.value)
  }
}
