/**
 * Between the addresses that a file was linked at and those where the guest has it. They have 64 bits whatever the file
 * has: a 64-bit kernel may have mapped 32-bit code anywhere.
 */

import type { ElfFile } from '../elf/elf-file.ts'
import { perCpuOffsets } from '../elf/per-cpu.ts'

export class Slide {
  /** Guest's address minus the file's. */
  value = 0n
  /**
   * Addresses below stay as they are. A Linux kernel links its per-CPU variables at 0: their addresses are offsets,
   * which no randomization changes.
   */
  readonly #fixedBelow: bigint

  constructor(elf: ElfFile) {
    this.#fixedBelow = BigInt(perCpuOffsets(elf)?.size ?? 0)
  }

  /** Is it no address, but an offset into per-CPU variables? */
  isOffset(address: bigint): boolean {
    return address < this.#fixedBelow
  }

  toGuest(address: bigint): bigint {
    return this.isOffset(address) ? address : BigInt.asUintN(64, address + this.value)
  }

  toFile(address: bigint): bigint {
    return this.isOffset(address) ? address : BigInt.asUintN(64, address - this.value)
  }
}
