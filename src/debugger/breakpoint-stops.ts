/** Breakpoints as requests to a target: expressions compiled where they will be evaluated, hits counted. */

import { VIRTIO_ID_BLOCK } from '../devices/virtio/virtio-device.ts'
import type { MachineView, VcpuView } from '../inspect/machine-view.ts'
import type { Breakpoint, BreakpointPlace, BreakpointWish, Resolution } from './breakpoints.ts'
import { type CompiledCondition, compileCondition, compileLogMessage } from './expression/condition.ts'
import { ExpressionError } from './expression/expression-error.ts'
import { FrameScope, pointerSizeNow } from './frame-scope.ts'
import { parseHitCondition } from './hit-condition.ts'
import type { StopConditions, StopEvent, StopRequest } from './stop-request.ts'
import type { SymbolBook } from './symbol-book.ts'
import type { TargetCapabilities } from './target.ts'

/** Longer ranges would be watched page by page for nothing. */
const LONGEST_DATA = 2 ** 20
/** Compared at each exit. */
const LONGEST_HOST = 4096

export class BreakpointStops {
  readonly #book: SymbolBook
  readonly #machine: MachineView
  readonly #log: (text: string) => void
  /** Conditions by breakpoint, to tell why one could not be evaluated. */
  readonly #conditions = new Map<number, CompiledCondition[]>()

  constructor(book: SymbolBook, machine: MachineView, log: (text: string) => void) {
    this.#book = book
    this.#machine = machine
    this.#log = log
  }

  /** What is wrong with a breakpoint before its place is looked for; undefined when nothing is. */
  problem({ place, name: _name, ...limits }: BreakpointWish, capabilities: TargetCapabilities): string | undefined {
    const problem = placeProblem(place, capabilities) ?? this.#virtioProblem(place)
    if (problem !== undefined) return problem
    if (!capabilities.stopConditions && Object.keys(limits).length > 0)
      return 'this target evaluates no conditions, hit counts, messages or modes of breakpoints'
    const { hitCondition } = limits
    return hitCondition === undefined ? undefined : messageOf(() => parseHitCondition(hitCondition))
  }

  /** A device or queue that the machine does not have. */
  #virtioProblem(place: BreakpointPlace): string | undefined {
    if (place.kind !== 'event' || place.event.kind !== 'virtio') return undefined
    const { device, queue, sectors } = place.event
    const devices = this.#machine.virtio.map(({ core }) => core)
    const names = devices.map(core => core.device.name)
    if (devices.length === 0) return 'the machine has no virtio devices; give it one, such as a disk'
    if (device === undefined) return undefined
    const found = devices.find(core => core.device.name === device)
    if (found === undefined) return `there is no virtio device "${device}"; there are ${names.join(', ')}`
    if (queue !== undefined && queue >= found.queues.length)
      return `${device} has no queue ${queue}; there are 0 to ${found.queues.length - 1}`
    return sectors !== undefined && found.device.type !== VIRTIO_ID_BLOCK ? `${device} has no sectors` : undefined
  }

  /** What is wrong with its expressions at the place that was found. */
  checked(wish: BreakpointWish, resolution: Resolution): Resolution {
    if ('message' in resolution) return resolution
    const addresses = 'addresses' in resolution ? resolution.addresses : [undefined]
    const message = messageOf(() => {
      for (const address of addresses) this.#conditionsOf(0, wish, address)
    })
    this.#conditions.delete(0)
    return message === undefined ? resolution : { message }
  }

  requests(breakpoints: readonly Breakpoint[]): StopRequest[] {
    this.#conditions.clear()
    return breakpoints.filter(({ resolved }) => resolved).flatMap(breakpoint => this.#requestsOf(breakpoint))
  }

  /** Why a condition of the breakpoint could not be evaluated the last time. */
  failure(id: number): string | undefined {
    return this.#conditions.get(id)?.find(({ failure }) => failure !== undefined)?.failure
  }

  #requestsOf({ id, wish, addresses }: Breakpoint): StopRequest[] {
    const { place } = wish
    if (place.kind === 'data' || place.kind === 'event')
      return [{ ...this.#conditionsOf(id, wish, undefined), ...eventOf(place) }]
    if (place.kind === 'address' && place.address.space !== 'linear')
      return [
        {
          ...this.#conditionsOf(id, wish, undefined),
          ...{ kind: 'code', space: 'physical', address: place.address.address },
        },
      ]
    const cr3 = place.kind === 'address' && place.address.space === 'linear' ? place.address.cr3 : undefined
    return addresses.map(address => ({
      ...this.#conditionsOf(id, wish, address),
      ...(cr3 === undefined ? {} : { cr3 }),
      ...{ kind: 'code', space: 'linear', address },
    }))
  }

  /** @param address where names are looked up; undefined: those of files only. */
  #conditionsOf(id: number, wish: BreakpointWish, address: bigint | undefined): StopConditions {
    const condition = this.#inScopeAt(address, wish.condition, (text, scope) => {
      const compiled = compileCondition(text, scope)
      this.#conditions.set(id, [...(this.#conditions.get(id) ?? []), compiled])
      return compiled
    })
    const message = this.#inScopeAt(address, wish.logMessage, (text, scope) =>
      compileLogMessage(text, scope, each => this.#book.describe(each)),
    )
    const { vcpus } = this.#machine
    return {
      id,
      ...(wish.cpl === undefined ? {} : { cpl: wish.cpl }),
      ...(condition === undefined
        ? {}
        : { condition: view => condition(vcpus[view.index]).test(vcpus[view.index], this.#machine) }),
      ...(wish.hitCondition === undefined ? {} : { hit: parseHitCondition(wish.hitCondition) }),
      ...(message === undefined
        ? {}
        : { log: view => this.#log(message(vcpus[view.index])(vcpus[view.index], this.#machine)) }),
    }
  }

  /**
   * Compiles a text for the frame at an address. Where none is known it is compiled for both sizes of a pointer, and the
   * mode at the time chooses.
   */
  #inScopeAt<T>(
    address: bigint | undefined,
    text: string | undefined,
    compile: (text: string, scope: FrameScope) => T,
  ): ((vcpu: VcpuView) => T) | undefined {
    if (text === undefined) return undefined
    const known = address === undefined ? undefined : this.#book.framesAt(address)
    const [frame] = known?.frames ?? []
    if (known !== undefined && frame !== undefined && address !== undefined) {
      const compiled = compile(text, new FrameScope(this.#book, { info: known.file, frame, pc: address, often: true }))
      return () => compiled
    }
    const narrow = compile(text, new FrameScope(this.#book, undefined, 4))
    const wide = compile(text, new FrameScope(this.#book, undefined, 8))
    return vcpu => (pointerSizeNow(this.#book, vcpu) === 8 ? wide : narrow)
  }
}

function placeProblem(place: BreakpointPlace, { linearBreakpoints, physicalBreakpoints, stops }: TargetCapabilities) {
  switch (place.kind) {
    case 'event':
      return stops.has(place.event.kind) ? undefined : `this target does not stop at: ${place.event.kind}`
    case 'data':
      if (place.address.space === 'host') return hostProblem(place, stops)
      if (!stops.has('data')) return 'this target has no data breakpoints'
      if (place.length < 1 || place.length > LONGEST_DATA) return `1 to ${LONGEST_DATA} bytes can be watched`
      break
    case 'address':
      break
    default:
      return linearBreakpoints ? undefined : 'this target has no breakpoints at linear addresses'
  }
  if (place.address.space === 'host') return 'host-physical addresses have no breakpoints: name a guest-physical one'
  if (place.address.space === 'physical' && !physicalBreakpoints)
    return 'this target has no breakpoints at guest-physical addresses'
  return undefined
}

/** No instruction accesses host-physical memory by that name: only what the hypervisor changes is told. */
function hostProblem(
  { access, length }: Extract<BreakpointPlace, { kind: 'data' }>,
  stops: TargetCapabilities['stops'],
) {
  if (!stops.has('host-change')) return 'this target does not tell of changes in host-physical memory'
  if (access !== 'change')
    return 'host-physical memory stops at changes by the hypervisor only: name a guest-physical address for accesses'
  return length < 1 || length > LONGEST_HOST ? `1 to ${LONGEST_HOST} bytes of host memory can be watched` : undefined
}

function eventOf(place: Extract<BreakpointPlace, { kind: 'data' | 'event' }>): StopEvent & { readonly cr3?: bigint } {
  if (place.kind === 'event') return place.event
  const { address, length, access } = place
  if (address.space === 'host') return { kind: 'host-change', address: address.address, length }
  return {
    ...{ kind: 'data', address: address.address, length, access },
    space: address.space === 'physical' ? 'physical' : 'linear',
    ...(address.space === 'linear' && address.cr3 !== undefined ? { cr3: address.cr3 } : {}),
  }
}

function messageOf(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof ExpressionError) return error.message
    throw error
  }
}
