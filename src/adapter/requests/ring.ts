/** The request for one virtqueue as a picture. */

import type { MachineView, VirtioView, VirtqueueView } from '../../inspect/machine-view.ts'
import { ringDetail } from '../../inspect/virtio/ring-detail.ts'
import { onWire } from '../../protocol/on-wire.ts'
import {
  parseRingArguments,
  RING,
  type RingArguments,
  type RingBody,
  type RingChoice,
} from '../../protocol/ring-request.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import { virtioName, virtqueuesOf } from './devices.ts'

export const ringRequests: RequestFamily = {
  [RING](session, args): RingBody {
    const wanted = parseRingArguments(args)
    const { machine, instructions } = session.debugger.target
    const choices = machine.virtio.map(choiceOf)
    const found = chosen(machine, wanted)
    if (found === undefined) return { instructions, choices, traced: false }
    const { device, queue } = found
    const { name } = device.core.device
    const chains = { start: 0, count: 0 }
    const [model] = virtqueuesOf(session, { device: name, queue: queue.index, chains, history: wanted.history })
    const ring = ringDetail(machine, device, queue, wanted)
    return {
      ...{ instructions, choices, device: onWire(model) },
      ...(ring === undefined ? {} : { ring: onWire(ring) }),
      traced: session.debugger.traces.has(name, queue.index),
    }
  },
}

const choiceOf = ({ core }: VirtioView): RingChoice => ({
  device: core.device.name,
  broken: core.brokenReason !== undefined,
  queues: core.queues.map(({ index, name, enabled }) => ({ index, name, enabled })),
})

/** Undefined where the machine has no virtio device. Throws {@link RequestError} for one that is not there. */
function chosen(
  machine: MachineView,
  { device: name, queue: index }: RingArguments,
): { readonly device: VirtioView; readonly queue: VirtqueueView } | undefined {
  const { virtio } = machine
  const wanted = name === undefined ? undefined : virtioName(machine, name)
  const device =
    wanted === undefined
      ? (virtio.find(({ core }) => core.queues.some(({ enabled }) => enabled)) ?? virtio.at(0))
      : virtio.find(({ core }) => core.device.name === wanted)
  if (device === undefined) return undefined
  const { queues } = device.core
  const queue = index === undefined ? (queues.find(({ enabled }) => enabled) ?? queues.at(0)) : queues[index]
  if (queue === undefined)
    throw new RequestError(`${device.core.device.name} has no queue ${index}; there are 0 to ${queues.length - 1}`)
  return { device, queue }
}
