/** Far JMP and far CALL: to a code segment, through a call gate, to a task (SDM vol. 2, CALL and JMP). */

import {
  DESCRIPTOR_CALL_GATE,
  DESCRIPTOR_CALL_GATE16,
  DESCRIPTOR_TASK_GATE,
  DESCRIPTOR_TSS_AVAILABLE,
  DESCRIPTOR_TSS16_AVAILABLE,
  decodeGate,
  type GateDescriptor,
  isCode,
  isConformingCode,
  isNullSelector,
  isSystem,
} from '../../x86/descriptor.ts'
import { RIGHTS_DB } from '../../x86/segment-rights.ts'
import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { generalProtection, segmentNotPresent } from '../fault.ts'
import * as S from '../state.ts'
import { checkDirectTarget, checkOffset, enterCode, is64BitCode, loadCode, requireCodePresent } from './code-segment.ts'
import { longMode, paragraphMode } from './cpu-mode.ts'
import {
  nullCache,
  readDescriptor,
  readUpperHalf,
  selectorGeneralProtection,
  type TableDescriptor,
} from './descriptors.ts'
import { innerStack, ringStackPointer } from './inner-stack.ts'
import { raiseInNewTask } from './interrupt-delivery.ts'
import { paragraphCache } from './segment-load.ts'
import { type ElementSize, elementSize, RSP, Stack } from './stack.ts'
import { requireAvailableTask, switchTask } from './task-switch.ts'

const CS_SELECTOR = S.SEGMENTS + Segment.CS * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR
const SS_SELECTOR = S.SEGMENTS + Segment.SS * S.SEGMENT_STRIDE + S.SEGMENT_SELECTOR

/** Pushes CS and the address of the next instruction. */
function pushReturn(cpu: AssistCpu, stack: Stack, nextRip: bigint, size: ElementSize): void {
  stack.push(BigInt(cpu.state.get32(CS_SELECTOR)), size)
  stack.push(nextRip, size)
}

function farTransfer(
  cpu: AssistCpu,
  instruction: AssistInstruction,
  selector: number,
  offset: bigint,
  call: boolean,
): void {
  if (paragraphMode(cpu.state)) {
    paragraphTransfer(cpu, instruction, selector, offset, call)
    return
  }
  if (isNullSelector(selector)) throw generalProtection()
  const descriptor = readDescriptor(cpu, selector)
  if (isSystem(descriptor.rights)) {
    systemTransfer(cpu, instruction, descriptor, call)
    return
  }
  checkDirectTarget(cpu, descriptor)
  const stack = call ? Stack.current(cpu) : undefined
  if (stack) pushReturn(cpu, stack, instruction.nextRip, elementSize(instruction.operandSize))
  const { cpl } = cpu.state
  const segment = loadCode(cpu, descriptor, cpl, offset)
  stack?.flush()
  stack?.commit()
  enterCode(cpu, segment, offset, cpl)
}

/** Real and virtual-8086 mode: any selector will do. */
function paragraphTransfer(
  cpu: AssistCpu,
  instruction: AssistInstruction,
  selector: number,
  offset: bigint,
  call: boolean,
): void {
  const segment = paragraphCache(cpu, Segment.CS, selector)
  checkOffset(cpu, segment, offset)
  if (call) {
    const stack = Stack.current(cpu)
    pushReturn(cpu, stack, instruction.nextRip, elementSize(instruction.operandSize))
    stack.flush()
    stack.commit()
  }
  enterCode(cpu, segment, offset, cpu.state.cpl)
}

function systemTransfer(
  cpu: AssistCpu,
  instruction: AssistInstruction,
  descriptor: TableDescriptor,
  call: boolean,
): void {
  const { selector } = descriptor
  const type = descriptor.rights & 0xf
  const legacy = !longMode(cpu.state)
  if (type === DESCRIPTOR_CALL_GATE || (legacy && type === DESCRIPTOR_CALL_GATE16)) {
    requireGateAccess(cpu, descriptor)
    const upper = legacy ? 0 : readUpperHalf(cpu, descriptor)
    gateTransfer(cpu, instruction, decodeGate(descriptor.lo, descriptor.hi, upper), call)
  } else if (legacy && type === DESCRIPTOR_TASK_GATE) {
    requireGateAccess(cpu, descriptor)
    const { selector: tss } = decodeGate(descriptor.lo, descriptor.hi)
    enterTask(cpu, requireAvailableTask(cpu, tss), call)
  } else if (legacy && (type === DESCRIPTOR_TSS_AVAILABLE || type === DESCRIPTOR_TSS16_AVAILABLE)) {
    if (descriptor.dpl < cpu.state.cpl || descriptor.dpl < (selector & 3)) throw selectorGeneralProtection(selector)
    enterTask(cpu, requireAvailableTask(cpu, selector), call)
  } else throw selectorGeneralProtection(selector)
}

function enterTask(cpu: AssistCpu, task: TableDescriptor, call: boolean): void {
  raiseInNewTask(
    cpu,
    switchTask(cpu, task, { kind: call ? 'call' : 'jump', rip: cpu.state.rip, flags: cpu.state.rflags }),
  )
}

function requireGateAccess(cpu: AssistCpu, { dpl, selector, rights }: TableDescriptor): void {
  if (dpl < cpu.state.cpl || dpl < (selector & 3)) throw selectorGeneralProtection(selector)
  if (!(rights & 0x80)) throw segmentNotPresent(selector)
}

function gateTransfer(cpu: AssistCpu, instruction: AssistInstruction, gate: GateDescriptor, call: boolean): void {
  const { cpl } = cpu.state
  const { selector } = gate
  if (isNullSelector(selector)) throw generalProtection()
  const target = readDescriptor(cpu, selector)
  const { rights, dpl } = target
  const conforming = isConformingCode(rights)
  const fault = selectorGeneralProtection(selector)
  if (!isCode(rights) || dpl > cpl) throw fault
  if (!call && !conforming && dpl !== cpl) throw fault
  const long = longMode(cpu.state)
  if (long && (!is64BitCode(cpu, rights) || rights & RIGHTS_DB)) throw fault
  requireCodePresent(target)
  const size: ElementSize = long ? 8 : gate.type === DESCRIPTOR_CALL_GATE ? 4 : 2
  if (call && !conforming && dpl < cpl) {
    callInner(cpu, instruction, gate, target, size)
    return
  }
  let stack: Stack | undefined
  if (call) {
    stack = long ? new Stack(cpu, cpu.state.segment(Segment.SS), 64, cpu.state.gpr(RSP)) : Stack.current(cpu)
    pushReturn(cpu, stack, instruction.nextRip, size)
  }
  const segment = loadCode(cpu, target, cpl, gate.offset)
  stack?.flush()
  stack?.commit()
  enterCode(cpu, segment, gate.offset, cpl)
}

/** A call gate to a more privileged ring: its stack comes from the TSS, parameters are copied outside long mode. */
function callInner(
  cpu: AssistCpu,
  instruction: AssistInstruction,
  gate: GateDescriptor,
  target: TableDescriptor,
  size: ElementSize,
): void {
  const { state } = cpu
  const { dpl } = target
  const old = Stack.current(cpu)
  const long = longMode(state)
  const inner = long
    ? {
        segment: nullCache(dpl, dpl),
        stack: new Stack(cpu, nullCache(dpl, dpl), 64, ringStackPointer(cpu, dpl), true),
      }
    : innerStack(cpu, dpl)
  const { stack } = inner
  stack.push(BigInt(state.get32(SS_SELECTOR)), size)
  stack.push(state.gpr(RSP), size)
  if (!long) for (let i = gate.parameters - 1; i >= 0; i--) stack.push(old.peek(i * size, size), size)
  pushReturn(cpu, stack, instruction.nextRip, size)
  const segment = loadCode(cpu, target, dpl, gate.offset)
  stack.flush()
  state.setSegment(Segment.SS, inner.segment)
  stack.commit()
  enterCode(cpu, segment, gate.offset, dpl)
}

/** ptr16:16 and ptr16:32: selector << 32 | offset. */
const immediateTransfer =
  (call: boolean): Assist =>
  (cpu, instruction) => {
    const { immediate, operandSize } = instruction
    const selector = Number((immediate >> 32n) & 0xffffn)
    farTransfer(cpu, instruction, selector, immediate & (operandSize === 16 ? 0xffffn : 0xffffffffn), call)
  }

/** m16:16, m16:32 and m16:64: the offset lies first. */
const memoryTransfer =
  (call: boolean): Assist =>
  (cpu, instruction) => {
    const { address, operandSize } = instruction
    const { memory } = cpu
    const offset =
      operandSize === 64
        ? memory.read64(address)
        : BigInt(operandSize === 32 ? memory.read32(address) : memory.read16(address))
    const selector = memory.read16(BigInt.asUintN(64, address + BigInt(operandSize / 8)))
    farTransfer(cpu, instruction, selector, offset, call)
  }

const jumpImmediate = immediateTransfer(false)
const callImmediate = immediateTransfer(true)
const jumpMemory = memoryTransfer(false)
const callMemory = memoryTransfer(true)

export const farTransferAssists: Readonly<Record<string, Assist>> = {
  Jmp_ptr1616: jumpImmediate,
  Jmp_ptr1632: jumpImmediate,
  Call_ptr1616: callImmediate,
  Call_ptr1632: callImmediate,
  Jmp_m1616: jumpMemory,
  Jmp_m1632: jumpMemory,
  Jmp_m1664: jumpMemory,
  Call_m1616: callMemory,
  Call_m1632: callMemory,
  Call_m1664: callMemory,
}
