/** The paravirtual devices of a machine: made from its configuration, and plugged in by their transports. */

import { EntropyDevice } from '../devices/virtio/entropy/device.ts'
import { VirtioPciTransport } from '../devices/virtio/pci-transport.ts'
import { VirtioCore } from '../devices/virtio/virtio-core.ts'
import type { VirtioDevice } from '../devices/virtio/virtio-device.ts'
import type { DmaMemory } from '../devices/virtio/virtqueue/queue-memory.ts'
import type { InterruptMessage } from '../engine/processor.ts'
import type { VirtualClock } from '../util/virtual-clock.ts'
import type { DeviceConfiguration, VirtioOptions, VirtioTransportName } from './device-configuration.ts'
import type { PciSlots } from './pci-slots.ts'

/** Any constant: every run has the same bytes. Devices of one machine differ by their number. */
const ENTROPY_SEED = 0x52_49_4e_47

/** What a machine has to offer to the devices that it makes. */
export interface VirtioSurroundings {
  readonly memory: DmaMemory
  readonly clock: VirtualClock
  readonly slots: PciSlots
  /** Takes a message-signalled interrupt to the local APICs. */
  readonly send: (message: InterruptMessage) => void
}

/** A device that is plugged in, for inspection. */
export interface PluggedVirtio {
  readonly core: VirtioCore
  readonly transport: VirtioTransportName
  /** Where it is: `PCI 00:03.0`. */
  readonly place: string
}

/** Makes the devices of a configuration and plugs them in, in its order. */
export function plugVirtioDevices(
  configurations: readonly DeviceConfiguration[],
  surroundings: VirtioSurroundings,
): PluggedVirtio[] {
  const counts = new Map<string, number>()
  return configurations.map(configuration => {
    const number = counts.get(configuration.kind) ?? 0
    counts.set(configuration.kind, number + 1)
    return plug(makeDevice(configuration, number), configuration, surroundings)
  })
}

/** @param number of the device among those of its kind: names end in it. */
function makeDevice(configuration: DeviceConfiguration, number: number): VirtioDevice {
  switch (configuration.kind) {
    case 'entropy':
      return new EntropyDevice(`virtio-rng${number}`, ENTROPY_SEED + number)
  }
}

function plug(device: VirtioDevice, options: VirtioOptions, surroundings: VirtioSurroundings): PluggedVirtio {
  const { memory, clock, slots, send } = surroundings
  const { transport, packed } = options
  const core = new VirtioCore({ device, memory, clock, packed })
  switch (transport) {
    case 'pci':
    case 'pci-transitional':
    case 'pci-legacy': {
      const generation =
        transport === 'pci' ? 'modern' : transport === 'pci-legacy' ? 'legacy' : ('transitional' as const)
      const slot = slots.plug(new VirtioPciTransport({ core, generation, send }))
      return { core, transport, place: `PCI 00:${slot.toString(16).padStart(2, '0')}.0` }
    }
    case 'mmio':
      throw new Error(`${device.name}: no virtio-mmio window is left`)
  }
}
