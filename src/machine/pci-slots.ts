/** Places for PCI functions: slots, and the windows that firmware would have given them. */

import type { PciFunction } from '../devices/pci/pci-function.ts'
import type { PciHost } from '../devices/pci/pci-host.ts'

/** 0 and 1 are the chipset's; 2 is left to a display. */
const FIRST_SLOT = 3
/** Ports from C000h and memory from FE000000h on: in the windows of the host bridge, as the DSDT tells. */
const FIRST_PORT = 0xc000
const FIRST_MEMORY = 0xfe00_0000
const SMALLEST_MEMORY = 0x1000

/** In the same order for the same machine: saved state, and drivers that count devices, rely on it. */
export class PciSlots {
  readonly #pci: PciHost
  #slot = FIRST_SLOT
  readonly #next = { io: FIRST_PORT, memory: FIRST_MEMORY }

  constructor(pci: PciHost) {
    this.#pci = pci
  }

  /** Plugs a function into the next free slot, or the one given. @returns the slot. Throws Error when there is none. */
  plug(device: PciFunction, place?: { readonly slot: number; readonly number: number }): number {
    device.placeBars((kind, size) => this.#allocate(kind, size))
    const { slot, number } = place ?? { slot: this.#slot++, number: 0 }
    this.#pci.plug(slot, number, device)
    return slot
  }

  #allocate(kind: 'io' | 'memory', size: number): number {
    // Memory by pages at least: two devices in one page could not be told apart by an EPT.
    const aligned = kind === 'memory' ? Math.max(size, SMALLEST_MEMORY) : size
    const base = Math.ceil(this.#next[kind] / aligned) * aligned
    this.#next[kind] = base + aligned
    return base
  }
}
