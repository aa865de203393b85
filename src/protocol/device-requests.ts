/** Custom requests about devices: virtqueues, PCI functions, registers and the routes of interrupts. */

import type { InterruptRoute } from '../inspect/interrupt-routes.ts'
import type { DeviceRegister } from '../inspect/machine-view.ts'
import type { PciFunctionModel } from '../inspect/pci/pci-functions.ts'
import type { VirtioDeviceModel } from '../inspect/virtio/virtqueues.ts'
import { Fields } from './fields.ts'
import type { OnWire } from './on-wire.ts'

/** Virtio devices with their queues: what is pending, taken and completed, decoded. */
export const VIRTQUEUES = 'ringside/virtqueues'
/** Notes when a driver posts the chains of a queue, or no longer. */
export const TRACE_VIRTQUEUE = 'ringside/traceVirtqueue'
/** PCI functions with their configuration space decoded. */
export const PCI = 'ringside/pci'
/** Devices with their registers, and how their interrupts reach the processors. */
export const DEVICES = 'ringside/devices'

export interface VirtqueuesArguments {
  /** Only this one: `virtio-blk0`. */
  readonly device?: string
  /** Only this queue of each device. */
  readonly queue?: number
  /** Pending and taken chains of each queue to pass over; default 0. */
  readonly start: number
  /** Chains of each queue at most; default {@link USUAL_CHAINS}, at most {@link MOST_CHAINS}. */
  readonly count: number
  /** Completed chains of each queue, the last; default {@link USUAL_HISTORY}, at most {@link MOST_HISTORY}. */
  readonly history: number
}

export interface VirtqueuesBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly devices: OnWire<readonly VirtioDeviceModel[]>
  /** Queues whose posting is noted. */
  readonly traced: readonly { readonly device: string; readonly queue: number }[]
}

export interface TraceVirtqueueArguments {
  readonly device: string
  readonly queue: number
  readonly on: boolean
}

export interface PciArguments {
  /** Only this function: `00:03.0`, or the name of its device. */
  readonly function?: string
}

export interface PciBody {
  readonly functions: OnWire<readonly PciFunctionModel[]>
}

export interface DevicesArguments {
  /** Only this one. */
  readonly device?: string
  /** Registers as well; default true. */
  readonly registers: boolean
}

export interface DevicesBody {
  readonly devices: readonly DeviceBody[]
  readonly routes: OnWire<readonly InterruptRoute[]>
}

export interface DeviceBody {
  readonly name: string
  /** `PCI 00:03.0`, `MMIO 0xfec10000`; absent for those that every PC has. */
  readonly place?: string
  readonly registers?: readonly DeviceRegister[]
}

export const MOST_CHAINS = 256
export const USUAL_CHAINS = 16
/** As many as a queue remembers. */
export const MOST_HISTORY = 128
export const USUAL_HISTORY = 16
const QUEUES = { least: 0, most: 65_535 }

export function parseVirtqueuesArguments(value: unknown): VirtqueuesArguments {
  const fields = new Fields(VIRTQUEUES, value ?? {})
  const device = fields.optionalString('device')
  const queue = fields.optionalInteger('queue', QUEUES)
  return {
    ...(device === undefined ? {} : { device }),
    ...(queue === undefined ? {} : { queue }),
    start: fields.optionalInteger('start', { least: 0, most: 32_768 }) ?? 0,
    count: fields.optionalInteger('count', { least: 0, most: MOST_CHAINS }) ?? USUAL_CHAINS,
    history: fields.optionalInteger('history', { least: 0, most: MOST_HISTORY }) ?? USUAL_HISTORY,
  }
}

export function parseTraceVirtqueueArguments(value: unknown): TraceVirtqueueArguments {
  const fields = new Fields(TRACE_VIRTQUEUE, value)
  return {
    device: fields.string('device'),
    queue: fields.integer('queue', QUEUES),
    on: fields.boolean('on', true),
  }
}

export function parsePciArguments(value: unknown): PciArguments {
  const wanted = new Fields(PCI, value ?? {}).optionalString('function')
  return wanted === undefined ? {} : { function: wanted }
}

export function parseDevicesArguments(value: unknown): DevicesArguments {
  const fields = new Fields(DEVICES, value ?? {})
  const device = fields.optionalString('device')
  return { ...(device === undefined ? {} : { device }), registers: fields.boolean('registers', true) }
}
