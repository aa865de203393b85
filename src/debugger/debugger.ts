/**
 * A debugger without a protocol: it ties a target, its symbols and breakpoints together, and answers what any front
 * end asks. Front ends keep no state about the guest of their own.
 */

import type { Address } from '../inspect/address.ts'
import { codeBase, cpuMode, instructionPointer, stackPointer } from '../inspect/cpu-mode.ts'
import { type CodeSource, type DisassembledInstruction, disassemble, stepsOver } from '../inspect/disassembly.ts'
import { readLinear } from '../inspect/linear-memory.ts'
import type { GuestEventView, VcpuView } from '../inspect/machine-view.ts'
import { registerGroups } from '../inspect/register-groups.ts'
import type { RegisterGroup } from '../inspect/register-node.ts'
import { type AccessKind, type Translation, translate } from '../inspect/translation.ts'
import { BreakpointStops } from './breakpoint-stops.ts'
import {
  type Breakpoint,
  BreakpointBook,
  type BreakpointPlace,
  type BreakpointWish,
  type Resolution,
} from './breakpoints.ts'
import { evaluate, numberOf } from './expression/evaluate.ts'
import { ExpressionError } from './expression/expression-error.ts'
import { VcpuSubject } from './expression/subject.ts'
import { FrameScope, pointerSizeNow } from './frame-scope.ts'
import { changeText, hitText } from './hit-text.ts'
import type { FollowerOptions } from './linux/follow-kernel.ts'
import { KernelWatch } from './linux/kernel-watch.ts'
import { Stack } from './stack/stack.ts'
import { SourceStep, type SourceStepOptions } from './stepping.ts'
import type { StopHit, StopRequest } from './stop-request.ts'
import type { SymbolBook } from './symbol-book.ts'
import { type ExitReport, type GuestEnd, type OutputSource, type Stop, type Target, TargetError } from './target.ts'
import { VirtqueueTraces } from './virtqueue-traces.ts'

export interface StopReport extends Stop {
  /** Breakpoints that were hit, or stand at the instruction pointer. */
  readonly breakpoints: readonly number[]
  /** One of them was given a name, and `text` says what happened to what it names. */
  readonly named?: boolean
}

export interface DebuggerListener {
  stopped(report: StopReport): void
  output(source: OutputSource, bytes: Uint8Array): void
  /** What the guest told of itself by hypercall; `omitted` more followed. */
  guestEvents?(events: readonly GuestEventView[], omitted: number): void
  ended(end: GuestEnd): void
  failed(error: Error): void
  /** What a breakpoint with a log message says. Called from within a run: nothing may be asked of the debugger. */
  logged?(text: string): void
  /** What is wrong with a symbol file, such as that it does not belong to the guest. */
  problem?(text: string): void
  /** Breakpoints that had no address have one now. */
  breakpointsResolved(breakpoints: readonly Breakpoint[]): void
}

export interface Frame {
  readonly name: string
  /** Linear address of the next instruction. */
  readonly instructionPointer: bigint
}

/** Stepping over an instruction: a breakpoint behind it, for this vCPU at this depth of the stack. */
interface StepOver {
  readonly vcpu: number
  readonly address: bigint
  readonly stackPointer: bigint
}

/** Id of our own request; those of breakpoints are positive. */
const STEP_OVER = -1

export class Debugger {
  readonly target: Target
  readonly symbols: SymbolBook
  listener: DebuggerListener | undefined

  /** Virtqueues whose posting is noted. */
  readonly traces: VirtqueueTraces
  readonly #breakpoints = new BreakpointBook()
  readonly #kernel: KernelWatch
  /** What was asked of the target last. */
  #planted = ''
  readonly #stops: BreakpointStops
  #stepOver: StepOver | undefined
  #sourceStep: SourceStep | undefined
  readonly #stacks = new Map<number, Stack>()
  #focus = 0
  #pausing = false

  /** @param linux what is known of the guest if it is Linux, so that its symbols are found wherever it puts itself. */
  constructor(target: Target, symbols: SymbolBook, linux: FollowerOptions = {}) {
    this.target = target
    this.symbols = symbols
    this.traces = new VirtqueueTraces(target.machine, () => this.#plant())
    this.#kernel = new KernelWatch(target, symbols, linux, () => this.#symbolsChanged())
    this.#stops = new BreakpointStops(symbols, target.machine, text => this.listener?.logged?.(text))
    target.listener = {
      stopped: stop => this.#stopped(stop),
      output: (source, bytes) => this.listener?.output(source, bytes),
      guestEvents: (events, omitted) => this.listener?.guestEvents?.(events, omitted),
      ended: end => this.listener?.ended(end),
      failed: error => this.listener?.failed(error),
      reset: () => this.#kernel.restarted(),
    }
    symbols.onProblem = problem => this.listener?.problem?.(problem)
    this.#plant()
  }

  // Run control

  /** @param unseen nobody was told of this stop: a breakpoint there counts */
  resume(unseen = false): void {
    this.#requireStopped()
    this.target.resume(unseen)
  }

  /** Begins anew with the same breakpoints, stopped before the first instruction. */
  restart(): void {
    if (!this.target.capabilities.restarts) throw new TargetError('this target can not begin anew')
    this.target.restart()
    this.#stacks.clear()
    this.#stepOver = undefined
    this.#sourceStep = undefined
    this.#pausing = false
    this.#focus = 0
    this.#kernel.restarted()
    this.traces.clear()
    this.#plant()
  }

  pause(): void {
    if (this.target.state.kind !== 'running') return
    this.#pausing = true
    this.target.pause()
  }

  /** A step as people mean it: by line, statement or instruction, into, over or out. */
  step(options: SourceStepOptions): void {
    this.#requireStopped()
    const view = this.vcpu(options.vcpu)
    const plain = options.granularity === 'instruction' || this.symbols.lineAt(instructionPointer(view)) === undefined
    if (plain && options.kind === 'into') this.stepInto(options.vcpu)
    else if (plain && options.kind === 'over') this.stepOver(options.vcpu)
    else {
      if (!this.target.capabilities.steps.has('to')) throw new TargetError('this target steps by instruction only')
      const step = new SourceStep(this.symbols, this.target.machine, options, vcpu => this.stack(vcpu))
      const request = step.begin()
      this.#sourceStep = step
      this.target.step(request)
    }
  }

  /** Goes on until a vCPU reaches a linear address, as for a step into one of several calls. */
  runTo(vcpu: number, address: bigint): void {
    this.#requireStopped()
    this.vcpu(vcpu)
    if (!this.target.capabilities.steps.has('to')) throw new TargetError('this target steps by instruction only')
    this.target.step({ vcpu, kind: 'to', address })
  }

  /** One instruction, into whatever it calls. */
  stepInto(vcpu: number): void {
    this.#requireStopped()
    this.vcpu(vcpu)
    this.target.step({ vcpu, kind: 'into' })
  }

  /** One instruction, or all that a call or a repeated string instruction does. */
  stepOver(index: number): void {
    this.#requireStopped()
    const vcpu = this.vcpu(index)
    if (this.target.capabilities.steps.has('over')) {
      this.target.step({ vcpu: index, kind: 'over' })
      return
    }
    const length = stepsOver(this.#codeSource(vcpu), instructionPointer(vcpu))
    if (length === undefined) {
      this.target.step({ vcpu: index, kind: 'into' })
      return
    }
    const address = instructionPointer(vcpu) + BigInt(length)
    this.#stepOver = { vcpu: index, address, stackPointer: stackPointer(vcpu) }
    this.#plant()
    this.target.resume()
  }

  /** Ends the guest and closes the symbol files. */
  dispose(): void {
    this.target.dispose()
    this.symbols.close()
  }

  // Breakpoints

  /**
   * Replaces the breakpoints of a group, such as those of one source file. Names and lines that are not known yet are
   * tried again at every stop.
   */
  setBreakpoints(group: string, wishes: readonly BreakpointWish[]): readonly Breakpoint[] {
    const breakpoints = this.#breakpoints.replace(group, wishes, this.#resolve)
    this.#plant()
    return breakpoints
  }

  /**
   * Whether what lies at a linear address by the symbol files will be there. A Linux kernel with KASLR is placed when it
   * is decompressed: breakpoints by name and line move with it, addresses don't.
   */
  isPlaced(address: bigint): boolean {
    return this.#kernel.isPlaced(address)
  }

  /** Begins or ends to note when the chains of a virtqueue are posted. Throws {@link TargetError}. */
  traceVirtqueue(device: string, queue: number, on: boolean): void {
    if (!this.target.capabilities.stops.has('data')) throw new TargetError('this target has no data breakpoints')
    this.traces.set(device, queue, on)
    this.#plant()
  }

  /** Takes over those of another debugger, with their ids; whichever is elsewhere here is told of. */
  takeBreakpoints(from: Debugger): void {
    this.#breakpoints.adopt(from.#breakpoints)
    this.#symbolsChanged()
  }

  setFunctionBreakpoints(names: readonly string[]): readonly Breakpoint[] {
    return this.setBreakpoints(
      'functions',
      names.map(name => ({ place: { kind: 'function', name } })),
    )
  }

  setAddressBreakpoints(addresses: readonly Address[]): readonly Breakpoint[] {
    return this.setBreakpoints(
      'addresses',
      addresses.map(address => ({ place: { kind: 'address', address } })),
    )
  }

  // What there is to see

  /** The vCPU of the last stop: whose registers and address space are meant when nothing else is said. */
  get focus(): number {
    return this.#focus
  }

  /** Throws {@link TargetError} when there is none of that index. */
  vcpu(index: number): VcpuView {
    const vcpu = this.target.machine.vcpus[index]
    if (vcpu === undefined) throw new TargetError(`there is no vCPU ${index}`)
    return vcpu
  }

  frame(index: number): Frame {
    this.#requireStopped()
    const ip = instructionPointer(this.vcpu(index))
    return { name: this.symbols.describe(ip) ?? `0x${ip.toString(16)}`, instructionPointer: ip }
  }

  /** The stack of a vCPU that stands still, as far as it has been looked at. Void when the guest goes on. */
  stack(index: number): Stack {
    this.#requireStopped()
    const vcpu = this.vcpu(index)
    const stack = this.#stacks.get(index) ?? new Stack(this.symbols, vcpu, this.target.machine)
    this.#stacks.set(index, stack)
    return stack
  }

  /** The user has changed registers or memory: what was derived from them is no longer so. */
  changed(): void {
    this.#stacks.clear()
  }

  registers(index: number): RegisterGroup[] {
    return registerGroups(this.vcpu(index), address => this.symbols.describe(address))
  }

  /** As many of `length` bytes as can be read without a gap; looking has no side effect. */
  readMemory(index: number, address: Address, length: number): Uint8Array {
    const { machine } = this.target
    const from = address.address
    if (address.space === 'linear') return readLinear(machine, this.vcpu(index), from, length, address.cr3)
    if (address.space === 'host' && !this.target.capabilities.hostMemory)
      throw new TargetError('this target has no host-physical memory to look at')
    if (from > BigInt(Number.MAX_SAFE_INTEGER)) return new Uint8Array(0)
    const read = (at: number, size: number): Uint8Array | undefined =>
      address.space === 'host' ? machine.readHost(at, size) : machine.readPhysical(at, size)
    return readPiecewise(Number(from), length, read)
  }

  disassemble(index: number, address: Address, offset: number, count: number): DisassembledInstruction[] {
    return disassemble(this.#codeSource(this.vcpu(index), address), address.address, offset, count)
  }

  translate(index: number, address: Address, access: AccessKind): Translation {
    if (address.space !== 'linear') throw new TargetError('only a linear address has a translation step by step')
    return translate(this.target.machine, this.vcpu(index), address.address, { access, cr3: address.cr3 })
  }

  /** As a 64-bit number. Throws {@link ExpressionError}. */
  evaluate(index: number, expression: string): bigint {
    const vcpu = this.vcpu(index)
    const subject = new VcpuSubject(vcpu, this.target.machine)
    const scope = new FrameScope(this.symbols, undefined, pointerSizeNow(this.symbols, vcpu))
    return numberOf(evaluate(expression, scope, subject), subject)
  }

  exits(recent: number, addresses: number): ExitReport {
    if (!this.target.capabilities.exits) throw new TargetError('this target does not record exits')
    return this.target.exits(recent, addresses)
  }

  #codeSource(vcpu: VcpuView, place: Address = { space: 'linear', address: 0n }): CodeSource {
    return {
      bits: cpuMode(vcpu).codeBits,
      codeBase: place.space === 'linear' ? codeBase(vcpu) : 0n,
      read: (address, length) => this.readMemory(vcpu.index, { ...place, address }, length),
      ...(place.space === 'linear' ? { symbols: this.symbols } : {}),
    }
  }

  #requireStopped(): void {
    const { kind } = this.target.state
    if (kind === 'running') throw new TargetError('the guest is running; pause it first')
    if (kind === 'ended') throw new TargetError('the guest has ended')
  }

  // Stops

  #stopped(stop: Stop): void {
    this.#stacks.clear()
    const address = instructionPointer(this.vcpu(stop.vcpu))
    const breakpoints = this.#breakpointsOf(stop, address)
    this.#kernel.arrived(address)
    if (this.#stepsOn(stop, breakpoints)) return
    // A breakpoint that is not the user's is one of our own: behind a stepped-over call, or at the kernel's entry.
    if (stop.reason !== 'breakpoint' || breakpoints.length > 0) this.#report(stop, breakpoints)
    else if (this.#stepOverDone(stop.vcpu, address)) this.#report({ reason: 'step', vcpu: stop.vcpu }, [])
    else if (this.#pausing) this.#report({ reason: 'pause', vcpu: stop.vcpu }, [])
    else this.target.resume()
  }

  /** A step of the target has ended, and the user's has not. */
  #stepsOn({ reason, vcpu }: Stop, breakpoints: readonly number[]): boolean {
    if (reason !== 'step' || breakpoints.length > 0 || this.#pausing) return false
    const request = this.#sourceStep?.stopped(vcpu)
    if (request === undefined) return false
    this.target.step(request)
    return true
  }

  #report(stop: Stop, breakpoints: readonly number[]): void {
    this.#focus = stop.vcpu
    this.#pausing = false
    this.#stepOver = undefined
    this.#sourceStep = undefined
    this.#kernel.stopped(stop.vcpu)
    this.#plant()
    const text = stop.text ?? this.#textOf(stop, breakpoints)
    const named = breakpoints.some(id => this.#breakpoints.wishOf(id)?.name !== undefined)
    this.listener?.stopped({
      ...{ ...stop, breakpoints },
      ...(text === undefined ? {} : { text }),
      ...(named ? { named } : {}),
    })
  }

  #breakpointsOf({ reason, hits }: Stop, address: bigint): number[] {
    if (hits !== undefined) return [...new Set(hits.map(({ id }) => id))].filter(id => id > 0)
    return reason === 'breakpoint' || reason === 'step' ? this.#breakpoints.at(address) : []
  }

  /** What happened, and what was wrong with a condition. */
  #textOf({ hits = [] }: Stop, breakpoints: readonly number[]): string | undefined {
    const happened = hits.map(hit => this.#namedText(hit) ?? hitText(hit, address => this.symbols.describe(address)))
    const failures = breakpoints.map(id => this.#stops.failure(id)).filter(failure => failure !== undefined)
    const texts = [...happened, ...failures.map(failure => `the condition can't be evaluated: ${failure}`)]
    const known = texts.filter(text => text !== undefined)
    return known.length === 0 ? undefined : known.join('; ')
  }

  /** Of a breakpoint that was given a name. */
  #namedText(hit: StopHit): string | undefined {
    const { name, place } = this.#breakpoints.wishOf(hit.id) ?? {}
    if (name === undefined) return undefined
    if (hit.kind === 'code') return name
    if (hit.kind !== 'data' && hit.kind !== 'host-change') return undefined
    return changeText(name, hit, address => this.symbols.describe(address), this.#wholeChange(hit, place))
  }

  /** All bytes that are watched, where an instruction has written some of them. */
  #wholeChange(
    hit: StopHit,
    place: BreakpointPlace | undefined,
  ): { before: Uint8Array; after: Uint8Array } | undefined {
    if (hit.kind !== 'data' || place?.kind !== 'data' || hit.after.length === place.length) return undefined
    const after = this.readMemory(this.#focus, place.address, place.length)
    const offset = Number(hit.address - place.address.address)
    if (after.length < place.length || offset < 0 || offset + hit.before.length > place.length) return undefined
    const before = after.slice()
    before.set(hit.before, offset)
    return { before, after }
  }

  #stepOverDone(vcpu: number, address: bigint): boolean {
    const wanted = this.#stepOver
    if (wanted === undefined || wanted.vcpu !== vcpu || wanted.address !== address) return false
    // A deeper call of the same function comes by here too.
    return stackPointer(this.vcpu(vcpu)) >= wanted.stackPointer
  }

  // Names

  readonly #resolve = (wish: BreakpointWish): Resolution => {
    const problem = this.#stops.problem(wish, this.target.capabilities)
    return problem === undefined ? this.#stops.checked(wish, this.#find(wish.place)) : { message: problem }
  }

  #find(place: BreakpointPlace): Resolution {
    switch (place.kind) {
      case 'function':
        return this.#resolveFunction(place.name)
      case 'line': {
        const found = this.symbols.breakpointsAt(place.path, place.line)
        if (found === undefined)
          return { message: `no code of line ${place.line} of ${place.path} is known yet; are its symbols given?` }
        return { addresses: found.places.map(({ address }) => address), line: found.line }
      }
      case 'address':
        return place.address.space === 'linear' ? { addresses: [place.address.address] } : { immediate: true }
      default:
        return { immediate: true }
    }
  }

  /** A function's name, or an expression such as `vfs_read + 4`; its first instruction is `vfs_read + 0`. */
  #resolveFunction(wanted: string): Resolution {
    const addresses = this.symbols.functionsNamed(wanted)
    if (addresses.length > 0) return { addresses: this.#bodiesOf(wanted, addresses) }
    if (/^[A-Za-z_][\w.]*$/.test(wanted))
      return { message: `no function "${wanted}" is known yet; the name is tried again whenever the guest stops` }
    try {
      return { addresses: [this.evaluate(0, wanted)] }
    } catch (error) {
      if (error instanceof ExpressionError) return { message: error.message }
      throw error
    }
  }

  /** Behind the prologues of functions, where their arguments are in place. */
  #bodiesOf(name: string, entries: readonly bigint[]): bigint[] {
    const places = this.symbols.functionPlaces(name)
    return entries.map(entry => places.find(({ address }) => address === entry)?.bodyAddress ?? entry)
  }

  /** Symbols have come, moved or gone. */
  #symbolsChanged(): void {
    const resolved = this.#breakpoints.retry(this.#resolve)
    // Conditions were compiled with the addresses of before.
    this.#planted = ''
    this.#plant()
    if (resolved.length > 0) this.listener?.breakpointsResolved(resolved)
  }

  /** Tells the target where to stop: for the user, for a step, to find the guest's kernel. */
  #plant(): void {
    const own = (id: number, address: bigint): StopRequest => ({ id, kind: 'code', space: 'linear', address })
    const requests = [
      ...this.#stops.requests(this.#breakpoints.all),
      ...(this.#stepOver === undefined ? [] : [own(STEP_OVER, this.#stepOver.address)]),
      ...this.#kernel.requests(),
      ...this.traces.requests(),
    ]
    // Decoded code is dropped when breakpoints change: not for nothing.
    const planted = JSON.stringify([this.#breakpoints.all, requests], (_key, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value,
    )
    if (planted === this.#planted) return
    this.#planted = planted
    this.target.setStops(requests)
  }
}

/** Reads up to the first page that can't be read. */
function readPiecewise(
  from: number,
  length: number,
  read: (at: number, size: number) => Uint8Array | undefined,
): Uint8Array {
  const whole = read(from, length)
  if (whole !== undefined) return whole
  const bytes: number[] = []
  for (let done = 0; done < length; ) {
    const size = Math.min(length - done, 4096 - ((from + done) % 4096))
    const piece = read(from + done, size)
    if (piece === undefined) break
    bytes.push(...piece)
    done += size
  }
  return Uint8Array.from(bytes)
}
