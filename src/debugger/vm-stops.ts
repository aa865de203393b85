/** Requests to stop, as predicates that our own virtual machine asks in its run loop. */

import { PAGE_SIZE } from '../engine/host-memory.ts'
import type { CodeBreakpoint, Exit, Observer, ProcessorEvent, Vcpu, WatchedAccess } from '../engine/processor.ts'
import type { VmBreakpoint, VmWatchpoint } from '../vmm/debug-stops.ts'
import type { GuestEvent } from '../vmm/guest-events.ts'
import type { Vm } from '../vmm/vm.ts'
import type { StopEvent, StopHit, StopKind, StopRequest, StopView } from './stop-request.ts'
import { type ObservedDevice, VirtioStops } from './virtio-stops.ts'

type RequestOf<K extends StopKind> = Extract<StopRequest, { readonly kind: K }>

const DOUBLE_FAULT = 8
const NOTHING = new Uint8Array(0)
const NO_EVENTS = {
  ...{ exceptions: 0, interrupts: false, controlRegisters: false, msrs: false, transitions: false, returns: false },
}

/** What a step wants beside the user's requests. */
export interface StepStops {
  readonly breakpoint?: VmBreakpoint
  /** Told of deliveries, and of returns if `returns`; true stops. */
  readonly events?: { readonly returns: boolean; happened(event: ProcessorEvent, view: StopView): boolean }
}

export class VmStops {
  readonly #vm: Vm
  #requests: readonly StopRequest[] = []
  #step: StepStops = {}
  /** Of the stop that is being made. */
  #hits: StopHit[] = []
  readonly #counts = new Map<number, number>()
  /** What the ranges of `host-change` requests held last, by id. */
  readonly #hostValues = new Map<number, Uint8Array>()
  readonly #virtio: VirtioStops
  /** Is a breakpoint of a step planted? */
  #stepPlanted = false

  /** @param virtio the machine's devices: they are listened to while somebody asks for what they do. */
  constructor(vm: Vm, virtio: readonly ObservedDevice[] = []) {
    this.#vm = vm
    this.#virtio = new VirtioStops(virtio)
  }

  /** Replaces the requests; those of an id that was there before go on counting their hits. */
  set(requests: readonly StopRequest[]): void {
    this.#requests = requests
    const ids = new Set(requests.map(({ id }) => id))
    for (const id of this.#counts.keys()) if (!ids.has(id)) this.#counts.delete(id)
    this.#hostValues.clear()
    this.#plantCode()
    this.#vm.stops.setWatchpoints(this.#of('data').map(request => this.#watchpoint(request)))
    this.#observe()
    this.#observeVirtio(this.#of('virtio'))
    const ports = this.#of('port')
    const exits = this.#of('exit')
    const host = this.#of('host-change')
    for (const request of host) this.#hostValues.set(request.id, this.#hostBytes(request))
    const wanted = ports.length > 0 || exits.length > 0 || host.length > 0
    this.#vm.exitObserver = wanted
      ? (vcpu, exit) => {
          const changed = this.#hostChanged(host, vcpu, exit)
          return this.#exited(ports, exits, vcpu, exit) || changed
        }
      : undefined
  }

  /** The guest has told of an event by hypercall: does the run end behind it? */
  guestEvent({ vcpu, name, values, rip }: GuestEvent): boolean {
    const wanted = this.#of('guest-event').filter(({ names }) => names?.includes(name) ?? true)
    return this.#any(wanted, this.#vm.vcpus[vcpu].view, ({ id }) => ({ id, kind: 'guest-event', rip, name, values }))
  }

  /** What a step stops at, beside the requests. */
  setStep(step: StepStops): void {
    this.#step = step
    // Code that breakpoints cut is decoded anew: not for nothing.
    if (step.breakpoint !== undefined || this.#stepPlanted) this.#plantCode()
    this.#observe()
  }

  /** What has been hit since this was asked last. */
  takeHits(): StopHit[] {
    return this.#hits.splice(0)
  }

  /** Calls what is to be called instead of stopping; the hits that are left are to stop for. */
  serveAsides(hits: readonly StopHit[], vcpu: number): StopHit[] {
    const asides = new Map(this.#requests.map(({ id, aside }) => [id, aside]))
    return hits.filter(({ id }) => {
      const aside = asides.get(id)
      aside?.(vcpu)
      return aside === undefined
    })
  }

  #of<K extends StopKind>(kind: K): RequestOf<K>[] {
    return this.#requests.filter((request): request is RequestOf<K> => request.kind === kind)
  }

  /** Does an event hit a request, so that the run ends? */
  #isHit(request: StopRequest, view: StopView, hit: () => StopHit, cpl = view.cpl): boolean {
    if (request.vcpu !== undefined && view.index !== request.vcpu) return false
    if (request.cpl !== undefined && cpl !== request.cpl) return false
    if (request.cr3 !== undefined && view.rootFrame !== rootFrame(request.cr3)) return false
    if (request.condition !== undefined && !request.condition(view)) return false
    const count = (this.#counts.get(request.id) ?? 0) + 1
    this.#counts.set(request.id, count)
    if (request.hit !== undefined && !request.hit(count)) return false
    if (request.log !== undefined) {
      request.log(view, hit)
      return false
    }
    this.#hits.push(hit())
    return true
  }

  #plantCode(): void {
    const breakpoints: VmBreakpoint[] = this.#of('code').map(request => {
      const hit = (): StopHit => ({ id: request.id, kind: 'code' })
      return { ...{ space: request.space, address: request.address }, reached: view => this.#isHit(request, view, hit) }
    })
    if (this.#step.breakpoint !== undefined) breakpoints.push(this.#step.breakpoint)
    this.#stepPlanted = this.#step.breakpoint !== undefined
    const int3 = this.#asked('int3')
    const magic = this.#asked('magic')
    this.#vm.stops.setCode({
      breakpoints,
      ...(int3 === undefined ? {} : { int3 }),
      ...(magic === undefined ? {} : { magic }),
    })
  }

  /** The same object while the requests are the same: a change costs all decoded code. */
  #asked(kind: 'int3' | 'magic'): Pick<CodeBreakpoint, 'reached'> | undefined {
    if (this.#of(kind).length === 0) return undefined
    return this.#instructions[kind]
  }
  readonly #instructions = {
    int3: { reached: (view: StopView) => this.#any(this.#of('int3'), view, ({ id }) => ({ id, kind: 'int3' })) },
    magic: { reached: (view: StopView) => this.#any(this.#of('magic'), view, ({ id }) => ({ id, kind: 'magic' })) },
  }

  /** Asks each request, for each counts its hits. */
  #any<R extends StopRequest>(
    requests: readonly R[],
    view: StopView,
    hit: (request: R) => StopHit,
    cpl?: number,
  ): boolean {
    let stops = false
    for (const request of requests) if (this.#isHit(request, view, () => hit(request), cpl)) stops = true
    return stops
  }

  #watchpoint(request: RequestOf<'data'>): VmWatchpoint {
    const { space, address, length, access, id } = request
    const met = (made: WatchedAccess, view: StopView): boolean => {
      if (access === 'change' && sameBytes(made.before, made.after)) return false
      return this.#isHit(request, view, () => ({ ...made, id, kind: 'data' }))
    }
    const reads = access === 'read' || access === 'access'
    return { ...{ space, address, length, reads, writes: access !== 'read', met } }
  }

  #observe(): void {
    const { events } = this.#step
    const observer: Observer = {
      ...NO_EVENTS,
      exceptions: this.#of('exception').reduce((mask, request) => mask | vectorMask(request), 0),
      interrupts: this.#of('interrupt').length > 0,
      controlRegisters: this.#of('control-register').length > 0,
      msrs: this.#of('msr').length > 0,
      transitions: this.#of('transition').length > 0,
      returns: events?.returns === true,
      deliveries: events !== undefined,
      happened: (event, view) => this.#happened(event, view),
    }
    const { exceptions, interrupts, controlRegisters, msrs, transitions } = observer
    const wanted = exceptions !== 0 || interrupts || controlRegisters || msrs || transitions || events !== undefined
    for (const vcpu of this.#vm.vcpus) vcpu.observe(wanted ? observer : undefined)
  }

  /** Devices work between two instructions, or in the middle of one that accesses them: the run ends there. */
  #observeVirtio(requests: readonly RequestOf<'virtio'>[]): void {
    this.#virtio.observe(requests.length > 0, event => {
      const vcpu = this.#vm.vcpus[this.#vm.current]
      const wanted = requests.filter(request => this.#virtio.concerns(request, event))
      if (this.#any(wanted, vcpu.view, ({ id }) => ({ ...this.#virtio.hit(event), id })))
        this.#vm.requestStop({ kind: 'breakpoint', vcpu: vcpu.index })
    })
  }

  #happened(event: ProcessorEvent, view: StopView): boolean {
    if (event.kind === 'return' || event.kind === 'delivered') return this.#step.events?.happened(event, view) ?? false
    const requests = this.#requests.filter(request => concerns(request, event))
    const cpl = event.kind === 'transition' ? event.from : undefined
    return this.#any(requests, view, ({ id }) => ({ ...event, id }), cpl)
  }

  #hostChanged(requests: readonly RequestOf<'host-change'>[], vcpu: Vcpu, { reason }: Exit): boolean {
    let stops = false
    for (const request of requests) {
      const before = this.#hostValues.get(request.id) ?? NOTHING
      const after = this.#hostBytes(request)
      if (before.length === after.length && sameBytes(before, after)) continue
      this.#hostValues.set(request.id, after)
      const { id, address } = request
      const hit = (): StopHit => ({ id, kind: 'host-change', address, before, after, reason })
      if (this.#isHit(request, vcpu.view, hit)) stops = true
    }
    return stops
  }

  /** Empty where not all of it is in frames of this machine. */
  #hostBytes({ address, length }: RequestOf<'host-change'>): Uint8Array {
    const { memory, processor } = this.#vm
    const first = Number(address)
    const last = first + length - 1
    for (let page = first - (first % PAGE_SIZE); page <= last; page += PAGE_SIZE)
      if (!memory.ownsFrame(page)) return NOTHING
    return processor.memory.u8.slice(first, first + length)
  }

  #exited(ports: readonly RequestOf<'port'>[], exits: readonly RequestOf<'exit'>[], vcpu: Vcpu, exit: Exit): boolean {
    const { view } = vcpu
    const { reason } = exit
    let stops = this.#any(
      exits.filter(({ reasons }) => reasons.includes(reason)),
      view,
      ({ id }) => ({ id, kind: 'exit', reason }),
    )
    if (exit.reason !== 'io') return stops
    const { port, size, write, value } = exit
    const matching = ports.filter(
      ({ first, last, direction }) =>
        port <= last && port + size > first && (direction === undefined || direction === (write ? 'out' : 'in')),
    )
    if (this.#any(matching, view, ({ id }) => ({ id, kind: 'port', port, size, write, value }))) stops = true
    return stops
  }
}

function concerns(request: StopEvent, event: ProcessorEvent): boolean {
  switch (event.kind) {
    case 'exception':
      return request.kind === 'exception' && ((vectorMask(request) >>> event.vector) & 1) !== 0
    case 'interrupt':
      return request.kind === 'interrupt' && (request.vectors?.includes(event.vector) ?? true)
    case 'control-register':
      return request.kind === 'control-register' && request.registers.includes(event.register)
    case 'msr':
      return request.kind === 'msr' && (request.msrs?.includes(event.msr) ?? true)
    case 'transition':
      return request.kind === 'transition' && crosses(request.to, event)
    default:
      return false
  }
}

function crosses(wanted: 'kernel' | 'user' | 'either', { from, to }: { from: number; to: number }): boolean {
  if ((from === 3) === (to === 3)) return false
  return wanted === 'either' || wanted === (to === 3 ? 'user' : 'kernel')
}

function vectorMask({ vectors, unhandled }: Extract<StopEvent, { kind: 'exception' }>): number {
  if (unhandled === true) return 1 << DOUBLE_FAULT
  return vectors === undefined ? 0xffff_ffff : vectors.reduce((mask, vector) => mask | (1 << vector), 0)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i])
}

export const rootFrame = (cr3: bigint): number => Number((cr3 >> 12n) & 0xff_ffff_ffffn)
