/**
 * Where virtio-mmio devices are: fixed windows, which no bus tells of. ACPI does, by a device LNRO0005 each, or the
 * kernel's command line (Virtio 1.2, 4.2.3.1.1; Linux: `virtio_mmio.device=`).
 */

import { MMIO_WINDOW } from '../devices/virtio/mmio-transport.ts'
import { PCI_IRQS } from './acpi/interrupt-routing.ts'
import { ConfigurationError } from './configuration-error.ts'
import type { DeviceConfiguration } from './device-configuration.ts'

export interface MmioWindow {
  /** Guest-physical. */
  readonly base: number
  readonly size: number
  readonly irq: number
  /** Shared with PCI devices, and level-triggered as those are. */
  readonly shared: boolean
}

/** Between I/O APIC and HPET. */
const FIRST_WINDOW = 0xfec1_0000
/** Requests that no other device has; then those of PCI. */
const OWN_IRQS = [5, 6, 7]
const MOST_WINDOWS = 8

export function mmioWindow(index: number): MmioWindow {
  const own = OWN_IRQS[index]
  return {
    base: FIRST_WINDOW + index * MMIO_WINDOW,
    size: MMIO_WINDOW,
    irq: own ?? PCI_IRQS[index % PCI_IRQS.length],
    shared: own === undefined,
  }
}

/** The windows of a machine with these devices, in their order. Throws {@link ConfigurationError} if there are too many. */
export function mmioWindows(devices: readonly DeviceConfiguration[]): MmioWindow[] {
  const count = devices.filter(device => 'transport' in device && device.transport === 'mmio').length
  if (count > MOST_WINDOWS)
    throw new ConfigurationError(
      `${count} devices with transport=mmio: at most ${MOST_WINDOWS}; choose pci for the others`,
    )
  return Array.from({ length: count }, (_, index) => mmioWindow(index))
}

/** What the kernel must be told on its command line if it does not use ACPI; nothing for other kernels. */
export function announcedCommandLine(machine: {
  readonly cmdline: string
  readonly acpi: boolean
  readonly devices: readonly DeviceConfiguration[]
}): string {
  const usesAcpi = machine.acpi && !/(^|\s)acpi=off(\s|$)/.test(machine.cmdline)
  const windows = usesAcpi ? [] : mmioWindows(machine.devices)
  const told = windows.map(
    ({ base, size, irq }) => `virtio_mmio.device=0x${size.toString(16)}@0x${base.toString(16)}:${irq}`,
  )
  return [machine.cmdline, ...told].filter(part => part !== '').join(' ')
}
