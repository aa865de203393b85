/**
 * Delivery of exceptions and interrupts in every mode (SDM vol. 3, chapter 6, and vol. 2, INT n).
 * Everything that can fault or leave for an EPT violation precedes the first change of state, so an event whose
 * delivery was left can be delivered again from the start.
 */

import {
  DESCRIPTOR_INTERRUPT_GATE,
  DESCRIPTOR_INTERRUPT_GATE16,
  DESCRIPTOR_TASK_GATE,
  DESCRIPTOR_TRAP_GATE,
  DESCRIPTOR_TRAP_GATE16,
  decodeGate,
  type GateDescriptor,
  isCode,
  isConformingCode,
  isNullSelector,
} from '../../x86/descriptor.ts'
import { RFLAGS_AC, RFLAGS_IF, RFLAGS_NT, RFLAGS_RF, RFLAGS_TF, RFLAGS_VM } from '../../x86/rflags.ts'
import { RIGHTS_DB, RIGHTS_L } from '../../x86/segment-rights.ts'
import type { AssistCpu } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { GuestFault, generalProtection, stackFault } from '../fault.ts'
import * as S from '../state.ts'
import { checkOffset, enterCode, loadCode, requireCodePresent, selectorFault } from './code-segment.ts'
import { isCanonical, longMode, protectedMode, virtual8086 } from './cpu-mode.ts'
import { nullCache, readDescriptor, type TableDescriptor, tableAddress } from './descriptors.ts'
import { innerStack, interruptStackPointer, ringStackPointer } from './inner-stack.ts'
import { paragraphCache } from './segment-load.ts'
import { type ElementSize, RSP, Stack } from './stack.ts'
import { requireAvailableTask, switchTask } from './task-switch.ts'
import { deliverRedirected, redirects } from './virtual-interrupts.ts'

/**
 * What is being delivered: `software` is INT n; `int3-into` INT3 and INTO, which are exempt from the IOPL check;
 * `int1` the one-byte INT1, which counts as a hardware event.
 */
export type EventKind = 'exception' | 'external' | 'software' | 'nmi' | 'int1' | 'int3-into'

export interface GuestEvent {
  readonly vector: number
  readonly kind: EventKind
  readonly errorCode?: number | undefined
  /** CR2 of a page fault. */
  readonly address?: bigint | undefined
  /** Address to return to, for the kinds that come from an instruction; the others return to RIP. */
  readonly nextRip?: bigint
  /** RF is pushed set: the event came between two iterations of a repeated string instruction, or is a general detection. */
  readonly resumes?: boolean
}

const VECTOR_DEBUG = 1
const VECTOR_DOUBLE_FAULT = 8
const VECTOR_NOT_PRESENT = 11
const VECTOR_GENERAL_PROTECTION = 13
const VECTOR_PAGE_FAULT = 14

/** Faults restart the instruction with RF set, so that its breakpoint doesn't hit twice (SDM vol. 3, 17.3.1.1). */
const FAULT_CLASS = maskOf(0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19)
/** Exceptions whose meeting makes a double fault (SDM vol. 3, table 6-4). */
const CONTRIBUTORY = maskOf(0, 10, 11, 12, 13)

const DR7 = S.DR + 7 * 8
const DR7_GD = 1 << 13

function maskOf(...vectors: number[]): number {
  return vectors.reduce((mask, vector) => mask | (1 << vector), 0)
}

const isSoftware = ({ kind }: GuestEvent): boolean => kind === 'software' || kind === 'int3-into'

/** The event that a fault is. */
export const eventOf = (fault: GuestFault): GuestEvent => ({
  vector: fault.vector,
  kind: 'exception',
  errorCode: fault.errorCode,
  address: fault.address,
})

/** What follows when `second` happens during the delivery of `first` (SDM vol. 3, table 6-5). */
export function escalate(first: GuestEvent, second: GuestFault): 'serial' | 'double-fault' | 'triple-fault' {
  if (first.kind !== 'exception') return 'serial'
  const contributory = ((CONTRIBUTORY >> second.vector) & 1) !== 0
  const pageFault = second.vector === VECTOR_PAGE_FAULT
  if (first.vector === VECTOR_DOUBLE_FAULT) return contributory || pageFault ? 'triple-fault' : 'serial'
  if (first.vector === VECTOR_PAGE_FAULT) return contributory || pageFault ? 'double-fault' : 'serial'
  return contributory && ((CONTRIBUTORY >> first.vector) & 1) !== 0 ? 'double-fault' : 'serial'
}

/**
 * Exceptions that an event's delivery may cause one after the other. #AC is the one that can cause itself for ever, when
 * a handler in ring 3 has a misaligned stack: processors hang then (CVE-2015-5307), and ours shuts
 * down.
 */
const MOST_SERIAL_EXCEPTIONS = 64

/**
 * Delivers an event, and whatever exceptions its delivery causes, up to a triple fault.
 * @param intercept called before each exception is delivered; it may leave to the hypervisor by throwing
 */
export function deliver(
  cpu: AssistCpu,
  event: GuestEvent,
  intercept?: (event: GuestEvent) => void,
): 'delivered' | 'triple-fault' {
  let current = event
  for (let exceptions = 0; exceptions < MOST_SERIAL_EXCEPTIONS; exceptions++) {
    if (current.kind === 'exception') intercept?.(current)
    try {
      deliverEvent(cpu, current)
      return 'delivered'
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault
      const outcome = escalate(current, fault)
      // A page fault leaves its address also when it ends in a double fault: kernels find stack overflows by it.
      loadCr2(cpu, eventOf(fault))
      if (outcome === 'triple-fault') return outcome
      current =
        outcome === 'double-fault' ? { vector: VECTOR_DOUBLE_FAULT, kind: 'exception', errorCode: 0 } : eventOf(fault)
    }
  }
  return 'triple-fault'
}

/** Delivers the exception of an instruction; RIP is at the instruction. */
export const raise = (
  cpu: AssistCpu,
  fault: GuestFault,
  intercept?: (event: GuestEvent) => void,
): 'delivered' | 'triple-fault' => deliver(cpu, eventOf(fault), intercept)

/** Raises what {@link switchTask} returned: RIP is the new task's already. */
export function raiseInNewTask(cpu: AssistCpu, fault: GuestFault | undefined): void {
  if (fault && raise(cpu, fault) === 'triple-fault') cpu.exitRetired({ reason: 'triple-fault' })
}

function loadCr2(cpu: AssistCpu, { vector, kind, address }: GuestEvent): void {
  if (vector === VECTOR_PAGE_FAULT && kind === 'exception' && address !== undefined)
    cpu.state.set64(S.CR2, BigInt.asUintN(64, address))
}

/** Delivers one event through the IVT or IDT; throws the {@link GuestFault} that stands in its way. */
export function deliverEvent(cpu: AssistCpu, event: GuestEvent): void {
  const { state } = cpu
  loadCr2(cpu, event)
  if (!protectedMode(state)) deliverReal(cpu, event)
  else if (longMode(state)) deliverLong(cpu, event)
  else deliverProtected(cpu, event)
  if (event.vector === VECTOR_DEBUG && event.kind === 'exception') state.set32(DR7, state.get32(DR7) & ~DR7_GD)
  let interruptibility = state.get32(S.INTERRUPTIBILITY) & ~S.SHADOW
  if (event.kind === 'nmi') interruptibility |= S.BLOCKED_BY_NMI
  state.set32(S.INTERRUPTIBILITY, interruptibility)
  // An instruction that causes an event is not stepped over: its handler begins without TF (SDM vol. 3, 17.3.1.4).
  state.set32(S.ENDED, S.ENDED_UNSTEPPED)
}

const returnRip = (cpu: AssistCpu, event: GuestEvent): bigint => event.nextRip ?? cpu.state.rip

/** RFLAGS to push: RF by the class of the event. */
function pushedFlags(cpu: AssistCpu, event: GuestEvent): number {
  const { rflags } = cpu.state
  if (isSoftware(event)) return rflags & ~RFLAGS_RF
  const fault = event.kind === 'exception' && ((FAULT_CLASS >> event.vector) & 1) !== 0
  return fault || event.resumes ? rflags | RFLAGS_RF : rflags
}

/** EXT bit of error codes: the event did not come from INT n, INT3 or INTO (SDM vol. 3, 6.13). */
const externalBit = (event: GuestEvent): number => (isSoftware(event) ? 0 : 1)

/** Flags that entering a handler clears in protected mode. */
function clearFlags(cpu: AssistCpu, interruptGate: boolean): void {
  const cleared = RFLAGS_TF | RFLAGS_VM | RFLAGS_RF | RFLAGS_NT | (interruptGate ? RFLAGS_IF : 0)
  cpu.state.set32(S.FLAG_SYSTEM, cpu.state.get32(S.FLAG_SYSTEM) & ~cleared)
}

/** Real mode: the interrupt vector table, FLAGS, CS and IP in 16 bits, no error code. */
function deliverReal(cpu: AssistCpu, event: GuestEvent): void {
  const { memory, state } = cpu
  const offset = event.vector * 4
  if (offset + 3 > state.get32(S.IDTR_LIMIT)) throw generalProtection()
  const vector = memory.read32(tableAddress(cpu, state.get64(S.IDTR_BASE), offset), true)
  const stack = Stack.current(cpu)
  stack.push(BigInt(pushedFlags(cpu, event) & 0xffff), 2)
  stack.push(BigInt(state.segment(Segment.CS).selector), 2)
  stack.push(returnRip(cpu, event), 2)
  const code = paragraphCache(cpu, Segment.CS, vector >>> 16)
  const rip = BigInt(vector & 0xffff)
  checkOffset(cpu, code, rip)
  stack.flush()
  stack.commit()
  state.set32(S.FLAG_SYSTEM, state.get32(S.FLAG_SYSTEM) & ~(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF))
  enterCode(cpu, code, rip, 0)
}

const idtFault = (vector: number, event: GuestEvent, ext: number): GuestFault =>
  new GuestFault(vector, event.vector * 8 + 2 + ext)

/** Reads and checks the gate for an event. */
function readGate(cpu: AssistCpu, event: GuestEvent, size: 8 | 16, ext: number): GateDescriptor {
  const { memory, state } = cpu
  const offset = event.vector * size
  if (offset + size - 1 > state.get32(S.IDTR_LIMIT)) throw idtFault(VECTOR_GENERAL_PROTECTION, event, ext)
  const address = tableAddress(cpu, state.get64(S.IDTR_BASE), offset)
  const lo = memory.read32(address, true)
  const hi = memory.read32(address + 4n, true)
  const gate = decodeGate(lo, hi, size === 16 ? memory.read32(address + 8n, true) : 0)
  const wide = gate.type === DESCRIPTOR_INTERRUPT_GATE || gate.type === DESCRIPTOR_TRAP_GATE
  const legacy =
    gate.type === DESCRIPTOR_INTERRUPT_GATE16 ||
    gate.type === DESCRIPTOR_TRAP_GATE16 ||
    gate.type === DESCRIPTOR_TASK_GATE
  const system = (hi & (1 << 12)) === 0
  if (!system || !(wide || (size === 8 && legacy))) throw idtFault(VECTOR_GENERAL_PROTECTION, event, ext)
  if (isSoftware(event) && gate.dpl < state.cpl) throw idtFault(VECTOR_GENERAL_PROTECTION, event, 0)
  if (!gate.present) throw idtFault(VECTOR_NOT_PRESENT, event, ext)
  return gate
}

/** Reads and checks the handler's code segment. */
function readHandler(cpu: AssistCpu, selector: number, ext: number): TableDescriptor {
  if (isNullSelector(selector)) throw generalProtection(ext)
  const fault = () => selectorFault(VECTOR_GENERAL_PROTECTION, selector, ext)
  const target = readDescriptor(cpu, selector, fault)
  if (!isCode(target.rights) || target.dpl > cpu.state.cpl) throw fault()
  return target
}

const isInterruptGate = ({ type }: GateDescriptor): boolean => (type & 1) === 0

/** Protected and virtual-8086 mode outside long mode. */
function deliverProtected(cpu: AssistCpu, event: GuestEvent): void {
  const { state } = cpu
  const ext = externalBit(event)
  const v86 = virtual8086(state)
  // INT3 and INTO always go through the IDT (SDM vol. 2, INT n).
  if (v86 && event.kind === 'software' && redirects(cpu, event.vector)) {
    deliverRedirected(cpu, event.vector, returnRip(cpu, event))
    return
  }
  const gate = readGate(cpu, event, 8, ext)
  if (gate.type === DESCRIPTOR_TASK_GATE) {
    const fault = switchTask(cpu, requireAvailableTask(cpu, gate.selector, ext), {
      kind: 'interrupt',
      rip: returnRip(cpu, event),
      flags: pushedFlags(cpu, event),
      errorCode: event.errorCode,
      ext,
    })
    if (fault) throw fault
    return
  }
  const target = readHandler(cpu, gate.selector, ext)
  requireCodePresent(target, ext)
  const conforming = isConformingCode(target.rights)
  if (v86 && (conforming || target.dpl !== 0)) throw selectorFault(VECTOR_GENERAL_PROTECTION, gate.selector, ext)
  const inward = !conforming && target.dpl < state.cpl
  const cpl = inward ? target.dpl : state.cpl
  const size: ElementSize = gate.type & 8 ? 4 : 2
  const inner = inward ? innerStack(cpu, cpl, ext) : undefined
  const stack = inner?.stack ?? Stack.current(cpu, ext)
  const selectorOf = (index: 0 | 1 | 2 | 3 | 4 | 5): bigint => BigInt(state.segment(index).selector)
  if (v86)
    for (const index of [Segment.GS, Segment.FS, Segment.DS, Segment.ES] as const) stack.push(selectorOf(index), size)
  if (inward) {
    stack.push(selectorOf(Segment.SS), size)
    stack.push(state.gpr(RSP), size)
  }
  stack.push(BigInt(pushedFlags(cpu, event)), size)
  stack.push(selectorOf(Segment.CS), size)
  stack.push(returnRip(cpu, event), size)
  if (event.errorCode !== undefined) stack.push(BigInt(event.errorCode), size)
  const code = loadCode(cpu, target, cpl, gate.offset, ext)
  stack.flush()
  if (inner) state.setSegment(Segment.SS, inner.segment)
  stack.commit()
  if (v86)
    for (const index of [Segment.GS, Segment.FS, Segment.DS, Segment.ES] as const) state.setSegment(index, nullCache(0))
  clearFlags(cpu, isInterruptGate(gate))
  enterCode(cpu, code, gate.offset, cpl)
}

/** Long mode: 16-byte gates, stack by TSS or IST, aligned to 16, SS:RSP always pushed (SDM vol. 3, 6.14). */
function deliverLong(cpu: AssistCpu, event: GuestEvent): void {
  const { memory, state } = cpu
  const ext = externalBit(event)
  const gate = readGate(cpu, event, 16, ext)
  const target = readHandler(cpu, gate.selector, ext)
  if ((target.rights & (RIGHTS_L | RIGHTS_DB)) !== RIGHTS_L)
    throw selectorFault(VECTOR_GENERAL_PROTECTION, gate.selector, ext)
  requireCodePresent(target, ext)
  const inward = !isConformingCode(target.rights) && target.dpl < state.cpl
  const cpl = inward ? target.dpl : state.cpl
  if (!isCanonical(state, gate.offset)) throw generalProtection(ext)

  let top: bigint
  if (gate.ist !== 0) top = interruptStackPointer(cpu, gate.ist, ext)
  else top = inward ? ringStackPointer(cpu, cpl, ext) : state.gpr(RSP)
  const hasError = event.errorCode !== undefined
  const bytes = hasError ? 48 : 40
  const rsp = BigInt.asUintN(64, (top & ~15n) - BigInt(bytes))
  if (!isCanonical(state, rsp) || !isCanonical(state, rsp + BigInt(bytes - 1))) throw stackFault(ext)
  // In the order of the pushes, downwards, so that CR2 is right: the frame is aligned and spans two pages at most.
  const last = rsp + BigInt(bytes - 8)
  memory.probeWrite(last, 8, inward)
  if (last >> 12n !== rsp >> 12n) memory.probeWrite(((last >> 12n) << 12n) - 8n, 8, inward)
  const code = loadCode(cpu, target, cpl, gate.offset, ext)

  let at = rsp
  if (event.errorCode !== undefined) {
    memory.write64(at, BigInt(event.errorCode), inward)
    at += 8n
  }
  memory.write64(at, returnRip(cpu, event), inward)
  memory.write64(at + 8n, BigInt(state.segment(Segment.CS).selector), inward)
  memory.write64(at + 16n, BigInt(pushedFlags(cpu, event)), inward)
  memory.write64(at + 24n, state.gpr(RSP), inward)
  memory.write64(at + 32n, BigInt(state.segment(Segment.SS).selector), inward)
  if (inward) state.setSegment(Segment.SS, nullCache(cpl, cpl))
  state.setGpr(RSP, rsp)
  clearFlags(cpu, isInterruptGate(gate))
  enterCode(cpu, code, gate.offset, cpl)
}
