/** Requests of our own about devices: virtqueues, PCI, registers, interrupt routes. */

import { placedDevices } from '../../inspect/devices.ts'
import { interruptRoutes } from '../../inspect/interrupt-routes.ts'
import type { MachineView } from '../../inspect/machine-view.ts'
import { pciFunctions } from '../../inspect/pci/pci-functions.ts'
import { type VirtqueueLook, virtqueues } from '../../inspect/virtio/virtqueues.ts'
import {
  DEVICES,
  type DevicesBody,
  PCI,
  type PciBody,
  parseDevicesArguments,
  parsePciArguments,
  parseTraceVirtqueueArguments,
  parseVirtqueuesArguments,
  TRACE_VIRTQUEUE,
  VIRTQUEUES,
  type VirtqueuesBody,
} from '../../protocol/device-requests.ts'
import { onWire } from '../../protocol/on-wire.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const deviceRequests: RequestFamily = {
  [VIRTQUEUES](session, args): VirtqueuesBody {
    const { device, queue, start, count, history } = parseVirtqueuesArguments(args)
    const { machine, instructions } = session.debugger.target
    const look = {
      ...(device === undefined ? {} : { device: virtioName(machine, device) }),
      ...(queue === undefined ? {} : { queue }),
      ...{ chains: { start, count }, history },
    }
    const devices = virtqueuesOf(session, look)
    const { traces } = session.debugger
    const traced = machine.virtio.flatMap(({ core }) =>
      core.queues
        .filter(({ index }) => traces.has(core.device.name, index))
        .map(({ index }) => ({ device: core.device.name, queue: index })),
    )
    return { instructions, devices: onWire(devices), traced }
  },

  [TRACE_VIRTQUEUE](session, args) {
    const { device, queue, on } = parseTraceVirtqueueArguments(args)
    session.debugger.traceVirtqueue(device, queue, on)
    return undefined
  },

  [PCI](session, args): PciBody {
    const { function: wanted } = parsePciArguments(args)
    const functions = pciFunctions(session.debugger.target.machine).filter(
      ({ place, name }) => wanted === undefined || place === wanted || name === wanted,
    )
    if (functions.length === 0 && wanted !== undefined) throw new RequestError(`there is no PCI function "${wanted}"`)
    return { functions: onWire(functions) }
  },

  [DEVICES](session, args): DevicesBody {
    const { device: wanted, registers } = parseDevicesArguments(args)
    const { machine } = session.debugger.target
    const found = placedDevices(machine).filter(({ device }) => wanted === undefined || device.name === wanted)
    if (found.length === 0 && wanted !== undefined) throw new RequestError(`there is no device "${wanted}"`)
    return {
      devices: found.map(({ device, place }) => ({
        name: device.name,
        ...(place === undefined ? {} : { place }),
        ...(registers ? { registers: device.registers() } : {}),
      })),
      routes: onWire(interruptRoutes(machine).filter(({ device }) => wanted === undefined || device === wanted)),
    }
  },
}

/** Throws {@link RequestError} for a device that is not there. */
export function virtioName({ virtio }: MachineView, name: string): string {
  const names = virtio.map(({ core }) => core.device.name)
  if (names.includes(name)) return name
  throw new RequestError(
    names.length === 0
      ? 'the machine has no virtio devices'
      : `there is no virtio device "${name}"; there are ${names.join(', ')}`,
  )
}

export function virtqueuesOf({ debugger: { target, traces } }: Session, look: Omit<VirtqueueLook, 'postedAt'>) {
  return virtqueues(target.machine, {
    ...look,
    postedAt: (device, queue, chain) => traces.postedAt(device, queue, chain),
  })
}
