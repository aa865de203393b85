/** Answers of the debug adapter, as far as steps look at them; undefined for what is none. */

import { members } from '../session-messages.ts'
import type { Queue, Stop, Translation } from './observation.ts'

/** Body of `ringside/processors`: the vCPU that stopped last. */
export function parseStop(body: unknown, reason: string, text: string): Stop | undefined {
  const { instructions, focus, processors } = members(body)
  const processor = list(processors)
    .map(members)
    .find(({ threadId }) => threadId === focus)
  if (processor === undefined || typeof instructions !== 'number') return undefined
  const { mode, summary, cpl, symbol } = processor
  const [cr3, rip] = [hexNumber(processor.cr3), hexNumber(processor.rip)]
  if (typeof mode !== 'string' || typeof cpl !== 'number' || cr3 === undefined || rip === undefined) return undefined
  const paging = !String(summary).includes('no paging')
  const within = typeof symbol === 'string' ? { function: symbol.split('+')[0] } : {}
  const registers = registersOf(processor.groups)
  return { reason, text, instructions, mode, paging, cpl, cr3, rip, ...within, registers, values: new Map() }
}

/** Frame of the vCPU that stopped last. */
export function innermostFrame(body: unknown): number | undefined {
  const { focus, processors } = members(body)
  const processor = list(processors)
    .map(members)
    .find(({ threadId }) => threadId === focus)
  return typeof processor?.frameId === 'number' ? processor.frameId : undefined
}

function registersOf(groups: unknown): ReadonlyMap<string, bigint> {
  const found = new Map<string, bigint>()
  for (const { registers } of list(groups).map(members))
    for (const { register, field, value } of list(registers).map(members)) {
      const number = hexNumber(value)
      if (typeof register === 'string' && field === undefined && number !== undefined) found.set(register, number)
    }
  return found
}

/** Body of `ringside/translate`. */
export function parseTranslation(body: unknown): Translation | undefined {
  const { linear, access, paging, levels, page, fault } = members(body)
  const address = hexNumber(linear)
  if (address === undefined || typeof access !== 'string' || typeof paging !== 'string') return undefined
  const gpa = hexNumber(members(page).gpa)
  const { errorCode } = members(fault)
  return {
    ...{ linear: address, access, paging, fault: fault !== undefined },
    levels: list(levels)
      .map(members)
      .map(({ level, table, entry }) => ({
        ...{ level: String(level), table: hexNumber(table) ?? 0n, entry: hexNumber(entry) ?? 0n },
      })),
    ...(gpa === undefined ? {} : { gpa }),
    ...(typeof errorCode === 'number' ? { errorCode } : {}),
  }
}

/** Body of `ringside/virtqueues`: the first queue of the first device. */
export function parseQueue(body: unknown): Queue | undefined {
  const [device] = list(members(body).devices).map(members)
  const [queue] = list(device?.queues).map(members)
  if (device === undefined || queue === undefined) return undefined
  const usedIndex = list(queue.fields)
    .map(members)
    .find(({ name }) => name === 'used.idx')?.value
  return {
    status: String(device.status),
    enabled: queue.enabled === true,
    pending: number(queue.pending),
    chains: list(queue.chains)
      .map(members)
      .map(({ descriptors }) => ({
        descriptors: list(descriptors)
          .map(members)
          .map(({ length, direction }) => ({ length: number(length), direction: String(direction) })),
      })),
    usedIndex: number(usedIndex),
    completed: list(queue.history)
      .map(members)
      .map(({ written, steps }) => ({
        written: number(written),
        steps: list(steps).map(step => String(members(step).step)),
      })),
  }
}

const number = (value: unknown): number => (typeof value === 'number' ? value : 0)

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** The number that a text begins with: `0x100a50 <stub_0>`. */
export function hexNumber(value: unknown): bigint | undefined {
  const [digits] = typeof value === 'string' ? (/^0x[0-9a-f]{1,16}(?![0-9a-f])/i.exec(value) ?? []) : []
  return digits === undefined ? undefined : BigInt(digits)
}
