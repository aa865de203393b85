/** Messages between the page of rings and the extension: neither side believes the other unseen. */

import { MOST_SLOTS, type RingArguments, SLOT_RINGS } from '../../protocol/ring-request.ts'
import { isMachineMessage, isMemoryReference, type MachineMessage } from '../pages/machine-messages.ts'
import type { RingsModel } from './rings-model.ts'

/** What the page shows, and keeps over reloads: what is absent is the extension's choice. */
export type Wish = Pick<RingArguments, 'device' | 'queue' | 'window' | 'selected'>

/** Steps of a queue at which the guest can be stopped from here. */
export const STOP_STEPS = ['kick', 'used'] as const
export type StopStep = (typeof STOP_STEPS)[number]

/** From the page. */
export type PageMessage =
  /** It has been loaded, and can show something. */
  | { readonly type: 'ready' }
  | { readonly type: 'look'; readonly wish: Wish }
  | { readonly type: 'openMemory'; readonly memory: string }
  /** Sets or removes a stop. */
  | { readonly type: 'stop'; readonly step: StopStep; readonly device: string; readonly queue: number }
  /** Notes when chains are posted, or no longer. */
  | { readonly type: 'trace'; readonly on: boolean; readonly device: string; readonly queue: number }

/** To the page. */
export type HostMessage = MachineMessage | { readonly type: 'ring'; readonly model: RingsModel }

const MOST_QUEUES = 65_535
/** No white space: the name becomes a word of a stop's condition. */
const DEVICE = /^[\w.-]{1,64}$/

/** undefined for what is no message of the page's. */
export function parsePageMessage(value: unknown): PageMessage | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined
  switch (value.type) {
    case 'ready':
      return { type: 'ready' }
    case 'look': {
      const wish = parseWish('wish' in value ? value.wish : undefined)
      return wish && { type: 'look', wish }
    }
    case 'openMemory': {
      const memory = 'memory' in value ? value.memory : undefined
      return isMemoryReference(memory) ? { type: 'openMemory', memory } : undefined
    }
    case 'stop': {
      const step = STOP_STEPS.find(known => 'step' in value && known === value.step)
      const queue = parseQueue(value)
      return step && queue && { type: 'stop', step, ...queue }
    }
    case 'trace': {
      const on = 'on' in value ? value.on : undefined
      const queue = parseQueue(value)
      return typeof on === 'boolean' && queue !== undefined ? { type: 'trace', on, ...queue } : undefined
    }
    default:
      return undefined
  }
}

/** Also of what the page has kept, by any version of it; undefined when it is not that. */
export function parseWish(value: unknown): Wish | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { device, queue, window, selected }: Record<string, unknown> = { ...value }
  const seen = window === undefined ? undefined : parseWindow(window)
  const slot = selected === undefined ? undefined : parseSelected(selected)
  if (device !== undefined && !isDevice(device)) return undefined
  if (queue !== undefined && !isWhole(queue, 0, MOST_QUEUES)) return undefined
  if ((window !== undefined && seen === undefined) || (selected !== undefined && slot === undefined)) return undefined
  return {
    ...(device === undefined ? {} : { device }),
    ...(queue === undefined ? {} : { queue }),
    ...(seen === undefined ? {} : { window: seen }),
    ...(slot === undefined ? {} : { selected: slot }),
  }
}

function parseWindow(value: unknown): Wish['window'] {
  if (typeof value !== 'object' || value === null) return undefined
  const { first, count }: Record<string, unknown> = { ...value }
  return isWhole(first, 0, MOST_SLOTS - 1) && isWhole(count, 1, MOST_SLOTS) ? { first, count } : undefined
}

function parseSelected(value: unknown): Wish['selected'] {
  if (typeof value !== 'object' || value === null) return undefined
  const fields: Record<string, unknown> = { ...value }
  const ring = SLOT_RINGS.find(known => known === fields.ring)
  return ring !== undefined && isWhole(fields.slot, 0, MOST_SLOTS - 1) ? { ring, slot: fields.slot } : undefined
}

function parseQueue(value: object): { device: string; queue: number } | undefined {
  const { device, queue }: Record<string, unknown> = { ...value }
  return isDevice(device) && isWhole(queue, 0, MOST_QUEUES) ? { device, queue } : undefined
}

const isDevice = (value: unknown): value is string => typeof value === 'string' && DEVICE.test(value)

const isWhole = (value: unknown, least: number, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most

/** Is it a message of the extension's? What else comes to a page is not for it. */
export function isHostMessage(value: unknown): value is HostMessage {
  if (isMachineMessage(value)) return true
  if (typeof value !== 'object' || value === null || !('type' in value)) return false
  return value.type === 'ring' && 'model' in value && isModel(value.model)
}

const isModel = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'choices' in value && Array.isArray(value.choices)
