/** Every device of a machine by name, those behind PCI functions among them. */

import type { DeviceView, MachineView } from './machine-view.ts'
import { placeOf } from './pci/pci-functions.ts'

export interface PlacedDevice {
  readonly device: DeviceView
  /** `PCI 00:03.0`; undefined for those that every PC has where it has them. */
  readonly place: string | undefined
}

export function placedDevices({ devices, pci, virtio }: MachineView): PlacedDevice[] {
  const mmio = new Map(virtio.map(({ core, place }) => [core.device.name, place]))
  return [
    ...devices.map(device => ({ device, place: mmio.get(device.name) })),
    ...pci.map(device => ({ device, place: `PCI ${placeOf(device)}` })),
  ]
}
