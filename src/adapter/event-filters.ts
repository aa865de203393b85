/**
 * Exception filters of DAP: the events of a machine that a person may want to stop at. The condition of a filter says
 * which of them, such as vectors, and after `if` an expression: `13, 14 if $cpl == 3`.
 */

import type { DebugProtocol } from '@vscode/debugprotocol'
import type { BreakpointEvent } from '../debugger/breakpoints.ts'
import { VIRTIO_STEPS } from '../debugger/stop-request.ts'
import type { TargetCapabilities } from '../debugger/target.ts'
import { EXCEPTIONS } from '../x86/exceptions.ts'
import { RequestError } from './request.ts'

interface EventFilter {
  readonly filter: string
  readonly label: string
  readonly description: string
  /** What may stand before `if`; absent where nothing may. */
  readonly list?: string
  event(items: readonly string[]): BreakpointEvent
}

const FILTERS: readonly EventFilter[] = [
  {
    ...{ filter: 'exception', label: 'Exceptions', list: 'vectors or names: 13, #PF' },
    description: 'Before an exception is delivered; its vectors, or all',
    event: items => ({ kind: 'exception', ...some('vectors', items.map(vector)) }),
  },
  {
    ...{ filter: 'unhandled', label: 'Double faults' },
    description: 'An exception that ends in a double fault; a triple fault always stops',
    event: () => ({ kind: 'exception', unhandled: true }),
  },
  {
    ...{ filter: 'interrupt', label: 'Interrupts', list: 'vectors: 32, 0xec' },
    description: 'Before an external interrupt or NMI is delivered; its vectors, or all',
    event: items => ({ kind: 'interrupt', ...some('vectors', items.map(vector)) }),
  },
  {
    ...{ filter: 'cr', label: 'Writes to control registers', list: 'registers: cr0, cr3, cr4' },
    description: 'After a write to CR3, or to the registers that are named',
    event: items => ({ kind: 'control-register', registers: items.length === 0 ? [3] : items.map(controlRegister) }),
  },
  {
    ...{ filter: 'msr', label: 'Writes to MSRs', list: 'numbers: 0xc0000082' },
    description: 'After WRMSR; of the MSRs that are named, or of all',
    event: items => ({
      kind: 'msr',
      ...some(
        'msrs',
        items.map(item => number(item, 0xffff_ffff)),
      ),
    }),
  },
  {
    ...{ filter: 'port', label: 'I/O ports', list: 'one port or range, and in or out: 0x3f8-0x3ff, out' },
    description: 'After an access to I/O ports; of a range, or all',
    event: ports,
  },
  {
    ...{ filter: 'exit', label: 'VM exits', list: 'reasons: cpuid, ept-violation' },
    description: 'After the hypervisor has acted on an exit of one of the reasons',
    event: exits,
  },
  {
    ...{ filter: 'transition', label: 'User and kernel', list: 'kernel or user' },
    description: 'After a change from user to kernel, or back, or to the one that is named',
    event: transition,
  },
  {
    ...{ filter: 'event', label: 'Events told by hypercall', list: 'names without spaces' },
    description: 'After a hypercall by which the guest tells of an event; of one of the names, or any',
    event: names => ({ kind: 'guest-event', ...some('names', names) }),
  },
  {
    ...{
      filter: 'virtqueue',
      label: 'Virtqueues',
      list: 'steps, device, queue, sectors: used virtio-blk0 0 sector 2-9',
    },
    description: 'A kick of a virtqueue, or the steps named: ready, kick, taken, used, interrupt, reset, broken',
    event: words => virtio(words),
  },
  {
    ...{ filter: 'broken', label: 'Broken virtio devices', list: 'a device' },
    description: 'A virtio device needs a reset: its driver broke a ring, or the protocol',
    event: words => virtio(['broken', ...words]),
  },
  {
    ...{ filter: 'int3', label: "INT3 of the guest's own" },
    description: 'Before an INT3 in the code of the guest',
    event: () => ({ kind: 'int3' }),
  },
  {
    ...{ filter: 'magic', label: 'XCHG BX, BX' },
    description: "Before the instruction by which kernels call Bochs's debugger",
    event: () => ({ kind: 'magic' }),
  },
]

export function exceptionFilters({ stops }: TargetCapabilities): DebugProtocol.ExceptionBreakpointsFilter[] {
  return FILTERS.filter(({ event, filter }) => stops.has(event(filter === 'exit' ? ['cpuid'] : []).kind)).map(
    ({ filter, label, description, list }) => ({
      ...{ filter, label, description, default: false, supportsCondition: true },
      conditionDescription: `${list === undefined ? '' : `${list}; then `}if EXPRESSION, such as: if $cpl == 3`,
    }),
  )
}

/** An event, and the expression behind `if`. Throws {@link RequestError}. */
export function filteredEvent(id: string, condition: string): { event: BreakpointEvent; expression?: string } {
  const filter = FILTERS.find(candidate => candidate.filter === id)
  if (filter === undefined)
    throw new RequestError(
      `there is no exception filter "${id}"; there are ${FILTERS.map(each => each.filter).join(', ')}`,
    )
  const match = /^(.*?)(?:\bif\b(.*))?$/s.exec(condition.trim())
  const items = (match?.[1] ?? '').split(/[\s,]+/).filter(item => item !== '')
  if (items.length > 0 && filter.list === undefined)
    throw new RequestError(`${id}: nothing but "if EXPRESSION" is expected, not "${items.join(' ')}"`)
  const expression = match?.[2]?.trim() ?? ''
  return { event: filter.event(items), ...(expression === '' ? {} : { expression }) }
}

function some<K extends string, T>(key: K, values: readonly T[]): { readonly [P in K]?: readonly T[] } {
  const result: { [P in K]?: readonly T[] } = {}
  if (values.length > 0) result[key] = values
  return result
}

function number(text: string, most: number): number {
  const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : Number.NaN
  if (value >= 0 && value <= most) return value
  throw new RequestError(`"${text}": a number from 0 to ${most} is expected`)
}

function vector(text: string): number {
  const wanted = text.toUpperCase()
  const known = EXCEPTIONS.find(({ mnemonic }) => mnemonic === wanted || mnemonic === `#${wanted}`)
  return known?.vector ?? number(text, 255)
}

function controlRegister(text: string): 0 | 3 | 4 {
  switch (text.toLowerCase().replace(/^cr/, '')) {
    case '0':
      return 0
    case '3':
      return 3
    case '4':
      return 4
    default:
      throw new RequestError(`"${text}": cr0, cr3 or cr4 is expected`)
  }
}

function ports(items: readonly string[]): BreakpointEvent {
  const direction = items.find(item => item === 'in' || item === 'out')
  const [range = '0-0xffff', ...more] = items.filter(item => item !== direction)
  if (more.length > 0) throw new RequestError('port: one port or one range is expected, such as 0x3f8-0x3ff')
  const [first, last = first] = range.split('-')
  return {
    ...{ kind: 'port', first: number(first, 0xffff), last: number(last, 0xffff) },
    ...(direction === 'in' || direction === 'out' ? { direction } : {}),
  }
}

const EXIT_REASONS = [
  ...['hlt', 'io', 'ept-violation', 'ept-misconfiguration', 'cpuid', 'rdmsr', 'wrmsr', 'cr-access', 'vmcall'],
  ...['exception', 'interrupt-window', 'triple-fault'],
]

function exits(items: readonly string[]): BreakpointEvent {
  for (const item of items)
    if (!EXIT_REASONS.includes(item))
      throw new RequestError(`exit: there is no reason "${item}"; there are ${EXIT_REASONS.join(', ')}`)
  return { kind: 'exit', reasons: items.length === 0 ? EXIT_REASONS : items }
}

const SECTORS = /^([0-9]{1,15})(?:-([0-9]{1,15}))?$/

/** Steps, a device, a queue of it, and sectors, in this order. */
function virtio(words: readonly string[]): BreakpointEvent {
  const steps = VIRTIO_STEPS.filter(step => words.includes(step))
  const rest = words.filter(word => !steps.some(step => step === word))
  const sectorAt = rest.findIndex(word => word === 'sector' || word === 'sectors')
  const [device, queue, ...more] = sectorAt < 0 ? rest : rest.slice(0, sectorAt)
  const [range, ...beyond] = sectorAt < 0 ? [] : rest.slice(sectorAt + 1)
  const unknown = more[0] ?? beyond[0]
  if (unknown !== undefined || (device !== undefined && /^[0-9]/.test(device)))
    throw new RequestError(
      `"${unknown ?? device}": steps (${VIRTIO_STEPS.join(', ')}), a device, its queue and sectors are expected, in this order`,
    )
  return {
    ...{ kind: 'virtio', steps: steps.length === 0 ? ['kick'] : steps },
    ...(device === undefined ? {} : { device }),
    ...(queue === undefined ? {} : { queue: number(queue, 0xffff) }),
    ...(sectorAt < 0 ? {} : { sectors: sectorRange(range ?? '') }),
  }
}

function sectorRange(text: string): { first: number; last: number } {
  const match = SECTORS.exec(text)
  const [first, last] = match === null ? [1, 0] : [Number(match[1]), Number(match[2] ?? match[1])]
  if (first > last) throw new RequestError(`"${text}": a sector or a range is expected, such as 2048-4095`)
  return { first, last }
}

function transition([to = 'either', ...more]: readonly string[]): BreakpointEvent {
  if (more.length > 0 || (to !== 'either' && to !== 'kernel' && to !== 'user'))
    throw new RequestError('transition: kernel or user is expected, or nothing for both')
  return { kind: 'transition', to }
}
