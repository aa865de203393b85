/**
 * How interrupts reach the controllers. ACPI and MP tables tell the guest of it and the machine is wired by it, so
 * it stands here once.
 */

import { SCI_IRQ } from '../../devices/acpi-pm/registers.ts'

export const PCI_SLOTS = 32
/** INTA to INTD. */
export const PCI_PINS = 4

/** I/O APIC input of the first PCI interrupt line; four in a row, above the sixteen of ISA. */
export const FIRST_PCI_GSI = 16
/** ISA requests that the same four lines share at the 8259 pair. */
export const PCI_IRQS = [10, 10, 11, 11] as const

/** The timer's request 0 is at input 2, as on every PC since the cascade needs no input. */
export const TIMER_GSI = 2

/** The I/O APIC's id: the first that no processor has, as long as it fits the register's 4 bits. */
export function ioApicId(cpus: number): number {
  return cpus < 16 ? cpus : 0
}

/** Which of four lines a pin (0 to 3) of a slot pulls: rotated, so that slots share them evenly. */
export function pciLine(slot: number, pin: number): number {
  return (slot + pin + PCI_PINS - 1) % PCI_PINS
}

/** I/O APIC input of a PCI interrupt pin (0 is INTA); level-triggered, active low. */
export function pciGsi(slot: number, pin: number): number {
  return FIRST_PCI_GSI + pciLine(slot, pin)
}

/** ISA request of a PCI interrupt pin at the 8259 pair; level-triggered. Also the value of its interrupt line register. */
export function pciIrq(slot: number, pin: number): number {
  return PCI_IRQS[pciLine(slot, pin)]
}

/** I/O APIC input of an ISA request. */
export function isaGsi(irq: number): number {
  return irq === 0 ? TIMER_GSI : irq
}

export { SCI_IRQ }
