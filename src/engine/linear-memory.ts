/**
 * The running vCPU's linear address space, for TypeScript that executes instructions.
 * Addresses are linear: segment base added, wrapped to the mode's width. Every method translates with the access
 * rights of the current privilege level, or of the supervisor with `system` (descriptor tables, TSS, IDT, the stack
 * of a more privileged ring: implicit supervisor accesses, SDM vol. 3, 4.6.1). All throw {@link GuestFault} or leave
 * for an EPT violation before anything is changed.
 */
export interface LinearMemory {
  read8(address: bigint, system?: boolean): number
  read16(address: bigint, system?: boolean): number
  read32(address: bigint, system?: boolean): number
  read64(address: bigint, system?: boolean): bigint
  write8(address: bigint, value: number, system?: boolean): void
  write16(address: bigint, value: number, system?: boolean): void
  write32(address: bigint, value: number, system?: boolean): void
  write64(address: bigint, value: bigint, system?: boolean): void
  /**
   * Any length up to a page; used for FXSAVE areas and the like. Checked entirely before the first byte moves.
   * @param alignment that #AC asks for, in bytes; accesses of 2, 4 and 8 bytes have their natural one
   */
  readBytes(address: bigint, length: number, system?: boolean, alignment?: number): Uint8Array
  writeBytes(address: bigint, bytes: Uint8Array, system?: boolean, alignment?: number): void
  /**
   * Does all checks of a later write (present, writable, user, device or hole), so that an instruction can
   * translate everything it will touch before its first side effect. 2, 4 and 8 bytes are one element, with its alignment.
   */
  probeWrite(address: bigint, length: number, system?: boolean): void
}
