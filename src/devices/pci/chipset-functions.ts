/** The functions of a 440FX and PIIX chipset, as QEMU's `pc` machine identifies them. */

import { GPE0, PM1A_EVENT, SCI_IRQ } from '../acpi-pm/registers.ts'
import { PciFunction } from './pci-function.ts'
import * as r from './registers.ts'

const INTEL = 0x8086
/** QEMU's own subsystem, which it gives to every device without one. */
const QEMU_SUBSYSTEM_VENDOR = 0x1af4
const QEMU_SUBSYSTEM = 0x1100

/** 82441FX host bridge. Its registers for caching and shadowing of memory are storage: all of RAM is RAM. */
export class HostBridge extends PciFunction {
  constructor() {
    super('pci-host-bridge', {
      vendor: INTEL,
      device: 0x1237,
      revision: 2,
      classCode: 0x060000,
      subsystemVendor: QEMU_SUBSYSTEM_VENDOR,
      subsystem: QEMU_SUBSYSTEM,
    })
    // 82441FX data sheet, section 3.2: 0x50 to 0x72, PAM and SMRAM among them.
    this.writable.fill(0xff, 0x50, 0x73)
    this.config[0x72] = 0x02
  }
}

/** First of the four PIRQ route registers. */
export const PIRQ_ROUTE = 0x60
export const PIRQS = 4
/** The PIRQ goes nowhere. */
export const PIRQ_DISABLED = 0x80

/** Requests that a PIRQ can be routed to (82371SB data sheet, 2.2.10). */
const ROUTABLE = 0xdef8

export function isRoutable(irq: number): boolean {
  return (ROUTABLE & (1 << irq)) !== 0
}

/** 82371SB (PIIX3) PCI to ISA bridge. */
export class IsaBridge extends PciFunction {
  /** Tells of a change of the PIRQ routes. */
  onRoute: (() => void) | undefined

  /** @param routes ISA request of each PIRQ, as firmware leaves them. */
  constructor(routes: readonly number[]) {
    super('pci-isa-bridge', {
      vendor: INTEL,
      device: 0x7000,
      revision: 0,
      classCode: 0x060100,
      subsystemVendor: QEMU_SUBSYSTEM_VENDOR,
      subsystem: QEMU_SUBSYSTEM,
      status: r.PCI_STATUS_DEVSEL_MEDIUM,
      multifunction: true,
    })
    // I/O recovery timer and X-bus chip select, then the routes: the registers that software changes.
    this.config[0x4c] = 0x4d
    this.config[0x4e] = 0x03
    for (const offset of [0x4c, 0x4e, 0x4f, 0x69, 0x82]) this.writable[offset] = 0xff
    for (let pirq = 0; pirq < PIRQS; pirq++) {
      this.config[PIRQ_ROUTE + pirq] = routes[pirq] ?? PIRQ_DISABLED
      this.writable[PIRQ_ROUTE + pirq] = 0x8f
    }
  }

  /** ISA request that a PIRQ is routed to, or undefined. */
  route(pirq: number): number | undefined {
    const value = this.config[PIRQ_ROUTE + pirq]
    const irq = value & 0x0f
    return value & PIRQ_DISABLED || !isRoutable(irq) ? undefined : irq
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < PIRQ_ROUTE + PIRQS && offset + size > PIRQ_ROUTE) this.onRoute?.()
  }
}

/** 82371AB (PIIX4) power management. Where its ports are is fixed: the ACPI tables of the machine name them. */
export class PowerManagement extends PciFunction {
  constructor() {
    super('pci-power-management', {
      vendor: INTEL,
      device: 0x7113,
      revision: 3,
      classCode: 0x068000,
      subsystemVendor: QEMU_SUBSYSTEM_VENDOR,
      subsystem: QEMU_SUBSYSTEM,
      status: r.PCI_STATUS_DEVSEL_MEDIUM | r.PCI_STATUS_FAST_BACK_TO_BACK,
      interruptPin: 1,
    })
    const config = new DataView(this.config.buffer)
    // PMBA and PMREGMISC (82371AB data sheet, 7.1): base, and that it is decoded.
    config.setUint32(0x40, PM1A_EVENT | 1, true)
    this.config[0x80] = 1
    // The chip's interrupt is wired to the SCI, whatever the pin says.
    this.config[r.PCI_INTERRUPT_LINE] = SCI_IRQ
    this.writable[r.PCI_INTERRUPT_LINE] = 0
    if (GPE0 - PM1A_EVENT >= 64) throw new Error('ACPI ports leave the 64 bytes that PMBA claims')
  }
}
