/** What every device is, and the machine as a device sees it: ports, MMIO, interrupt lines, the clock; never a processor. */

import type { Json } from '../util/json.ts'

/** One register as the debugger shows it. Reading it has no side effect. */
export interface RegisterView {
  readonly name: string
  readonly value: number
  /** Width in bits. */
  readonly width: number
  readonly meaning?: string
}

export interface Device {
  /** Unique in the machine, for example `uart0`; saved state refers to devices by it. */
  readonly name: string
  /** Where it always lies in guest-physical memory, for inspection; absent for a device that has no such place. */
  readonly memoryWindow?: MemoryWindow
  /** Power-on state, as after a hardware reset. */
  reset(): void
  save(): Json
  restore(state: Json): void
  /** For inspection: changes nothing. */
  registers(): readonly RegisterView[]
}

/** Bytes of guest-physical memory. */
export interface MemoryWindow {
  readonly base: number
  readonly size: number
}

/** Handles accesses to a range of I/O ports. Values are unsigned and fit `size`. */
export interface PortHandler {
  readPort(port: number, size: 1 | 2 | 4): number
  writePort(port: number, size: 1 | 2 | 4, value: number): void
}

/** Handles accesses to a range of guest-physical addresses; `offset` is relative to the range. 8-byte accesses come as two of 4. */
export interface MmioHandler {
  readMmio(offset: number, size: 1 | 2 | 4): number
  writeMmio(offset: number, size: 1 | 2 | 4, value: number): void
}

/** An interrupt input of a controller. Edge inputs act on the rising edge. */
export interface InterruptLine {
  set(asserted: boolean): void
}

/** Where devices are attached. Overlapping ranges are an error. */
export interface DeviceBus {
  addPorts(first: number, count: number, handler: PortHandler): void
  addMmio(base: number, size: number, handler: MmioHandler): void
}

/** Guest RAM by guest-physical address, for devices that read or write it themselves. Out of range throws {@link RangeError}. */
export interface GuestMemory {
  /** Bytes of RAM below and above 4 GiB together. */
  readonly size: number
  read(gpa: number, length: number): Uint8Array
  write(gpa: number, bytes: Uint8Array): void
}
