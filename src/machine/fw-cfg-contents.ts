/** What a machine says of itself through fw_cfg, under the keys that QEMU's `pc` uses (include/standard-headers, hw/nvram). */

import type { FwCfg } from '../devices/fw-cfg/fw-cfg.ts'
import type { RamRange } from '../vmm/guest-memory.ts'
import type { MachineConfiguration } from './configuration.ts'
import { announcedCommandLine } from './virtio-mmio-windows.ts'

const RAM_SIZE = 0x03
const CPUS = 0x05
const MAXIMUM_CPUS = 0x0f
const KERNEL_SIZE = 0x08
const KERNEL_DATA = 0x11
const INITRD_SIZE = 0x0b
const INITRD_DATA = 0x12
const CMDLINE_SIZE = 0x14
const CMDLINE_DATA = 0x15

const E820_ENTRY_SIZE = 20

export function fillFwCfg(device: FwCfg, configuration: MachineConfiguration, map: readonly RamRange[]): void {
  const { memory, cpus, image, initrd } = configuration
  device.addItem(RAM_SIZE, number(memory, 8))
  device.addItem(CPUS, number(cpus, 2))
  device.addItem(MAXIMUM_CPUS, number(cpus, 2))
  device.addItem(KERNEL_SIZE, number(image.bytes.length, 4))
  device.addItem(KERNEL_DATA, image.bytes)
  device.addItem(INITRD_SIZE, number(initrd?.bytes.length ?? 0, 4))
  device.addItem(INITRD_DATA, initrd?.bytes ?? new Uint8Array(0))
  // With its terminating zero.
  const text = new TextEncoder().encode(`${announcedCommandLine(configuration)}\0`)
  device.addItem(CMDLINE_SIZE, number(text.length, 4))
  device.addItem(CMDLINE_DATA, text)
  device.addFile('etc/e820', e820(map))
}

/** Entries of the E820 map: address, length, type (ACPI 6.5, 15.4). */
function e820(map: readonly RamRange[]): Uint8Array {
  const bytes = new Uint8Array(map.length * E820_ENTRY_SIZE)
  const view = new DataView(bytes.buffer)
  for (const [index, { start, length, type }] of map.entries()) {
    view.setBigUint64(index * E820_ENTRY_SIZE, BigInt(start), true)
    view.setBigUint64(index * E820_ENTRY_SIZE + 8, BigInt(length), true)
    view.setUint32(index * E820_ENTRY_SIZE + 16, type, true)
  }
  return bytes
}

function number(value: number, size: 2 | 4 | 8): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true)
  return bytes.subarray(0, size)
}
