/** Where the devices of one machine are attached, and where its processor's accesses enter. */

import type { DeviceBus, MmioHandler, PortHandler } from '../device.ts'
import type { AccessSize } from './byte-ports.ts'
import { MmioBus } from './mmio-bus.ts'
import { PortBus } from './port-bus.ts'

/** A bus whose ranges can move, as those behind PCI base address registers do. */
export interface MovableBus extends DeviceBus {
  removePorts(first: number): void
  removeMmio(base: number): void
  portsAreFree(first: number, count: number): boolean
  mmioIsFree(base: number, size: number): boolean
}

export class SystemBus implements MovableBus {
  readonly #ports = new PortBus()
  readonly #mmio = new MmioBus()

  addPorts(first: number, count: number, handler: PortHandler): void {
    this.#ports.add(first, count, handler)
  }

  addMmio(base: number, size: number, handler: MmioHandler): void {
    this.#mmio.add(base, size, handler)
  }

  removePorts(first: number): void {
    this.#ports.remove(first)
  }

  removeMmio(base: number): void {
    this.#mmio.remove(base)
  }

  portsAreFree(first: number, count: number): boolean {
    return this.#ports.isFree(first, count)
  }

  mmioIsFree(base: number, size: number): boolean {
    return this.#mmio.isFree(base, size)
  }

  /** Unsigned, fits `size`; all ones where no device is. */
  readPort(port: number, size: AccessSize): number {
    return this.#ports.read(port, size)
  }

  writePort(port: number, size: AccessSize, value: number): void {
    this.#ports.write(port, size, value)
  }

  /**
   * Unsigned, fits `size`; all ones where no device is. 8 bytes reach the device as two accesses of 4, low half
   * first.
   */
  readMmio(gpa: number, size: 1 | 2 | 4 | 8): bigint {
    return this.#mmio.read(gpa, size)
  }

  writeMmio(gpa: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    this.#mmio.write(gpa, size, value)
  }

  /** Is a device at this guest-physical address? */
  claims(gpa: number): boolean {
    return this.#mmio.claims(gpa)
  }
}
