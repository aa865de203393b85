/** IRET in every mode (SDM vol. 2, IRET/IRETD/IRETQ). */

import {
  RFLAGS_AC,
  RFLAGS_ARITHMETIC,
  RFLAGS_DF,
  RFLAGS_ID,
  RFLAGS_IF,
  RFLAGS_IOPL,
  RFLAGS_NT,
  RFLAGS_RF,
  RFLAGS_TF,
  RFLAGS_VIF,
  RFLAGS_VIP,
  RFLAGS_VM,
} from '../../x86/rflags.ts'
import type { Assist, AssistCpu, AssistInstruction } from '../assist.ts'
import { Segment } from '../cpu-state.ts'
import { generalProtection } from '../fault.ts'
import * as S from '../state.ts'
import { checkOffset, enterCode } from './code-segment.ts'
import { ioPrivilege, longMode, mode64, protectedMode, virtual8086 } from './cpu-mode.ts'
import { dropInnerSegments, returnCode, returnStack, returnStackWidth } from './far-return.ts'
import { raiseInNewTask } from './interrupt-delivery.ts'
import { paragraphCache, v86Cache } from './segment-load.ts'
import { elementSize, Stack, setStackPointer } from './stack.ts'
import { switchToPreviousTask } from './task-switch.ts'
import { checkVirtualFlags, loadVirtualFlags, usesVirtualFlag } from './virtual-interrupts.ts'

/** Flags that any IRET loads. */
const COMMON = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT
/** Flags above bit 15 that IRET with a 32-bit or 64-bit operand loads as well. */
const UPPER = RFLAGS_RF | RFLAGS_AC | RFLAGS_ID

function loadFlags(cpu: AssistCpu, image: number, mask: number): void {
  cpu.state.rflags = (cpu.state.rflags & ~mask) | (image & mask)
}

/** Flags of the image that the current privilege lets IRET change in protected mode. */
function protectedMask(cpu: AssistCpu, wide: boolean): number {
  const { cpl } = cpu.state
  let mask = COMMON
  if (wide) mask |= UPPER
  if (cpl <= ioPrivilege(cpu.state)) mask |= RFLAGS_IF
  if (cpl === 0) mask |= wide ? RFLAGS_IOPL | RFLAGS_VIF | RFLAGS_VIP : RFLAGS_IOPL
  return mask
}

const iret: Assist = (cpu, instruction) => {
  const { state } = cpu
  if (!protectedMode(state)) returnInParagraphs(cpu, instruction, RFLAGS_IF | RFLAGS_IOPL)
  else if (virtual8086(state)) {
    returnInParagraphs(cpu, instruction, RFLAGS_IF)
  } else if (state.get32(S.FLAG_SYSTEM) & RFLAGS_NT) {
    if (longMode(state)) throw generalProtection()
    raiseInNewTask(cpu, switchToPreviousTask(cpu))
  } else returnProtected(cpu, instruction)
  state.set32(S.INTERRUPTIBILITY, state.get32(S.INTERRUPTIBILITY) & ~S.BLOCKED_BY_NMI)
}

/** Real mode and virtual-8086 mode. */
function returnInParagraphs(cpu: AssistCpu, { operandSize }: AssistInstruction, extraMask: number): void {
  const { state } = cpu
  const virtual = usesVirtualFlag(state, operandSize)
  const wide = operandSize !== 16
  const size = wide ? 4 : 2
  const stack = Stack.current(cpu)
  const rip = stack.pop(size)
  const segment = paragraphCache(cpu, Segment.CS, Number(stack.pop(size) & 0xffffn))
  const flags = Number(stack.pop(size))
  checkOffset(cpu, segment, rip)
  if (virtual) checkVirtualFlags(state, flags)
  stack.commit()
  if (virtual) loadVirtualFlags(state, flags)
  else loadFlags(cpu, flags, COMMON | extraMask | (wide ? UPPER : 0))
  enterCode(cpu, segment, rip, state.cpl)
}

function returnProtected(cpu: AssistCpu, { operandSize }: AssistInstruction): void {
  const { state } = cpu
  const size = elementSize(operandSize)
  const stack = Stack.current(cpu)
  const rip = stack.pop(size)
  const selector = Number(stack.pop(size) & 0xffffn)
  const flags = Number(stack.pop(size) & 0xffffffffn)
  if (flags & RFLAGS_VM && size === 4 && state.cpl === 0 && !longMode(state)) {
    returnToVirtual8086(cpu, stack, rip, selector, flags)
    return
  }
  const code = returnCode(cpu, selector, rip)
  const cpl = selector & 3
  const outward = cpl !== state.cpl
  const mask = protectedMask(cpu, size !== 2)
  // 64-bit mode pops SS:RSP also when the ring stays the same (SDM vol. 3, 6.14.3).
  if (outward || mode64(state)) {
    const pointer = stack.pop(size)
    const segment = returnStack(cpu, Number(stack.pop(size) & 0xffffn), code)
    state.setSegment(Segment.SS, segment)
    setStackPointer(cpu, returnStackWidth(cpu, code, segment), pointer)
  } else stack.commit()
  loadFlags(cpu, flags, mask)
  if (outward) dropInnerSegments(cpu, cpl)
  enterCode(cpu, code, rip, cpl)
}

/** From ring 0 to virtual-8086 mode: nine doublewords, all flags (SDM vol. 3, 21.2.3). */
function returnToVirtual8086(cpu: AssistCpu, stack: Stack, rip: bigint, selector: number, flags: number): void {
  const { state } = cpu
  const pointer = stack.pop(4)
  const selectors = [Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS].map(
    index => [index, Number(stack.pop(4) & 0xffffn)] as const,
  )
  const code = v86Cache(selector)
  checkOffset(cpu, code, rip)
  loadFlags(cpu, flags, COMMON | UPPER | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP)
  for (const [index, value] of selectors) state.setSegment(index, v86Cache(value))
  setStackPointer(cpu, 32, pointer)
  enterCode(cpu, code, rip, 3)
}

export const interruptReturnAssists: Readonly<Record<string, Assist>> = { Iretw: iret, Iretd: iret, Iretq: iret }
