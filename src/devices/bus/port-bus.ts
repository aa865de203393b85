/** The space of 65,536 I/O ports. */

import type { PortHandler } from '../device.ts'
import type { AccessSize } from './byte-ports.ts'

const PORTS = 0x10000

interface PortRange {
  readonly first: number
  /** One past the end. */
  readonly end: number
  readonly handler: PortHandler
}

function mask(size: AccessSize): number {
  return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff
}

function hex(port: number): string {
  return `0x${port.toString(16)}`
}

/**
 * An access goes to a device in one piece when the whole of it lies in one of its ranges, and is halved otherwise.
 * Ports nobody claims read as all ones, like a bus that nothing drives, and swallow writes.
 */
export class PortBus {
  readonly #table: (PortRange | undefined)[] = new Array(PORTS).fill(undefined)

  /** @throws Error when the range leaves the port space or overlaps another. */
  add(first: number, count: number, handler: PortHandler): void {
    if (first < 0 || count < 1 || first + count > PORTS)
      throw new Error(`ports ${hex(first)} to ${hex(first + count - 1)}: outside of the port space`)
    const end = first + count
    for (let port = first; port < end; port++)
      if (this.#table[port] !== undefined)
        throw new Error(`ports ${hex(first)} to ${hex(end - 1)}: port ${hex(port)} belongs to another device already`)
    this.#table.fill({ first, end, handler }, first, end)
  }

  /** Removes the range that starts at `first`, if there is one. */
  remove(first: number): void {
    const range = this.#table[first]
    if (range?.first === first) this.#table.fill(undefined, range.first, range.end)
  }

  /** Is every one of these ports unclaimed and in the port space? */
  isFree(first: number, count: number): boolean {
    if (first + count > PORTS) return false
    for (let port = first; port < first + count; port++) if (this.#table[port] !== undefined) return false
    return true
  }

  read(port: number, size: AccessSize): number {
    const range = this.#table[port]
    if (range !== undefined && port + size <= range.end) return (range.handler.readPort(port, size) & mask(size)) >>> 0
    if (size === 1) return 0xff
    const half = size === 4 ? 2 : 1
    const low = this.read(port, half)
    // The port number wraps at 64 KiB, as on the address bus.
    const high = this.read((port + half) & 0xffff, half)
    return (low | (high << (8 * half))) >>> 0
  }

  write(port: number, size: AccessSize, value: number): void {
    const range = this.#table[port]
    if (range !== undefined && port + size <= range.end) {
      range.handler.writePort(port, size, (value & mask(size)) >>> 0)
      return
    }
    if (size === 1) return
    const half = size === 4 ? 2 : 1
    this.write(port, half, value & mask(half))
    this.write((port + half) & 0xffff, half, value >>> (8 * half))
  }
}
