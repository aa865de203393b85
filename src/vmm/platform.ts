/** What a VM needs of the machine around its processors: the hypervisor knows devices by these and nothing else. */

/** Bytes of one access to memory-mapped registers. */
export type AccessSize = 1 | 2 | 4 | 8

/** Ports and memory-mapped registers. Values are unsigned and fit their size. */
export interface PlatformBus {
  /** All ones where no device answers. */
  readPort(port: number, size: 1 | 2 | 4): number
  writePort(port: number, size: 1 | 2 | 4, value: number): void
  /** Does a device answer at this guest-physical address? */
  claims(gpa: number): boolean
  readMmio(gpa: number, size: AccessSize): bigint
  writeMmio(gpa: number, size: AccessSize, value: bigint): void
}

/** The 8259 pair as the processor's INTR pin sees it. */
export interface ExternalInterrupts {
  readonly pending: boolean
  /** The INTA cycle: the vector of the interrupt that is now in service. */
  acknowledge(): number
}

/** The I/O APICs as a local APIC sees them. */
export interface EndOfInterruptSink {
  endOfInterrupt(vector: number): void
}

export interface Platform {
  readonly bus: PlatformBus
  readonly externalInterrupts: ExternalInterrupts
  readonly ioApic: EndOfInterruptSink
  /** A byte that the guest shows by hypercall. */
  showByte(byte: number): void
}
