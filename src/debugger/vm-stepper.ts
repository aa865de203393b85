/**
 * A step of one vCPU of our own virtual machine. The guest runs as it would anyway, in its order and with its
 * interrupts; the step watches for the moment at which a person expects it to have ended.
 */

import { Code, Decoder, DecoderOptions, FlowControl } from 'iced-x86'
import type { ProcessorEvent, Vcpu } from '../engine/processor.ts'
import type { Slice, Vm } from '../vmm/vm.ts'
import type { VmStop } from '../vmm/vm-stop.ts'
import { EFER_LMA } from '../x86/control-registers.ts'
import { RIGHTS_DB, RIGHTS_L } from '../x86/segment-rights.ts'
import type { StepRequest, StopView } from './stop-request.ts'
import { rootFrame, type VmStops } from './vm-stops.ts'

/** Where a thread of control stands: other threads have other stacks, or another address space. */
interface Place {
  readonly rip: bigint
  readonly stack: bigint
  /** Of a stack whose pointer has 16 bits. */
  readonly stackBase: bigint | undefined
  readonly cpl: number
  readonly root: number
}

type Delivered = Extract<ProcessorEvent, { kind: 'delivered' }>

/** Instructions in one go before others get their turn. */
const MOST_STEPS = 20_000
/** Beyond the stack pointer of a call, what its callee may pop of arguments. */
const STACK_ROOM = 4096
/** A signal's handler begins this far below the interrupted stack pointer at most. */
const SIGNAL_ROOM = 0x1_0000n

/** Number of RSP among the general registers. */
const RSP = 4

/** Of instructions (SDM vol. 2, 2.1.1 and 2.2.1). */
const REPNE = 0xf2
const REP = 0xf3
const PREFIXES: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0])
/** High digit of a REX prefix. */
const REX = 4
/** First bytes of opcodes: CALL, FF /2 and /3, INT3, INT, INTO, INT1, and the two-byte opcodes with SYSCALL and SYSENTER. */
const COME_BACK: ReadonlySet<number> = new Set([0xe8, 0x9a, 0xff, 0xcc, 0xcd, 0xce, 0xf1, 0x0f])

const SYSTEM_CALLS: ReadonlySet<Code> = new Set([Code.Syscall, Code.Sysenter])

export class VmStepper {
  readonly #vm: Vm
  readonly #stops: VmStops
  readonly #request: StepRequest
  /** vCPU that the thread of control runs on. */
  #index: number
  /** Runs freely until its thread comes back. */
  #away = false
  /** It has come back. */
  #back = false
  #delivered: Delivered | undefined
  /** RIP of the instruction that is still to be executed when a handler has returned to it. */
  #unfinished: bigint | undefined
  /** HLT has retired in this step. */
  #halted = false

  constructor(vm: Vm, stops: VmStops, request: StepRequest) {
    this.#vm = vm
    this.#stops = stops
    this.#request = request
    this.#index = request.vcpu
    if (request.kind === 'to' && request.address !== undefined)
      this.#awaitAddress(request.address, aboveStack(request.stackAtLeast, request.stackBase))
    else this.#watchDeliveries()
  }

  get vcpu(): number {
    return this.#index
  }

  /** Does it run freely now, until its thread comes back? */
  get away(): boolean {
    return this.#away
  }

  /** Goes on with the step: `step` when it has ended, or what else stopped the guest; `slice` asks for more. */
  advance(slice: Slice): VmStop {
    const end = this.#vm.clock.count + slice.instructions
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const left = { ...slice, instructions: end - this.#vm.clock.count }
      if (left.instructions <= 0) break
      const stop = this.#away ? this.#runAway(left) : this.#stepOne(left)
      if (stop !== undefined) return stop
    }
    return { kind: 'slice' }
  }

  /** Takes away what the step has planted. */
  finish(): void {
    this.#stops.setStep({})
  }

  get #vcpu(): Vcpu {
    return this.#vm.vcpus[this.#index]
  }

  #runAway(slice: Slice): VmStop | undefined {
    const stop = this.#vm.run(slice)
    if (!this.#back) return stop
    this.#back = false
    this.#away = false
    if (this.#request.kind === 'to') return this.#done()
    this.#watchDeliveries()
    const again = !this.#halted && this.#unfinished === this.#vcpu.registers.get('rip')
    this.#unfinished = undefined
    return again ? undefined : this.#ended()
  }

  /** One instruction, unless an interrupt comes first; undefined when the step goes on. */
  #stepOne(slice: Slice): VmStop | undefined {
    const vcpu = this.#vcpu
    const before = placeOf(vcpu)
    const halted = vcpu.activity !== 'active'
    const over = this.#request.kind === 'over' && !halted ? comesBack(vcpu) : undefined
    this.#delivered = undefined
    const stop = this.#vm.step(vcpu, slice)
    const delivered = this.#takeDelivered()
    if (delivered !== undefined) return this.#afterDelivery(delivered, before)
    if (stop.kind !== 'step') return stop
    if (over !== undefined && this.#left(over)) {
      this.#awaitAddress(over.next, aboveStack(before.stack, before.stackBase), before)
      return undefined
    }
    // HLT has retired: the step ends behind it, when an interrupt has woken the vCPU and its handler is through.
    if (vcpu.activity === 'hlt') {
      this.#halted = true
      return undefined
    }
    return this.#ended()
  }

  /** Is the vCPU still elsewhere after an instruction that comes back? */
  #left({ next }: { readonly next: bigint }): boolean {
    return linearRip(this.#vcpu) !== next
  }

  #takeDelivered(): Delivered | undefined {
    const delivered = this.#delivered
    this.#delivered = undefined
    return delivered
  }

  #afterDelivery({ event, rip, cpl, stack }: Delivered, before: Place): VmStop | undefined {
    const into = event === 'interrupt' ? this.#request.intoInterrupts : this.#request.intoExceptions
    if (into === true) return this.#done()
    this.#unfinished = rip
    this.#awaitReturn({ ...before, rip, cpl, stack })
    return undefined
  }

  /** The thread stands between two instructions: is that the end? */
  #ended(): VmStop | undefined {
    const { ranges } = this.#request
    const at = ranges === undefined ? 0n : linearRip(this.#vcpu)
    if (ranges?.some(({ start, end }) => at >= start && at < end)) return undefined
    return this.#done()
  }

  #done(): VmStop {
    return { kind: 'step', vcpu: this.#index }
  }

  #watchDeliveries(): void {
    this.#stops.setStep({
      events: {
        returns: false,
        happened: (event, view) => {
          if (event.kind !== 'delivered' || view.index !== this.#index) return false
          this.#delivered = event
          return true
        },
      },
    })
  }

  /** Runs until the code that was interrupted goes on, or its thread does elsewhere in user code. */
  #awaitReturn(place: Place): void {
    this.#away = true
    this.#stops.setStep({ events: { returns: true, happened: (event, view) => this.#returns(event, view, place) } })
  }

  #returns(event: ProcessorEvent, view: StopView, { stack, cpl, root }: Place): boolean {
    if (event.kind !== 'return' || view.cpl !== cpl) return false
    const now = view.registers.get('rsp')
    const same = cpl === 3 ? view.rootFrame === root && now <= stack && now > stack - SIGNAL_ROOM : now === stack
    if (same) this.#comesBackTo(view)
    return same
  }

  /** Runs until `next` is reached on the stack that the instruction before it had, or it returns to elsewhere. */
  #awaitAddress(address: bigint, above: AboveStack | undefined, place?: Place): void {
    this.#away = true
    const reached = (view: StopView): boolean => {
      if (above !== undefined) {
        const distance = above(view)
        if (distance < 0 || distance >= STACK_ROOM) return false
      }
      if (place?.cpl === 3 && (view.cpl !== 3 || view.rootFrame !== place.root)) return false
      this.#comesBackTo(view)
      return true
    }
    const inward = place !== undefined && this.#vcpu.registers.cpl !== place.cpl
    this.#stops.setStep({
      breakpoint: { space: 'linear', address, reached },
      ...(inward ? { events: { returns: true, happened: (event, view) => this.#returns(event, view, place) } } : {}),
    })
  }

  #comesBackTo(view: StopView): void {
    this.#back = true
    // Its kernel may have moved the thread to another vCPU.
    this.#index = view.index
  }
}

/** How far RSP lies above where it must be. */
type AboveStack = (view: StopView) => number

/**
 * Without a bigint: deep recursion asks at each return.
 * @param base of a stack whose pointer has 16 bits and wraps around
 */
function aboveStack(address: bigint | undefined, base: bigint | undefined): AboveStack | undefined {
  if (address === undefined) return undefined
  const low = Number(BigInt.asUintN(32, address))
  const high = Number(BigInt.asUintN(32, address >> 32n))
  if (base !== undefined) {
    const offset = low & 0xffff
    return view => (view.registers.segment('ss').base === base ? (view.low(RSP) - offset) & 0xffff : -1)
  }
  return view => ((view.high(RSP) >>> 0) - high) * 2 ** 32 + ((view.low(RSP) >>> 0) - low)
}

function placeOf({ registers }: Vcpu): Place {
  return {
    ...{ rip: registers.get('rip'), stack: registers.get('rsp'), stackBase: narrowStack(registers) },
    cpl: registers.cpl,
    root: rootFrame(registers.get('cr3')),
  }
}

/** The base of a stack whose pointer has 16 bits. */
function narrowStack(registers: Vcpu['registers']): bigint | undefined {
  const { base, rights } = registers.segment('ss')
  return codeBits(registers) !== 64 && (rights & RIGHTS_DB) === 0 ? base : undefined
}

function linearRip({ registers }: Vcpu): bigint {
  const rip = registers.get('rip')
  return codeBits(registers) === 64 ? rip : (registers.segment('cs').base + rip) & 0xffff_ffffn
}

function codeBits(registers: Vcpu['registers']): 16 | 32 | 64 {
  const { rights } = registers.segment('cs')
  if ((rights & RIGHTS_L) !== 0 && (registers.get('efer') & BigInt(EFER_LMA)) !== 0n) return 64
  return (rights & RIGHTS_DB) !== 0 ? 32 : 16
}

/** Most instructions are told by their first bytes, which takes a hundredth of the time to decode them. */
function mayComeBack(bytes: Uint8Array, bits: 16 | 32 | 64): boolean {
  for (const byte of bytes) {
    if (byte === REPNE || byte === REP) return true
    if (!PREFIXES.has(byte) && (bits !== 64 || byte >> 4 !== REX)) return COME_BACK.has(byte)
  }
  return false
}

/** Does the instruction at RIP do work elsewhere, or repeatedly, and then go on behind it? Gives the linear address there. */
function comesBack(vcpu: Vcpu): { readonly next: bigint } | undefined {
  const at = linearRip(vcpu)
  const bytes = vcpu.view.readBytes(at, 15) ?? vcpu.view.readBytes(at, 4096 - Number(at & 0xfffn))
  const bits = codeBits(vcpu.registers)
  if (bytes === undefined || !mayComeBack(bytes, bits)) return undefined
  const decoder = new Decoder(bits, bytes, DecoderOptions.None)
  const instruction = decoder.decode()
  const { flowControl, length, code } = instruction
  const repeats = instruction.hasRepPrefix || instruction.hasRepnePrefix
  instruction.free()
  decoder.free()
  const calls =
    flowControl === FlowControl.Call ||
    flowControl === FlowControl.IndirectCall ||
    flowControl === FlowControl.Interrupt
  return calls || repeats || SYSTEM_CALLS.has(code) ? { next: at + BigInt(length) } : undefined
}
