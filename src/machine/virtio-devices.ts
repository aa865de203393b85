/** The paravirtual devices of a machine: made from its configuration, and plugged in by their transports. */

import type { Device, DeviceBus, InterruptLine } from '../devices/device.ts'
import { BlockDevice } from '../devices/virtio/block/device.ts'
import { EntropyDevice } from '../devices/virtio/entropy/device.ts'
import { VirtioMmioTransport } from '../devices/virtio/mmio-transport.ts'
import { VirtioPciTransport } from '../devices/virtio/pci-transport.ts'
import { VirtioCore } from '../devices/virtio/virtio-core.ts'
import type { VirtioDevice } from '../devices/virtio/virtio-device.ts'
import type { DmaMemory } from '../devices/virtio/virtqueue/queue-memory.ts'
import type { InterruptMessage } from '../engine/processor.ts'
import type { VirtualClock } from '../util/virtual-clock.ts'
import type { ChannelDevices } from './channel-devices.ts'
import type { DeviceConfiguration, VirtioOptions, VirtioTransportName } from './device-configuration.ts'
import type { Disks } from './disks.ts'
import type { MachineNetwork } from './machine-network.ts'
import type { PciSlots } from './pci-slots.ts'
import { type MmioWindow, mmioWindows } from './virtio-mmio-windows.ts'

/** Any constant: every run has the same bytes. Devices of one machine differ by their number. */
const ENTROPY_SEED = 0x52_49_4e_47

/** What a machine has to offer to the devices that it makes. */
export interface VirtioSurroundings {
  readonly memory: DmaMemory
  readonly clock: VirtualClock
  readonly slots: PciSlots
  /** There is one if the configuration has one. */
  readonly network: MachineNetwork | undefined
  /** Takes a message-signalled interrupt to the local APICs. */
  readonly send: (message: InterruptMessage) => void
  /** A source for an ISA request. */
  readonly interrupt: (irq: number) => InterruptLine
  /** Puts a device beside the bus's others: it is attached, saved and reset with them. */
  readonly attach: (device: Device & { attach(bus: DeviceBus): void }) => void
  readonly disks: Disks
  readonly channels: ChannelDevices
}

/** A device that is plugged in, for inspection. */
export interface PluggedVirtio {
  readonly core: VirtioCore
  readonly transport: VirtioTransportName
  /** Where it is: `PCI 00:03.0`. */
  readonly place: string
  /** The ISA request that it drives by virtio-mmio. */
  readonly irq?: number
}

/** Is it reached by virtio? A disk may be by IDE. */
export function isVirtio(configuration: DeviceConfiguration): boolean {
  return configuration.kind !== 'disk' || configuration.interface === 'virtio'
}

/** Makes the devices of a configuration and plugs them in, in its order. */
export function plugVirtioDevices(
  configurations: readonly DeviceConfiguration[],
  surroundings: VirtioSurroundings,
): PluggedVirtio[] {
  const counts = new Map<string, number>()
  const windows = mmioWindows(configurations)
  return configurations.map(configuration => {
    const number = counts.get(configuration.kind) ?? 0
    counts.set(configuration.kind, number + 1)
    return plug(makeDevice(configuration, number, surroundings), configuration, surroundings, windows)
  })
}

/** @param number of the device among those of its kind: names end in it. */
function makeDevice(
  configuration: DeviceConfiguration,
  number: number,
  { disks, network, channels, clock }: VirtioSurroundings,
): VirtioDevice {
  switch (configuration.kind) {
    case 'entropy':
      return new EntropyDevice(`virtio-rng${number}`, ENTROPY_SEED + number)
    case 'disk': {
      const device = new BlockDevice({
        ...{ name: `virtio-blk${number}`, queues: configuration.queues, onFailure: disks.warn },
        backend: disks.backendOf(configuration),
      })
      disks.connect(configuration, device, clock)
      return device
    }
    case 'net':
      if (network === undefined) throw new Error('a network card without a network')
      return network.card
    case 'console':
    case 'balloon':
    case 'share':
      return channels.make(configuration, number)
  }
}

/** @param windows that are free for virtio-mmio; the device takes the first. */
function plug(
  device: VirtioDevice,
  options: VirtioOptions,
  { memory, clock, slots, send, interrupt, attach }: VirtioSurroundings,
  windows: MmioWindow[],
): PluggedVirtio {
  const { transport, packed, eventIndex = true } = options
  const core = new VirtioCore({ device, memory, clock, packed, eventIndex })
  switch (transport) {
    case 'pci':
    case 'pci-transitional':
    case 'pci-legacy': {
      const generation =
        transport === 'pci' ? 'modern' : transport === 'pci-legacy' ? 'legacy' : ('transitional' as const)
      const slot = slots.plug(new VirtioPciTransport({ core, generation, send }))
      return { core, transport, place: `PCI 00:${slot.toString(16).padStart(2, '0')}.0` }
    }
    case 'mmio': {
      const { base, irq } = windows.shift() ?? noWindow(device)
      const mmio = new VirtioMmioTransport({ core, base, interrupt: interrupt(irq) })
      attach(mmio)
      return { core, transport, place: `MMIO 0x${base.toString(16)}`, irq }
    }
  }
}

function noWindow(device: VirtioDevice): never {
  throw new Error(`${device.name}: no virtio-mmio window is left`)
}
