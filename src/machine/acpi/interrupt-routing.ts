/**
 * How interrupts reach the controllers. ACPI and MP tables tell the guest of it and the machine is wired by it, so
 * it stands here once. As on QEMU's `pc`, PCI interrupts share ISA requests, at the 8259 pair and at the I/O APIC
 * inputs of the same numbers, whichever of them the guest uses.
 */

import { SCI_IRQ } from '../../devices/acpi-pm/registers.ts'
import { pirqOf } from '../../devices/pci/pci-host.ts'

export const PCI_SLOTS = 32
/** INTA to INTD. */
export const PCI_PINS = 4

/** ISA requests of the four PCI interrupt lines. */
export const PCI_IRQS = [10, 10, 11, 11] as const

/** A device that is wired to an ISA request of its own, for inspection. */
export interface IsaRequest {
  readonly device: string
  readonly irq: number
}

/** Requests that are level-triggered, active high; all others are edge-triggered. */
export const LEVEL_IRQS: readonly number[] = [...new Set([SCI_IRQ, ...PCI_IRQS])]

/** The timer's request 0 is at input 2, as on every PC since the cascade needs no input. */
export const TIMER_GSI = 2

/** MPS INTI flags (ACPI 6.5, table 5.26; MP specification 1.4, table 4-10): polarity and trigger of an input. */
export const INTI_AS_BUS = 0
export const INTI_LEVEL_ACTIVE_HIGH = 0x0d

/** The I/O APIC's id: the first that no processor has, as long as it fits the register's 4 bits. */
export function ioApicId(cpus: number): number {
  return cpus < 16 ? cpus : 0
}

/** ISA request, and I/O APIC input, of a PCI interrupt pin (0 is INTA). Also the value of its interrupt line register. */
export function pciIrq(slot: number, pin: number): number {
  return PCI_IRQS[pirqOf(slot, pin + 1)]
}

/** I/O APIC input of an ISA request. */
export function isaGsi(irq: number): number {
  return irq === 0 ? TIMER_GSI : irq
}

export { SCI_IRQ }
