/** RETF, and what IRET shares with it: going back to the same ring or out to a less privileged one. */

import { isCode, isConformingCode, isNullSelector, isPresent, isWritableData } from '../../x86/descriptor.ts'
import { RIGHTS_UNUSABLE, rightsDpl } from '../../x86/segment-rights.ts'
import type { Assist, AssistCpu } from '../assist.ts'
import { Segment, type SegmentCache } from '../cpu-state.ts'
import { generalProtection, stackFault } from '../fault.ts'
import { checkOffset, checkReturnTarget, enterCode, is64BitCode, loadCode } from './code-segment.ts'
import { paragraphMode } from './cpu-mode.ts'
import { loadDescriptor, nullCache, readDescriptor, selectorGeneralProtection } from './descriptors.ts'
import { paragraphCache } from './segment-load.ts'
import { type ElementSize, Stack, type StackWidth, setStackPointer, stackWidth } from './stack.ts'

const DATA_SEGMENTS = [Segment.ES, Segment.FS, Segment.GS, Segment.DS] as const

/** Checks CS:RIP of a return and gives the cache for CS; its RPL is the new privilege level. */
export function returnCode(cpu: AssistCpu, selector: number, rip: bigint): SegmentCache {
  if (isNullSelector(selector)) throw generalProtection()
  const descriptor = readDescriptor(cpu, selector)
  checkReturnTarget(cpu, descriptor)
  return loadCode(cpu, descriptor, selector & 3, rip)
}

/** Checks the SS that a return to ring `rpl` pops. Null is fine in 64-bit code of rings 0 to 2. */
export function returnStack(cpu: AssistCpu, selector: number, code: SegmentCache): SegmentCache {
  const rpl = code.selector & 3
  if (isNullSelector(selector)) {
    if (!is64BitCode(cpu, code.rights) || rpl === 3) throw generalProtection()
    return nullCache(selector, rpl)
  }
  const descriptor = readDescriptor(cpu, selector)
  if ((selector & 3) !== rpl || !isWritableData(descriptor.rights) || descriptor.dpl !== rpl)
    throw selectorGeneralProtection(selector)
  if (!isPresent(descriptor.rights)) throw stackFault(selector & 0xfffc)
  return loadDescriptor(cpu, descriptor, selector)
}

/** Width of the stack pointer that a return leaves with this CS and SS. */
export const returnStackWidth = (cpu: AssistCpu, code: SegmentCache, stack: SegmentCache): StackWidth =>
  is64BitCode(cpu, code.rights) ? 64 : stackWidth(stack.rights)

/** Takes segments of the inner ring away from the outer one (SDM vol. 3, 5.8.6). */
export function dropInnerSegments(cpu: AssistCpu, cpl: number): void {
  for (const index of DATA_SEGMENTS) {
    const segment = cpu.state.segment(index)
    const { rights } = segment
    const inner = rightsDpl(rights) < cpl && !(isCode(rights) && isConformingCode(rights))
    // Null selectors lose their RPL too: not in the manual, but what processors do. The bases that 64-bit programs have
    // in FS and GS stay.
    if (rights & RIGHTS_UNUSABLE) cpu.state.setSegment(index, { ...segment, selector: 0 })
    else if (inner) cpu.state.setSegment(index, nullCache(0))
  }
}

const returnFar =
  (withImmediate: boolean): Assist =>
  (cpu, instruction) => {
    const { state } = cpu
    const size: ElementSize = instruction.operandSize === 64 ? 8 : instruction.operandSize === 32 ? 4 : 2
    const released = withImmediate ? Number(instruction.immediate & 0xffffn) : 0
    const stack = Stack.current(cpu)
    const rip = stack.pop(size)
    const selector = Number(stack.pop(size) & 0xffffn)
    stack.skip(released)
    if (paragraphMode(state)) {
      const segment = paragraphCache(cpu, Segment.CS, selector)
      checkOffset(cpu, segment, rip)
      stack.commit()
      enterCode(cpu, segment, rip, state.cpl)
      return
    }
    const code = returnCode(cpu, selector, rip)
    const cpl = selector & 3
    if (cpl === state.cpl) {
      stack.commit()
      enterCode(cpu, code, rip, cpl)
      return
    }
    const pointer = stack.pop(size)
    const outer = returnStack(cpu, Number(stack.pop(size) & 0xffffn), code)
    const width = returnStackWidth(cpu, code, outer)
    state.setSegment(Segment.SS, outer)
    setStackPointer(cpu, width, BigInt.asUintN(width, pointer + BigInt(released)))
    dropInnerSegments(cpu, cpl)
    enterCode(cpu, code, rip, cpl)
  }

const plain = returnFar(false)
const releasing = returnFar(true)

export const farReturnAssists: Readonly<Record<string, Assist>> = {
  Retfw: plain,
  Retfd: plain,
  Retfq: plain,
  Retfw_imm16: releasing,
  Retfd_imm16: releasing,
  Retfq_imm16: releasing,
}
